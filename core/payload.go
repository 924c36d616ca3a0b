package core

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
}

// Clone returns a copy of p that owns its bytes.
func (p Payload) Clone() Payload {
	p.Data = clone(p.Data)
	return p
}
