package nats

import "strings"

// escapeText returns text as the value of a header: on one line, and without white space at
// its ends, which would not arrive.
func escapeText(text string) string {
	plain := true
	for i := range len(text) {
		plain = plain && text[i] > ' ' && text[i] != escape && text[i] != 0x7f
	}
	if plain {
		return text
	}
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		edge := i == 0 || i == len(text)-1
		if c < ' ' || c == ' ' && edge || c == escape || c == 0x7f {
			b.Write([]byte{escape, upperHex[c>>4], upperHex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unescapeText returns the text of a header's value. What is no escape stands for itself.
func unescapeText(value string) string {
	if strings.IndexByte(value, escape) < 0 {
		return value
	}
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c == escape && i+2 < len(value) {
			high, low := strings.IndexByte(upperHex, value[i+1]), strings.IndexByte(upperHex, value[i+2])
			if high >= 0 && low >= 0 {
				c = byte(high<<4 | low)
				i += 2
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}
