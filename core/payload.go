package core

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/polywire/polywire/core/rawjson"
)

// PayloadKind says how the bytes of a payload are to be read.
type PayloadKind uint8

// The kinds of payload.
const (
	// Absent: there is no payload. It stays absent where a format allows that and
	// becomes null where a payload must be written.
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
	// (little-endian, without byte order mark): a format that uses UTF-16
	// passes it on unchanged. Data is then the same text in UTF-8, with U+FFFD
	// for what UTF-8 cannot express. Nil for everything else.
	UTF16 []byte
}

var (
	errNoKind   = errors.New("the payload has data but no kind; set it to JSON, Text or Binary")
	errNotUTF8  = errors.New("the payload is not UTF-8")
	errUTF16    = errors.New("the payload has UTF-16 without the same text in UTF-8; TextUTF16 makes both")
	errOddUTF16 = errors.New("the payload's UTF-16 has an odd number of bytes")
)

// Check returns what is wrong with a payload that a program made: Data that is not of its
// Kind. Clients must not get such a payload.
func (p Payload) Check() error {
	switch p.Kind {
	case Absent:
		if p.Size() > 0 {
			return errNoKind
		}
	case JSON:
		if err := rawjson.Check(p.Data); err != nil {
			return fmt.Errorf("the payload is not JSON: %w", err)
		}
		if !utf8.Valid(p.Data) {
			return errNotUTF8
		}
	case Text:
		switch {
		case !utf8.Valid(p.Data):
			return errNotUTF8
		case len(p.UTF16)%2 != 0:
			return errOddUTF16
		case len(p.UTF16) > 0 && len(p.Data) == 0:
			return errUTF16
		}
	case Binary:
	default:
		return fmt.Errorf("the payload has the unknown kind %d", p.Kind)
	}
	return nil
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

// Sniff returns the payload of bytes of which nobody says what they are, and borrows them: JSON if they are
// JSON, else text, else binary.
func Sniff(data []byte) Payload {
	switch {
	case !utf8.Valid(data):
		return Payload{Kind: Binary, Data: data}
	case rawjson.Valid(data):
		return Payload{Kind: JSON, Data: data}
	}
	return Payload{Kind: Text, Data: data}
}
