package config

import (
	"fmt"
	"strings"
)

// interpolate replaces ${NAME} and ${NAME:-default} in s by the result of lookup; $${ becomes ${. A
// default is taken literally, up to the next brace. The errors are worded to follow a path.
func interpolate(s string, lookup func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			b.WriteString(s)
			return b.String(), nil
		}
		if i > 0 && s[i-1] == '$' {
			b.WriteString(s[:i-1])
			b.WriteString("${")
			s = s[i+2:]
			continue
		}
		b.WriteString(s[:i])
		inside, rest, closed := strings.Cut(s[i+2:], "}")
		if !closed {
			return "", fmt.Errorf("${ without a closing }; write $${ for a plain ${")
		}
		value, err := variable(inside, lookup)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		s = rest
	}
}

// variable returns the value of NAME or NAME:-default.
func variable(inside string, lookup func(string) (string, bool)) (string, error) {
	name, fallback, hasFallback := strings.Cut(inside, ":-")
	if !validVariable(name) {
		return "", fmt.Errorf("${%s} names no environment variable", inside)
	}
	value, ok := lookup(name)
	switch {
	case hasFallback && value == "":
		return fallback, nil
	case !ok:
		return "", fmt.Errorf("environment variable %s is not set; ${%s:-default} would allow that", name, name)
	}
	return value, nil
}

func validVariable(name string) bool {
	for i, c := range name {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
