package webwire

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// A name is printable ASCII, a topic is any UTF-8. The mapping between them is one to one in
// both directions, so that every name and every topic comes back unchanged:
//
//   - A character that is no printable ASCII is its UTF-8 bytes, each as % and two
//     hex digits in upper case: é is %C3%A9. That is an escape.
//   - A topic that itself contains what would read as an escape, or as an escape
//     with any number of 25 after its first %, gets one 25 more there: the topic
//     %C3%A9 is the name %25C3%A9, and that topic is the name %2525C3%A9.
//   - All else stands for itself, every other % included: 100%, %41, %c3%a9, %25
//     and %FF (which is no character) are the same as name and as topic.
//
// So a name without an escape, which is every name in use, is the topic to the byte.

var errTopic = errors.New("a topic that is not UTF-8")

const hexDigits = "0123456789ABCDEF"

// appendName appends topic as a name, of any length.
func appendName(dst, topic []byte) ([]byte, error) {
	for i := 0; i < len(topic); {
		c := topic[i]
		if c >= ' ' && c <= '~' {
			dst = append(dst, c)
			if c == '%' {
				if _, _, size := scanEscape(topic[i:]); size > 0 {
					dst = append(dst, "25"...)
				}
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(topic[i:])
		if r == utf8.RuneError && size == 1 {
			return dst, errTopic
		}
		for _, b := range topic[i : i+size] {
			dst = append(dst, '%', hexDigits[b>>4], hexDigits[b&15])
		}
		i += size
	}
	return dst, nil
}

// topicOf returns the topic that name, printable ASCII, stands for. It lies in
// the same memory: name is overwritten if it has escapes.
func topicOf(name []byte) []byte {
	i := bytes.IndexByte(name, '%')
	if i < 0 {
		return name
	}
	topic := name[:i]
	for i < len(name) {
		r, guards, size := scanEscape(name[i:])
		switch {
		case size == 0:
			topic = append(topic, name[i])
			i++
		case guards > 0:
			topic = append(topic, '%')
			i += len("%25")
		default:
			topic = utf8.AppendRune(topic, r)
			i += size
		}
	}
	return topic
}

// scanEscape reads an escape at the start of s: its character, how many 25 stand
// after its first %, and its size with them; size 0 if there is none.
func scanEscape(s []byte) (r rune, guards, size int) {
	if len(s) == 0 || s[0] != '%' {
		return 0, 0, 0
	}
	rest := s[1:]
	for bytes.HasPrefix(rest, []byte("25")) {
		rest = rest[2:]
		guards++
	}
	var char [utf8.UTFMax]byte
	n := 0
	for ok := true; n == 0 || !utf8.FullRune(char[:n]); n++ {
		if n > 0 {
			if len(rest) == 0 || rest[0] != '%' {
				return 0, 0, 0
			}
			rest = rest[1:]
		}
		if char[n], ok = hexByte(rest); !ok {
			return 0, 0, 0
		}
		rest = rest[2:]
	}
	r, width := utf8.DecodeRune(char[:n])
	if width != n || r == utf8.RuneError && width == 1 || r >= ' ' && r <= '~' {
		return 0, 0, 0
	}
	return r, guards, len(s) - len(rest)
}

// hexByte reads two hex digits in upper case.
func hexByte(s []byte) (b byte, ok bool) {
	if len(s) < 2 {
		return 0, false
	}
	for _, c := range s[:2] {
		digit := bytes.IndexByte([]byte(hexDigits), c)
		if digit < 0 {
			return 0, false
		}
		b = b<<4 | byte(digit)
	}
	return b, true
}
