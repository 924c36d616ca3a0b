package contract

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of fields below are those of codec.proto.
type field = protowire.Number

// errType is a field of another wire type than codec.proto says.
var errType = errors.New("a field of the wrong type")

// fields walks the fields of one message. data points into the message.
type fields struct {
	rest []byte
	err  error

	num   field
	bytes bool   // data holds the value, else value does
	value uint64 // of a number or bool
	data  []byte // of bytes, a string or a message; not nil
}

// next goes to the next field that this package can know. It skips groups and fixed
// numbers.
func (f *fields) next() bool {
	for len(f.rest) > 0 {
		if f.short() {
			return true
		}
		num, kind, n := protowire.ConsumeTag(f.rest)
		if n < 0 {
			f.err = fmt.Errorf("reading a field: %w", protowire.ParseError(n))
			return false
		}
		f.rest, f.num = f.rest[n:], num
		switch kind {
		case protowire.VarintType:
			f.value, n = protowire.ConsumeVarint(f.rest)
			f.bytes, f.data = false, nil
		case protowire.BytesType:
			f.data, n = protowire.ConsumeBytes(f.rest)
			f.bytes, f.value = true, 0
		default:
			n = protowire.ConsumeFieldValue(num, kind, f.rest)
		}
		if n < 0 {
			f.err = fmt.Errorf("reading field %d: %w", num, protowire.ParseError(n))
			return false
		}
		f.rest = f.rest[n:]
		if kind != protowire.VarintType && kind != protowire.BytesType {
			continue
		}
		return true
	}
	return false
}

// count returns how many of the fields to come have a number. It stops at the first that
// cannot be read.
func (f *fields) count(num field) (n int) {
	ahead := *f
	for ahead.next() {
		if ahead.num == num {
			n++
		}
	}
	return n
}

// more is set in each byte of a number but its last.
const more = 0x80

// short goes to the next field if it has the form of nearly all: a tag of one byte, and a
// number of one byte, or bytes whose length has one or two.
func (f *fields) short() bool {
	b := f.rest
	if len(b) < 2 || b[0] >= more || b[0] < 1<<3 {
		return false
	}
	num, from, n := field(b[0]>>3), 2, int(b[1])
	switch protowire.Type(b[0] & 7) {
	case protowire.VarintType:
		if n >= more {
			return false
		}
		f.num, f.bytes, f.value, f.data, f.rest = num, false, uint64(n), nil, b[2:]
		return true
	case protowire.BytesType:
		if n >= more {
			if len(b) < 3 || b[2] >= more || b[2] == 0 {
				return false
			}
			from, n = 3, n-more+int(b[2])<<7
		}
		if n > len(b)-from {
			return false
		}
		f.num, f.bytes, f.value, f.data, f.rest = num, true, 0, b[from:from+n:from+n], b[from+n:]
		return true
	}
	return false
}

// typed returns an error unless the field holds bytes, or a number if bytes is false.
func (f *fields) typed(bytes bool) error {
	if f.bytes != bytes {
		return fmt.Errorf("reading field %d: %w", f.num, errType)
	}
	return nil
}

// appendTag appends a tag, which has one byte for nearly all fields.
func appendTag(dst []byte, num field, kind protowire.Type) []byte {
	if num < 1<<4 {
		return append(dst, byte(num)<<3|byte(kind))
	}
	return protowire.AppendTag(dst, num, kind)
}

// begin appends the tag of a message and room for its length, which end fills in. The
// message is moved if its length needs more or less room than the estimate about.
func begin(dst []byte, num field, about int) (out []byte, start int) {
	dst = appendTag(dst, num, protowire.BytesType)
	room := protowire.SizeVarint(uint64(about))
	for range room {
		dst = append(dst, byte(room)) // what end finds there
	}
	return dst, len(dst)
}

func end(dst []byte, start int) []byte {
	n, room := len(dst)-start, int(dst[start-1])
	from, size := start-room, protowire.SizeVarint(uint64(n))
	if size != room {
		dst = slices.Grow(dst, size)[:from+size+n]
		copy(dst[from+size:], dst[start:start+n])
	}
	protowire.AppendVarint(dst[:from], uint64(n))
	return dst
}

func appendNumber[N ~uint8 | ~uint16 | ~uint32 | ~uint64](dst []byte, num field, n N) []byte {
	if n == 0 {
		return dst
	}
	return putNumber(dst, num, uint64(n))
}

func appendBool(dst []byte, num field, b bool) []byte {
	if !b {
		return dst
	}
	return append(appendTag(dst, num, protowire.VarintType), 1)
}

// appendBytes appends an optional field: empty bytes are present, nil is not.
func appendBytes(dst []byte, num field, b []byte) []byte {
	if b == nil {
		return dst
	}
	return putBytes(dst, num, b)
}

func putNumber(dst []byte, num field, n uint64) []byte {
	return protowire.AppendVarint(appendTag(dst, num, protowire.VarintType), n)
}

func putBytes(dst []byte, num field, b []byte) []byte {
	return protowire.AppendBytes(appendTag(dst, num, protowire.BytesType), b)
}

// appendString appends text, which must be UTF-8 in a message: invalid bytes, from a text
// that a client made, are replaced.
func appendString(dst []byte, num field, s string) []byte {
	if s == "" {
		return dst
	}
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	return protowire.AppendString(appendTag(dst, num, protowire.BytesType), s)
}
