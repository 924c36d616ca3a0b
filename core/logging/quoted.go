package logging

import (
	"log/slog"
	"unicode/utf8"
)

// maxQuoted is how much of what a client sent is shown, in bytes.
const maxQuoted = 128

// Quoted returns an attribute that shows what a client sent: the beginning of it, if it is
// long. To quote it is the handler's.
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
