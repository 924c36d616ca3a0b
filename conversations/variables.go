package conversations

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// maxRepeat limits the bytes that one ${repeat} may make.
const maxRepeat = 128 << 20

// variables are the named values of a running script: captured ones, webhook.NAME, i in a repeated
// statement, and slowness. Used on one goroutine.
type variables map[string]string

// slowness is the name under which variables hold [Script.Slowness]. Scripts cannot write it.
const slowness = " slowness"

// expand replaces every ${…} in s; $${ is a plain ${.
func (v variables) expand(s string) (string, error) {
	return expand(s, v.value)
}

// expand replaces each ${expression} in s by the result of value. \} does not end an expression.
func expand(s string, value func(expression string) (string, error)) (string, error) {
	if !strings.Contains(s, "${") {
		return s, nil
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "${")
		if !found {
			b.WriteString(before)
			return b.String(), nil
		}
		if strings.HasSuffix(before, "$") {
			b.WriteString(before[:len(before)-1] + "${")
			s = rest
			continue
		}
		b.WriteString(before)
		expression, rest, err := cutExpression(rest)
		if err != nil {
			return "", err
		}
		s = rest
		out, err := value(expression)
		if err != nil {
			return "", err
		}
		b.WriteString(out)
	}
}

// cutExpression splits s after the } that ends the expression at its beginning.
func cutExpression(s string) (expression, rest string, err error) {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '}':
			return strings.ReplaceAll(s[:i], `\}`, "}"), s[i+1:], nil
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == '}':
			i++
		}
	}
	return "", "", fmt.Errorf("${%s has no }", shorten(s))
}

// value evaluates one expression.
func (v variables) value(expression string) (string, error) {
	function, argument, isCall := strings.Cut(expression, " ")
	if !isCall {
		return v.named(expression)
	}
	switch function {
	case "repeat":
		return repeat(argument)
	case "time":
		return v.time(argument)
	}
	raw, err := v.named(argument)
	if err != nil {
		return "", err
	}
	text := raw
	if strings.HasPrefix(raw, `"`) {
		if err := json.Unmarshal([]byte(raw), &text); err != nil {
			return "", fmt.Errorf("reading $%s as a JSON string: %w", argument, err)
		}
	}
	switch function {
	case "text":
		return text, nil
	case "upper":
		return strings.ToUpper(text), nil
	case "undashed":
		return strings.ReplaceAll(text, "-", ""), nil
	case "query":
		return url.QueryEscape(text), nil
	case "utf16":
		return wide(text), nil
	case "json":
		if raw != text {
			return raw, nil
		}
		var quoted strings.Builder
		e := json.NewEncoder(&quoted)
		e.SetEscapeHTML(false)
		err := e.Encode(text)
		return strings.TrimSpace(quoted.String()), err
	}
	return "", fmt.Errorf("there is no function %q: use repeat, time, text, upper, undashed, json, query or utf16", function)
}

func (v variables) named(name string) (string, error) {
	value, ok := v[name]
	if !ok {
		return "", fmt.Errorf("$%s has no value: capture it with an expectation before this line, or give it with --set %s=VALUE", name, name)
	}
	return value, nil
}

// wide returns text as hexadecimal UTF-16, little-endian.
func wide(text string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return hex.EncodeToString(b)
}

// time evaluates ${time D}.
func (v variables) time(argument string) (string, error) {
	d, err := parseDuration(argument)
	if err != nil {
		return "", err
	}
	if by, err := strconv.Atoi(v[slowness]); err == nil {
		d *= time.Duration(by)
	}
	return d.String(), nil
}

// repeat evaluates ${repeat N TEXT} from "N TEXT".
func repeat(argument string) (string, error) {
	count, text, ok := strings.Cut(argument, " ")
	n, err := strconv.Atoi(count)
	if !ok || err != nil || n < 0 {
		return "", fmt.Errorf("${repeat %s} is not ${repeat NUMBER TEXT}", shorten(argument))
	}
	if text != "" && n > maxRepeat/len(text) {
		return "", fmt.Errorf("${repeat %s} makes more than %d bytes", shorten(argument), maxRepeat)
	}
	return strings.Repeat(text, n), nil
}
