package rawjson

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// IsNull reports whether value, a JSON value as Value returns it, is null.
func IsNull(value []byte) bool { return begins(value, 'n') }

// IsString reports whether value, a JSON value as Value returns it, is a string.
func IsString(value []byte) bool { return begins(value, '"') }

// IsObject reports whether value, a JSON value as Value returns it, is an object.
func IsObject(value []byte) bool { return begins(value, '{') }

// IsArray reports whether value, a JSON value as Value returns it, is an array.
func IsArray(value []byte) bool { return begins(value, '[') }

// begins checks a value's kind: in well-formed JSON the first byte decides it.
func begins(value []byte, c byte) bool {
	i := skipSpace(value, 0)
	return i < len(value) && value[i] == c
}

// Unquote returns the decoded text of the string value; ok is false if value is
// not a string. value is a JSON value as Value returns it, with its quotes. The
// text is a sub-slice of value if that has no escapes, else it is appended to
// scratch[:0]. Half a surrogate pair becomes U+FFFD, as in encoding/json.
func Unquote(value, scratch []byte) (text []byte, ok bool) {
	inner, ok := inside(value)
	if !ok || bytes.IndexByte(inner, '\\') < 0 {
		return inner, ok
	}
	text, _ = appendUnescaped(scratch[:0], inner)
	return text, true
}

// AppendUnquoted appends the decoded text of the string value to dst. It returns
// dst unchanged and false if value is not a string, or if it escapes half a
// surrogate pair, which JSON allows but UTF-8 text cannot hold. value is a JSON
// value as Value returns it.
func AppendUnquoted(dst, value []byte) (text []byte, exact bool) {
	inner, ok := inside(value)
	if !ok {
		return dst, false
	}
	text, exact = appendUnescaped(dst, inner)
	if !exact {
		return text[:len(dst)], false
	}
	return text, true
}

// inside returns the bytes between the quotes of a string.
func inside(value []byte) ([]byte, bool) {
	if value = Trim(value); len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return nil, false
	}
	return value[1 : len(value)-1 : len(value)-1], true
}

// appendUnescaped appends b, the inside of a string, decoded. exact is false if
// something had to be replaced by U+FFFD.
func appendUnescaped(dst, b []byte) (_ []byte, exact bool) {
	exact = true
	for {
		i := bytes.IndexByte(b, '\\')
		if i < 0 {
			return append(dst, b...), exact
		}
		dst, b = append(dst, b[:i]...), b[i:]
		n := escapeLen(b)
		if n == 0 {
			// Not reached for a string that was scanned.
			return utf8.AppendRune(dst, utf8.RuneError), false
		}
		r := shortEscape(b[1])
		if n == 6 {
			r = unicodeEscape(b)
			if utf16.IsSurrogate(r) {
				// unicodeEscape is -1 where no second half follows, and DecodeRune U+FFFD then.
				if r = utf16.DecodeRune(r, unicodeEscape(b[6:])); r != utf8.RuneError {
					n = 12
				} else {
					exact = false
				}
			}
		}
		dst, b = utf8.AppendRune(dst, r), b[n:]
	}
}

// shortEscape returns the character that a backslash and c stand for.
func shortEscape(c byte) rune {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return rune(c)
}

// unicodeEscape returns the code unit of the \uXXXX at the beginning of b; -1 if
// there is none.
func unicodeEscape(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// AppendQuote appends text to dst as a JSON string, with its quotes. Only what
// RFC 8259 demands is escaped: the quote, the backslash and the control
// characters. Bytes that are not UTF-8 become U+FFFD.
func AppendQuote(dst, text []byte) []byte {
	dst = append(dst, '"')
	if !utf8.Valid(text) {
		for len(text) > 0 {
			r, n := utf8.DecodeRune(text)
			if r == utf8.RuneError {
				dst = utf8.AppendRune(dst, r)
			} else {
				dst = appendEscaped(dst, text[:n])
			}
			text = text[n:]
		}
		return append(dst, '"')
	}
	return append(appendEscaped(dst, text), '"')
}

// appendEscaped appends text, which is UTF-8, with the escapes that it needs.
func appendEscaped(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	for {
		i := plain(text, 0)
		dst = append(dst, text[:i]...)
		if i == len(text) {
			return dst
		}
		switch c := text[i]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		text = text[i+1:]
	}
}
