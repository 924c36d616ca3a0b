package conversations

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// cutWord splits s into its first word and the rest. A word ends at white space; the rest is
// trimmed.
func cutWord(s string) (word, rest string) {
	s = strings.TrimSpace(s)
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimSpace(s[i:])
}

// cutQuoted splits s after the Go string at its beginning, quoted or in backquotes.
func cutQuoted(s string) (value, rest string, err error) {
	q, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", fmt.Errorf("%s is no quoted string, or has no end or a wrong escape", shorten(s))
	}
	value, err = strconv.Unquote(q)
	return value, strings.TrimSpace(s[len(q):]), err
}

// byteRun is a part of a byte pattern: exact bytes, or any run of bytes, which may be captured.
type byteRun struct {
	any  bool
	name string // of the capture
	data []byte
}

// parseBytes parses bytes as a script writes them: pairs of hexadecimal digits and Go strings,
// quoted or in backquotes, in any number, the word * for any bytes, and $name for bytes to be
// captured.
func parseBytes(s string) ([]byteRun, error) {
	var runs []byteRun
	s = strings.TrimSpace(s)
	for s != "" {
		var data []byte
		if s[0] == '"' || s[0] == '`' {
			value, rest, err := cutQuoted(s)
			if err != nil {
				return nil, err
			}
			data, s = []byte(value), rest
		} else {
			word, rest := cutWord(s)
			s = rest
			if word == "*" {
				runs = append(runs, byteRun{any: true})
				continue
			}
			if name, ok := strings.CutPrefix(word, "$"); ok && name != "" {
				runs = append(runs, byteRun{any: true, name: name})
				continue
			}
			var err error
			if data, err = hex.DecodeString(word); err != nil {
				return nil, fmt.Errorf("%s is neither hexadecimal nor a quoted string", shorten(word))
			}
		}
		if n := len(runs); n > 0 && !runs[n-1].any {
			runs[n-1].data = append(runs[n-1].data, data...)
		} else {
			runs = append(runs, byteRun{data: data})
		}
	}
	return runs, nil
}

// literalBytes parses bytes without * and captures.
func literalBytes(s string) ([]byte, error) {
	runs, err := parseBytes(s)
	if err != nil || len(runs) == 0 {
		return nil, err
	}
	if len(runs) > 1 || runs[0].any {
		return nil, errors.New("* and $name stand for bytes that are expected and cannot be sent")
	}
	return runs[0].data, nil
}
