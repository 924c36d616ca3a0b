package conversations

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// nodeKind is the kind of a JSON value, or of its placeholder in a pattern.
type nodeKind uint8

const (
	scalarNode nodeKind = iota // a number, true, false or null
	stringNode
	arrayNode
	objectNode
	anyNode     // *
	captureNode // $name
)

// node is a JSON value as written, so that a number keeps its digits.
type node struct {
	kind nodeKind
	// text is the raw JSON; the characters of a string; the name of a capture.
	text string
	// raw is the JSON of the value as written.
	raw      string
	elements []node
	members  []member
	// open is set for an object pattern that allows other members ("...").
	open bool
}

type member struct {
	name  string
	value node
}

var errNoJSON = errors.New("this is no JSON")

// parseValue parses one JSON value without placeholders.
func parseValue(s string) (node, error) {
	if !json.Valid([]byte(s)) {
		return node{}, errNoJSON
	}
	return parseJSON(s)
}

// parseJSON parses one JSON value that may contain *, $name and "...".
func parseJSON(s string) (node, error) {
	p := jsonParser{s: s}
	n, err := p.value()
	if err != nil {
		return node{}, err
	}
	p.space()
	if p.i < len(p.s) {
		return node{}, errNoJSON
	}
	return n, nil
}

// jsonParser reads s from i on.
type jsonParser struct {
	s string
	i int
}

func (p *jsonParser) space() {
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.i]) >= 0 {
		p.i++
	}
}

// take consumes the byte c if it is next.
func (p *jsonParser) take(c byte) bool {
	p.space()
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

func (p *jsonParser) value() (n node, err error) {
	p.space()
	start := p.i
	switch {
	case p.take('{'):
		n, err = p.object()
	case p.take('['):
		n, err = p.array()
	case p.take('*'):
		n = node{kind: anyNode}
	case p.take('$'):
		n = node{kind: captureNode, text: p.name()}
		if n.text == "" {
			err = errNoJSON
		}
	case p.i < len(p.s) && p.s[p.i] == '"':
		n, err = p.str()
	default:
		n, err = p.scalar()
	}
	n.raw = p.s[start:p.i]
	return n, err
}

func (p *jsonParser) name() string {
	start := p.i
	for p.i < len(p.s) && isNameByte(p.s[p.i]) {
		p.i++
	}
	return p.s[start:p.i]
}

func isNameByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func (p *jsonParser) str() (node, error) {
	start := p.i
	for p.i++; p.i < len(p.s); p.i++ {
		switch p.s[p.i] {
		case '\\':
			p.i++
		case '"':
			p.i++
			var text string
			err := json.Unmarshal([]byte(p.s[start:p.i]), &text)
			return node{kind: stringNode, text: text}, err
		}
	}
	p.i = len(p.s)
	return node{}, errNoJSON
}

func (p *jsonParser) scalar() (node, error) {
	start := p.i
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n,:]}", p.s[p.i]) < 0 {
		p.i++
	}
	text := p.s[start:p.i]
	if !json.Valid([]byte(text)) {
		return node{}, errNoJSON
	}
	return node{kind: scalarNode, text: text}, nil
}

func (p *jsonParser) array() (node, error) {
	n := node{kind: arrayNode}
	if p.take(']') {
		return n, nil
	}
	for {
		e, err := p.value()
		if err != nil {
			return n, err
		}
		n.elements = append(n.elements, e)
		if p.take(']') {
			return n, nil
		}
		if !p.take(',') {
			return n, errNoJSON
		}
	}
}

func (p *jsonParser) object() (node, error) {
	n := node{kind: objectNode}
	if p.take('}') {
		return n, nil
	}
	for {
		if err := p.member(&n); err != nil {
			return n, err
		}
		if p.take('}') {
			return n, nil
		}
		if !p.take(',') {
			return n, errNoJSON
		}
	}
}

// member parses one member of the object n, or its "...".
func (p *jsonParser) member(n *node) error {
	p.space()
	if strings.HasPrefix(p.s[p.i:], "...") {
		p.i += len("...")
		n.open = true
		return nil
	}
	if p.i >= len(p.s) || p.s[p.i] != '"' {
		return errNoJSON
	}
	key, err := p.str()
	if err != nil {
		return err
	}
	if !p.take(':') {
		return errNoJSON
	}
	value, err := p.value()
	n.members = append(n.members, member{key.text, value})
	return err
}

// matchJSON compares got with the pattern want and captures into v. It returns where and how they
// differ, or "".
func matchJSON(want, got node, at string, v variables) string {
	switch {
	case want.kind == anyNode:
		return ""
	case want.kind == captureNode:
		return v.capture(want.text, got.raw, at)
	case want.kind != got.kind:
		return fmt.Sprintf("%s is %s and not %s", at, got.raw, want.raw)
	case want.kind == arrayNode:
		return matchArray(want, got, at, v)
	case want.kind == objectNode:
		return matchObject(want, got, at, v)
	case want.text != got.text:
		return fmt.Sprintf("%s is %s and not %s", at, got.raw, want.raw)
	}
	return ""
}

func matchArray(want, got node, at string, v variables) string {
	if len(want.elements) != len(got.elements) {
		return fmt.Sprintf("%s has %d elements and not %d", at, len(got.elements), len(want.elements))
	}
	for i := range want.elements {
		if why := matchJSON(want.elements[i], got.elements[i], fmt.Sprintf("%s[%d]", at, i), v); why != "" {
			return why
		}
	}
	return ""
}

func matchObject(want, got node, at string, v variables) string {
	used := make([]bool, len(got.members))
	for _, w := range want.members {
		i := unusedMember(got.members, used, w.name)
		if i < 0 {
			return fmt.Sprintf("%s has no %q", at, w.name)
		}
		used[i] = true
		if why := matchJSON(w.value, got.members[i].value, at+"."+w.name, v); why != "" {
			return why
		}
	}
	for i, m := range got.members {
		if !used[i] && !want.open {
			return fmt.Sprintf("%s has %q besides", at, m.name)
		}
	}
	return ""
}

// unusedMember returns the index of the first unused member called name, so that members with the
// same name are compared in order; -1 if there is none.
func unusedMember(members []member, used []bool, name string) int {
	for i, m := range members {
		if m.name == name && !used[i] {
			return i
		}
	}
	return -1
}
