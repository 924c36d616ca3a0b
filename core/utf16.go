package core

import (
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// TextUTF16 returns the payload of a UTF-16 text: little-endian, without byte order mark and
// of even length, as a format that uses UTF-16 writes it. The payload retains wide.
func TextUTF16(wide []byte) Payload {
	if wide == nil {
		wide = []byte{}
	}
	return Payload{Kind: Text, Data: AppendUTF8(make([]byte, 0, len(wide)), wide), UTF16: wide}
}

// AppendUTF8 appends wide, UTF-16 in little-endian order and of even length, as
// UTF-8. Half a surrogate pair becomes U+FFFD.
func AppendUTF8(dst, wide []byte) []byte {
	for ; len(wide) >= 2; wide = wide[2:] {
		r := rune(binary.LittleEndian.Uint16(wide))
		if utf16.IsSurrogate(r) && len(wide) >= 4 {
			if pair := utf16.DecodeRune(r, rune(binary.LittleEndian.Uint16(wide[2:]))); pair != utf8.RuneError {
				r = pair
				wide = wide[2:]
			}
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// AppendUTF16 appends text as UTF-16 in little-endian order, without byte order
// mark. Invalid UTF-8 becomes U+FFFD.
func AppendUTF16(dst, text []byte) []byte {
	for _, r := range string(text) {
		if r > 0xFFFF {
			high, low := utf16.EncodeRune(r)
			dst = binary.LittleEndian.AppendUint16(dst, uint16(high))
			r = low
		}
		dst = binary.LittleEndian.AppendUint16(dst, uint16(r))
	}
	return dst
}
