package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Template is a pattern (see [MatchPattern]) of an access rule, in which {name} stands
// for a claim of the client and {subject} for its subject. A value is literal: a slash in it
// is a slash, and + and # in it are not wildcards, so a value never makes the pattern wider
// than it looks. If a claim is a list, each value counts. Texts, numbers and booleans are
// values; without a value (no such claim, an object, an empty text) the template matches
// nothing.
//
// A topic that begins with $ is matched only by a template that begins with a literal $,
// not by one that begins with a wildcard or a claim.
//
// A Template is immutable once parsed; any goroutine may use it. The zero value matches only
// the empty topic.
type Template struct {
	text  string
	parts []part
	wild  bool // it has a wildcard
}

// part is a piece of a template: text that holds slashes too, a claim, or a wildcard.
type part struct {
	kind partKind
	text string // the literal text, or the name of the claim
}

type partKind uint8

const (
	literal  partKind = iota
	claim             // {name}
	oneLevel          // +
	allRest           // #, always the last part
	anyLevel          // an empty level of a client's pattern; in no template
)

// subjectClaim is the name under which a template finds the subject.
const subjectClaim = "subject"

// ParseTemplate parses a template. The error says what is wrong with it.
func ParseTemplate(text string) (Template, error) {
	t := Template{text: text}
	if text == "" {
		return t, errors.New("is empty")
	}
	empty := false
	levels := strings.Split(text, "/")
	for i, level := range levels {
		if i > 0 {
			t.literal("/")
		}
		switch {
		case level == "":
			empty = true
		case level[0] != '+' && level[0] != '#':
			if err := t.level(level); err != nil {
				return Template{}, err
			}
		case strings.Contains(level, "{"):
			return Template{}, fmt.Errorf("%q: a wildcard takes the whole level", level)
		case level[0] == '+':
			t.wild = true
			t.parts = append(t.parts, part{kind: oneLevel})
		case i < len(levels)-1:
			return Template{}, fmt.Errorf("%q: # has no place but the last level", text)
		default:
			t.wild = true
			t.parts = append(t.parts, part{kind: allRest})
		}
	}
	if empty && t.wild {
		return Template{}, fmt.Errorf("%q: an empty level beside a wildcard would match any level", text)
	}
	return t, nil
}

// level adds a level without wildcard.
func (t *Template) level(level string) error {
	for level != "" {
		before, rest, found := strings.Cut(level, "{")
		if strings.Contains(before, "}") {
			return fmt.Errorf("%q: } without {", t.text)
		}
		t.literal(before)
		if !found {
			return nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || name == "" || strings.Contains(name, "{") {
			return fmt.Errorf("%q: a claim is written {name}, within one level", t.text)
		}
		t.parts = append(t.parts, part{kind: claim, text: name})
		level = after
	}
	return nil
}

// literal adds literal text.
func (t *Template) literal(text string) {
	if last := len(t.parts) - 1; last >= 0 && t.parts[last].kind == literal {
		t.parts[last].text += text
	} else if text != "" {
		t.parts = append(t.parts, part{text: text})
	}
}

// UnmarshalText parses a template.
func (t *Template) UnmarshalText(text []byte) (err error) {
	*t, err = ParseTemplate(string(text))
	return err
}

// String returns the template as it was written.
func (t *Template) String() string { return t.text }

// Match reports whether the template, filled in for by, matches topic. It does not
// allocate.
func (t *Template) Match(by *Identity, topic []byte) bool {
	if t.wild && len(topic) == 0 || len(topic) > 0 && topic[0] == '$' && !t.literalStart() {
		return false
	}
	return match(t.parts, by, topic)
}

// literalStart reports whether the template begins with literal text.
func (t *Template) literalStart() bool { return len(t.parts) > 0 && t.parts[0].kind == literal }

func match(parts []part, by *Identity, topic []byte) bool {
	for i, p := range parts {
		switch p.kind {
		case literal:
			if !hasPrefix(topic, p.text) {
				return false
			}
			topic = topic[len(p.text):]
		case claim:
			value := by.value(p.text)
			if values, ok := value.([]any); ok {
				return matchList(values, parts[i+1:], by, topic)
			}
			text := valueText(value)
			if text == "" || !hasPrefix(topic, text) {
				return false
			}
			topic = topic[len(text):]
		case oneLevel:
			n := levelLength(topic)
			if n == 0 {
				return false
			}
			topic = topic[n:]
		case allRest:
			return true
		}
	}
	return len(topic) == 0
}

// levelLength returns the length of the first level of topic.
func levelLength(topic []byte) int {
	if n := bytes.IndexByte(topic, '/'); n >= 0 {
		return n
	}
	return len(topic)
}

// matchList matches a claim that is a list, each of its values in turn, and then the rest.
func matchList(values []any, rest []part, by *Identity, topic []byte) bool {
	if slices.ContainsFunc(rest, func(p part) bool { return p.kind == claim }) {
		return matchLists(values, rest, by, topic)
	}
	for _, v := range values {
		if text := valueText(v); text != "" && hasPrefix(topic, text) && match(rest, by, topic[len(text):]) {
			return true
		}
	}
	return false
}

// matchLists is matchList for a rest with further claims. It follows all positions in topic
// that the parts so far can reach at once: trying each value of one claim with each of the
// others would take exponential time.
func matchLists(values []any, rest []part, by *Identity, topic []byte) bool {
	at := ends(values, topic, []int{0})
	for _, p := range rest {
		next := at[:0]
		switch p.kind {
		case literal:
			for _, i := range at {
				if hasPrefix(topic[i:], p.text) {
					next = append(next, i+len(p.text))
				}
			}
		case claim:
			value := by.value(p.text)
			values, ok := value.([]any)
			if !ok {
				values = []any{value}
			}
			next = ends(values, topic, at)
		case oneLevel:
			for _, i := range at {
				if n := levelLength(topic[i:]); n > 0 {
					next = append(next, i+n)
				}
			}
		case allRest:
			return len(at) > 0
		}
		at = slices.Compact(next)
	}
	return slices.Contains(at, len(topic))
}

// ends returns, in order, the positions in topic where a value that begins at one of at ends.
func ends(values []any, topic []byte, at []int) []int {
	var all []int
	for _, v := range values {
		if text := valueText(v); text != "" {
			for _, i := range at {
				if hasPrefix(topic[i:], text) {
					all = append(all, i+len(text))
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// value returns the claim of a template's {name}; nil if there is none.
func (i *Identity) value(name string) any {
	switch {
	case i == nil:
		return nil
	case name == subjectClaim:
		if i.Subject == "" {
			return nil
		}
		return &i.Subject
	}
	return i.Claims[name]
}

// valueText returns a single value as text; "" if v is not a text, number or boolean.
func valueText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case *string: // the subject: a pointer is not boxed
		return *v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "true"
		}
		return "false"
	}
	return ""
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}
