package conversations

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Parse parses a script. file is its name in reports. The error joins a [*Fault] for every invalid
// line; there is no script then.
func Parse(file string, text []byte) (*Script, error) {
	p := &parser{
		script:      &Script{File: file, Timeout: DefaultTimeout},
		connections: map[string]bool{},
		webhooks:    map[string]bool{},
	}
	lines := strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	for _, l := range p.group(p.config(lines)) {
		p.statement(l)
	}
	if len(p.faults) > 0 {
		return nil, errors.Join(p.faults...)
	}
	return p.script, nil
}

// parser is the state of one Parse.
type parser struct {
	script *Script
	faults []error
	// connections and webhooks are the names defined so far; begun is set by the first statement
	// that acts.
	connections, webhooks map[string]bool
	begun                 bool
}

// line is a statement with the lines indented under it.
type line struct {
	number int
	text   string
	block  []line
}

// syntaxError is a fault without its position.
type syntaxError struct{ what, do string }

func (e *syntaxError) Error() string { return e.what + "; " + e.do }

func wrong(do, what string, args ...any) error {
	return &syntaxError{fmt.Sprintf(what, args...), do}
}

// fault records an invalid line.
func (p *parser) fault(number int, err error) {
	f := &Fault{File: p.script.File, Line: number, What: err.Error(), Do: "correct this line"}
	if s, ok := errors.AsType[*syntaxError](err); ok {
		f.What, f.Do = s.what, s.do
	}
	p.faults = append(p.faults, f)
}

// config cuts the YAML between two lines of --- off the beginning, and leaves blank lines in its
// place so that line numbers stay the same.
func (p *parser) config(lines []string) []string {
	open := slices.IndexFunc(lines, func(l string) bool {
		return strings.TrimSpace(l) != "" && !strings.HasPrefix(l, "#")
	})
	if open < 0 || strings.TrimRight(lines[open], " \t") != "---" {
		return lines
	}
	length := slices.IndexFunc(lines[open+1:], func(l string) bool { return strings.TrimRight(l, " \t") == "---" })
	if length < 0 {
		p.fault(open+1, wrong("write --- in a line of its own behind it", "the configuration has no end"))
		return nil
	}
	p.script.Config = strings.Join(lines[open+1:open+1+length], "\n") + "\n"
	lines = slices.Clone(lines)
	for i := range length + 2 {
		lines[open+i] = ""
	}
	return lines
}

// group drops comments and blank lines and attaches indented lines to their statement.
func (p *parser) group(lines []string) []line {
	var grouped []line
	for i, text := range lines {
		trimmed := strings.TrimSpace(text)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		l := line{number: i + 1, text: trimmed}
		if text[0] != ' ' && text[0] != '\t' {
			grouped = append(grouped, l)
		} else if n := len(grouped); n > 0 {
			grouped[n-1].block = append(grouped[n-1].block, l)
		} else {
			p.fault(l.number, wrong("begin it in the first column", "an indented line belongs to no statement"))
		}
	}
	return grouped
}

// statement parses one statement into the script.
func (p *parser) statement(l line) {
	known, err := p.setting(l)
	if known || err != nil {
		if err != nil {
			p.fault(l.number, err)
		}
		return
	}
	if s, ok := p.complete(l); ok {
		p.begun = true
		p.script.statements = append(p.script.statements, s)
	}
}

// complete parses a statement that acts, with everything indented under it. It records its faults
// and returns false if there is no statement.
func (p *parser) complete(l line) (s statement, ok bool) {
	what, err := p.step(&l)
	if err != nil {
		p.fault(l.number, err)
		return statement{}, false
	}
	if len(l.block) > 0 {
		p.fault(l.block[0].number, wrong("begin the line in the first column", "nothing can be indented under %q", l.text))
	}
	return statement{line: l.number, text: l.text, step: what}, true
}

// setting parses the lines that apply to the whole script.
func (p *parser) setting(l line) (known bool, err error) {
	verb, rest := cutWord(l.text)
	switch {
	case verb == "timeout":
		p.script.Timeout, err = parseDuration(rest)
	case verb == "nosync" && rest == "":
		p.script.NoSync = true
	case verb == "webhook":
		err = p.newName(rest, p.webhooks)
		p.script.webhooks = append(p.script.webhooks, rest)
	default:
		return false, nil
	}
	if err == nil && p.begun {
		err = wrong("move it to the beginning of the script", "%q holds for the whole script", l.text)
	}
	if err == nil && len(l.block) > 0 {
		err = wrong("begin the next line in the first column", "nothing can be indented under %q", l.text)
	}
	return true, err
}

// step parses one statement that acts. It removes from l.block the lines that it uses.
func (p *parser) step(l *line) (step, error) {
	verb, rest := cutWord(l.text)
	switch verb {
	case "connect", "dial":
		return p.connect(verb, rest, l)
	case "http":
		return p.http(rest, l)
	case "metric":
		return p.metric(rest)
	case "sync":
		if !p.connections[rest] {
			return nil, p.unknown(rest)
		}
		return &habitStep{rest, syncNow}, nil
	case "repeat":
		return p.repeat(rest, l)
	case "pause":
		wait, err := parseDuration(rest)
		return pauseStep{wait}, err
	case "broker":
		if rest != "stop" {
			return nil, wrong("write \"broker stop\"", "a broker has no %q", rest)
		}
		return stopStep{}, nil
	}
	switch {
	case p.connections[verb]:
		return p.connectionStep(verb, rest, l)
	case p.webhooks[verb]:
		return p.webhookStep(verb, rest, l)
	}
	return nil, p.unknown(verb)
}

func (p *parser) unknown(name string) error {
	names := slices.Sorted(maps.Keys(p.connections))
	names = append(names, slices.Sorted(maps.Keys(p.webhooks))...)
	if len(names) == 0 {
		names = []string{"none"}
	}
	return wrong(fmt.Sprintf("write \"connect %s ENDPOINT\" above, or one of the names known here: %s", name, strings.Join(names, ", ")),
		"%q is neither a statement nor the name of a connection", name)
}

// statements are the reserved words, which cannot be names.
var statements = []string{
	"connect", "dial", "http", "metric", "sync", "repeat", "pause", "broker", "timeout", "nosync", "webhook",
}

// newName defines name.
func (p *parser) newName(name string, among map[string]bool) error {
	for i := range len(name) {
		if !isNameByte(name[i]) && name[i] != '-' {
			return wrong("use letters, digits, _ and -", "%q is no name", name)
		}
	}
	switch {
	case name == "":
		return wrong("write one", "the name is missing")
	case slices.Contains(statements, name):
		return wrong("choose another", "%q cannot be a name, it is a statement", name)
	case p.connections[name] || p.webhooks[name]:
		return wrong("choose another", "the name %q is taken", name)
	}
	among[name] = true
	return nil
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, wrong("write it as 200ms or 2s", "%q is no duration", s)
	}
	return d, nil
}

// parseField parses "Name: value".
func parseField(s string) (field, error) {
	name, value, ok := strings.Cut(s, ":")
	if !ok || name == "" {
		return field{}, wrong("write Name: value", "%q is no header", shorten(s))
	}
	return field{name, strings.TrimSpace(value)}, nil
}
