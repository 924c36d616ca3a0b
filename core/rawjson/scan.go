package rawjson

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// MaxDepth is the maximum nesting of arrays and objects: encoding/json's bound.
const MaxDepth = 10000

// Check returns nil if data is exactly one JSON value, with white space around
// it allowed, and a *SyntaxError otherwise.
func Check(data []byte) error {
	s := scanner{data: data, pos: skipSpace(data, 0)}
	if err := s.value(0); err != nil {
		return &SyntaxError{s.pos, err}
	}
	if s.pos = skipSpace(data, s.pos); s.pos < len(data) {
		return &SyntaxError{s.pos, ErrSyntax}
	}
	return nil
}

// Valid reports whether Check returns nil. It never allocates for texts of up to
// 64 levels, valid or not.
func Valid(data []byte) bool {
	s := scanner{data: data, pos: skipSpace(data, 0)}
	return s.value(0) == nil && skipSpace(data, s.pos) == len(data)
}

// Deeper reports whether data, a JSON value, is nested more than depth levels deep.
// If data is not JSON, the result may be either.
func Deeper(data []byte, depth int) bool {
	s := scanner{data: data, pos: skipSpace(data, 0)}
	return errors.Is(s.value(MaxDepth-depth), ErrDepth)
}

// Trim strips the white space of JSON (space, tab, line feed, carriage return)
// from both ends.
func Trim(data []byte) []byte {
	i, j := skipSpace(data, 0), len(data)
	for j > i && isSpace(data[j-1]) {
		j--
	}
	return data[i:j]
}

// scanner walks over one value. It does not recurse, so that a hostile text
// costs one bit per level and not a stack frame.
type scanner struct {
	data []byte
	pos  int
	open levels
}

// value moves pos from the first byte of a value past its last one. outer is
// the number of levels that enclose the value. On an error pos is its offset.
func (s *scanner) value(outer int) error {
	for {
		done, err := s.begin(outer)
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		if more, err := s.end(); !more {
			return err
		}
	}
}

// begin reads the beginning of a value: all of a scalar or of an empty container
// (done), or a container up to the beginning of its first inner value.
func (s *scanner) begin(outer int) (done bool, err error) {
	if s.pos >= len(s.data) {
		return false, ErrSyntax
	}
	switch s.data[s.pos] {
	case '{':
		if outer+s.open.depth >= MaxDepth {
			return false, ErrDepth
		}
		if s.skip(); s.at('}') {
			s.pos++
			return true, nil
		}
		s.open.push(true)
		return false, s.key()
	case '[':
		if outer+s.open.depth >= MaxDepth {
			return false, ErrDepth
		}
		if s.skip(); s.at(']') {
			s.pos++
			return true, nil
		}
		s.open.push(false)
		return false, nil
	case '"':
		_, err := s.text()
		return true, err
	case 't':
		return true, s.literal("true")
	case 'f':
		return true, s.literal("false")
	case 'n':
		return true, s.literal("null")
	}
	return true, s.number()
}

// end reads what follows a value: the ends of the containers whose last value it
// is, then up to the beginning of the next value. more is false if there is no
// next value, because the outermost one ended or err is set.
func (s *scanner) end() (more bool, err error) {
	for s.open.depth > 0 {
		s.pos = skipSpace(s.data, s.pos)
		object := s.open.object()
		switch {
		case s.at(','):
			s.skip()
			if !object {
				return true, nil
			}
			err := s.key()
			return err == nil, err
		case object && s.at('}'), !object && s.at(']'):
			s.pos++
			s.open.pop()
		default:
			return false, ErrSyntax
		}
	}
	return false, nil
}

// key reads a member's name and colon, up to the beginning of its value.
func (s *scanner) key() error {
	if !s.at('"') {
		return ErrSyntax
	}
	if _, err := s.text(); err != nil {
		return err
	}
	return s.colon()
}

// colon reads the colon after a name, up to the beginning of the value.
func (s *scanner) colon() error {
	s.pos = skipSpace(s.data, s.pos)
	if !s.at(':') {
		return ErrSyntax
	}
	s.skip()
	return nil
}

// text reads the string whose opening quote is at pos, and reports whether it
// holds escapes.
func (s *scanner) text() (escaped bool, err error) {
	for i := s.pos + 1; ; {
		i = plain(s.data, i)
		if i >= len(s.data) {
			s.pos = len(s.data)
			return escaped, ErrSyntax
		}
		switch s.data[i] {
		case '"':
			s.pos = i + 1
			return escaped, nil
		case '\\':
			escaped = true
			n := escapeLen(s.data[i:])
			if n == 0 {
				s.pos = i
				return escaped, ErrSyntax
			}
			i += n
		default:
			s.pos = i
			return escaped, ErrSyntax
		}
	}
}

// literal reads the word at pos.
func (s *scanner) literal(word string) error {
	end := s.pos + len(word)
	if end > len(s.data) || string(s.data[s.pos:end]) != word {
		return ErrSyntax
	}
	s.pos = end
	return nil
}

// number reads the number at pos: -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?
func (s *scanner) number() error {
	if s.at('-') {
		s.pos++
	}
	if s.at('0') {
		s.pos++
	} else if !s.digits() {
		return ErrSyntax
	}
	if s.at('.') {
		s.pos++
		if !s.digits() {
			return ErrSyntax
		}
	}
	if s.at('e') || s.at('E') {
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		if !s.digits() {
			return ErrSyntax
		}
	}
	return nil
}

// digits reads decimal digits and reports whether there was one.
func (s *scanner) digits() bool {
	from := s.pos
	for s.pos < len(s.data) && s.data[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos > from
}

// at reports whether the byte at pos is c.
func (s *scanner) at(c byte) bool { return s.pos < len(s.data) && s.data[s.pos] == c }

// skip moves pos past its byte and the white space that follows.
func (s *scanner) skip() { s.pos = skipSpace(s.data, s.pos+1) }

// plain returns the index of the first byte from i on that is a quote, a
// backslash or a control character, or len(data). It looks at eight bytes at a
// time: payloads are mostly long plain strings.
func plain(data []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(data); i += 8 {
		w := binary.LittleEndian.Uint64(data[i:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		// Each term sets the high bit of the bytes that it looks for. A borrow can
		// set one too many, but only above the first, and only the first is used.
		found := ((w-ones*0x20)&^w | (quote-ones)&^quote | (slash-ones)&^slash) & highs
		if found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(data); i++ {
		if c := data[i]; c < 0x20 || c == '"' || c == '\\' {
			return i
		}
	}
	return i
}

// escapeLen returns the length of the escape that b begins with; 0 if it is not valid.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if unicodeEscape(b) >= 0 {
			return 6
		}
	}
	return 0
}

// skipSpace returns the index of the first byte from i on that is not white
// space, or len(data).
func skipSpace(data []byte, i int) int {
	for i < len(data) && isSpace(data[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }
