package core

import "github.com/polywire/polywire/core/rawjson"

// PayloadKind says how the bytes of a payload are to be read.
type PayloadKind uint8

// The kinds of payload.
const (
	// Absent: there is no payload. It stays absent where a format allows it and
	// is null where one must be written.
	Absent PayloadKind = iota
	// JSON: one JSON value, as its author wrote it. It is never marshalled
	// again: numbers, key order and escapes survive.
	JSON
	// Text: UTF-8.
	Text
	// Binary: any bytes.
	Binary
)

// Payload is the content of a message: bytes and how to read them.
type Payload struct {
	Kind PayloadKind
	Data []byte
	// UTF16 is the text as it was written, if it was written in UTF-16
	// (little-endian, without byte order mark): a format that speaks UTF-16
	// gives it on unchanged. Data is then the same text in UTF-8, with U+FFFD
	// for what has no place there. Nil for everything else.
	UTF16 []byte
}

// Deeper reports whether p reads as JSON that is nested more than depth levels deep.
func (p Payload) Deeper(depth int) bool {
	// Fewer bytes cannot open so many levels.
	if len(p.Data) <= depth || p.Kind == Absent {
		return false
	}
	return rawjson.Deeper(p.Data, depth) && (p.Kind == JSON || rawjson.Valid(p.Data))
}

// Clone returns a copy of p that owns its bytes.
func (p Payload) Clone() Payload {
	a := make(arena, 0, p.Size())
	return a.clonePayload(p)
}

// Size returns how many bytes p has.
func (p Payload) Size() int { return len(p.Data) + len(p.UTF16) }
