package logging

import (
	"log/slog"
	"unicode/utf8"
)

// maxQuoted is how much of a client's text is shown, in bytes.
const maxQuoted = 128

// Quoted returns an attribute that shows a client's text, cut off if it is long. The log
// handler does the quoting.
func Quoted(key, value string) slog.Attr {
	if len(value) > maxQuoted {
		cut := maxQuoted
		for cut > maxQuoted-utf8.UTFMax && !utf8.RuneStart(value[cut]) {
			cut--
		}
		value = value[:cut] + "…"
	}
	return slog.String(key, value)
}
