package network

import "unicode/utf8"

// utf8Stream validates UTF-8 that arrives in pieces and fails at the first byte
// that cannot be part of any valid text (RFC 6455, section 8.1). The zero value
// is the start of a text.
type utf8Stream struct {
	tail [utf8.UTFMax]byte // the beginning of a rune cut by the end of a piece
	n    uint8
}

// feed takes the next piece; last says that the text ends with it. It reports
// whether the text is valid so far. After the last piece u is ready for a new text.
func (u *utf8Stream) feed(b []byte, last bool) bool {
	for u.n > 0 && len(b) > 0 {
		u.tail[u.n] = b[0]
		u.n++
		b = b[1:]
		if t := u.tail[:u.n]; utf8.FullRune(t) {
			if r, size := utf8.DecodeRune(t); r == utf8.RuneError && size == 1 {
				return false
			}
			u.n = 0
		}
	}
	if u.n == 0 {
		cut := len(b)
		for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax+1; i-- {
			if utf8.RuneStart(b[i]) {
				if !utf8.FullRune(b[i:]) {
					cut = i
				}
				break
			}
		}
		if !utf8.Valid(b[:cut]) {
			return false
		}
		u.n = uint8(copy(u.tail[:], b[cut:]))
	}
	if last {
		ok := u.n == 0
		u.n = 0
		return ok
	}
	return true
}
