package conversations

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// capture sets name to the value, or compares it with the value that name already has.
func (v variables) capture(name, value, at string) string {
	known, ok := v[name]
	if !ok {
		v[name] = value
		return ""
	}
	if known != value {
		return fmt.Sprintf("%s is %s and $%s is %s", at, value, name, known)
	}
	return ""
}

// checkPattern checks whether a pattern is valid: one that begins like a JSON value must be one, so
// that a forgotten brace does not turn it into plain text.
func checkPattern(pattern string) error {
	filled, err := expand(pattern, func(expression string) (string, error) {
		if argument, ok := strings.CutPrefix(expression, "repeat "); ok {
			return repeat(argument)
		}
		return "0", nil
	})
	if err != nil {
		return err
	}
	if filled == "" || strings.IndexByte(`{["`, filled[0]) < 0 {
		return nil
	}
	_, err = parseJSON(filled)
	return err
}

// matchText compares got with a pattern whose ${…} are replaced: as JSON if both are JSON, else as
// text. It returns how they differ, or "".
func matchText(pattern, got string, v variables) string {
	want, err := parseJSON(pattern)
	if err != nil || want.kind == anyNode || want.kind == captureNode {
		return matchPlain(pattern, got, v)
	}
	value, err := parseValue(got)
	if err != nil {
		return "it is no JSON"
	}
	return matchJSON(want, value, "$", v)
}

var wildcard = regexp.MustCompile(`\\[*$\\]|\*|\$[0-9A-Za-z_]+`)

// matchPlain compares characters. * is any text and $name captures a non-empty text; a backslash
// makes *, $ and itself literal.
func matchPlain(pattern, got string, v variables) string {
	var expression strings.Builder
	var names []string
	end := 0
	for _, at := range wildcard.FindAllStringIndex(pattern, -1) {
		expression.WriteString(regexp.QuoteMeta(pattern[end:at[0]]))
		token := pattern[at[0]:at[1]]
		end = at[1]
		switch {
		case token == "*":
			expression.WriteString(".*")
		case token[0] == '\\':
			expression.WriteString(regexp.QuoteMeta(token[1:]))
		default:
			expression.WriteString("(.+?)")
			names = append(names, token[1:])
		}
	}
	expression.WriteString(regexp.QuoteMeta(pattern[end:]))
	re, err := regexp.Compile(`(?s)^` + expression.String() + `$`)
	if err != nil {
		return "the pattern cannot be used: " + err.Error()
	}
	found := re.FindStringSubmatch(got)
	if found == nil {
		return "the texts differ"
	}
	for i, name := range names {
		if why := v.capture(name, found[i+1], "the text in its place"); why != "" {
			return why
		}
	}
	return ""
}

// matchBytes reports whether got matches the runs, and captures what they name.
func matchBytes(runs []byteRun, got []byte, v variables) bool {
	if len(runs) == 0 {
		return len(got) == 0
	}
	run, rest := runs[0], runs[1:]
	if !run.any {
		after, ok := bytes.CutPrefix(got, run.data)
		return ok && matchBytes(rest, after, v)
	}
	for i := range len(got) + 1 {
		if matchBytes(rest, got[i:], v) {
			return run.name == "" || v.capture(run.name, string(got[:i]), "") == ""
		}
	}
	return false
}
