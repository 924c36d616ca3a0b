package matrix

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// The width of lines, and of the columns.
const (
	lineWidth   = 118
	labelWidth  = 29
	formatWidth = 17
	whatWidth   = 44
	sideBySide  = (lineWidth - labelWidth) / formatWidth
)

// labels are the properties of formats for people.
var labels = map[string]string{
	"max_message": "biggest message", "publish": "publish", "publish_acknowledged": "hear that it was accepted",
	"publish_refusal_told": "hear that it was refused", "publish_unheard_told": "hear that nobody heard it", "subscribe": "subscribe",
	"patterns": "subscribe to patterns", "unsubscribe": "unsubscribe", "subscribe_acknowledged": "hear that they subscribed",
	"hears_itself": "hear their own messages", "sees_topics": "see a message's topic", "own": "own a channel", "call": "call",
	"answer": "answer calls", "call_accepted_told": "hear that a call was taken", "no_service_told": "hear that nobody answers",
	"sessions": "restore sessions", "bytes": "send bytes", "null": "send null", "headers": "send headers", "utf16": "send UTF-16",
	"one_way": "call without an answer",
}

// names are what pairs carry, for people: the last parts of properties.
var names = map[string]string{
	"json": "JSON", "text": "text", "text_like_json": "text like 42", "empty": "empty text", "null": "null", "bytes": "bytes",
	"bytes_like_text": "bytes of a text", "utf16": "UTF-16", "headers": "headers", "topic": "topic", "odd_topic": "topic with é or comma",
	"long_topic": "topic of 300 bytes", "size": "size", "one_way": "no answer wanted", "code": "code", "number": "number as code",
}

// WriteText writes the matrix for people: what the clients of each format have words for, and for each pair what
// is lost, then what travels whole. What a format has no words for is in its own column alone. The lines have
// at most 120 characters, unless the names of endpoints are long.
func (m Matrix) WriteText(w io.Writer) error {
	var b strings.Builder
	var known []Format
	unknown := make(map[string]bool)
	for _, f := range m.Formats {
		if f.Known {
			known = append(known, f)
			continue
		}
		unknown[f.Name] = true
		fmt.Fprintf(&b, "%s (%s): messages of up to %s; what else its clients have words for, and what they carry, is not known here\n\n",
			f.Name, strings.Join(f.Endpoints, ", "), Size(f.Cells[0].Limit))
	}
	for some := range slices.Chunk(known, sideBySide) {
		writeFormats(&b, some)
	}
	for _, p := range m.Pairs {
		if !unknown[p.From] && !unknown[p.To] {
			p.write(&b)
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the matrix: %w", err)
	}
	return nil
}

func writeFormats(b *strings.Builder, formats []Format) {
	line := func(label string, column func(Format) string) {
		var text strings.Builder
		text.WriteString(pad(label, labelWidth))
		for _, f := range formats {
			text.WriteString(pad(column(f), formatWidth))
		}
		b.WriteString(strings.TrimRight(text.String(), " ") + "\n")
	}
	var notes []string
	line("CLIENTS OF", func(f Format) string { return f.Name })
	for i, property := range FormatProperties() {
		line(labels[property], func(f Format) string {
			c := f.Cells[i]
			switch {
			case c.Limit > 0:
				return Size(c.Limit)
			case c.Detail == "":
				return string(c.Outcome)
			case utf8.RuneCountInString(c.Detail) < formatWidth && (c.Outcome == Yes || strings.HasPrefix(c.Detail, "as ")):
				return c.Detail
			case property == "publish" || property == "call" || property == "answer":
				notes = append(notes, fmt.Sprintf("%s, %s: %s", f.Name, labels[property], c.Detail))
			}
			return string(c.Outcome)
		})
	}
	for _, f := range formats {
		if len(f.Endpoints) > 1 {
			notes = append(notes, f.Name+": "+strings.Join(f.Endpoints, ", "))
		}
	}
	for _, note := range notes {
		b.WriteString(note + "\n")
	}
	b.WriteString("\n")
}

// group is what has the same outcome: names of some kinds of content.
type group struct {
	kinds, names []string
	outcome      Outcome
	detail       string
}

func (p Pair) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s -> %s\n", p.From, p.To)
	groups := p.groups()
	for _, g := range groups {
		if g.outcome == Whole || g.outcome == Unsayable {
			continue
		}
		for i, line := range wrap(strings.Join(g.names, ", ")+" ("+strings.Join(g.kinds, ", ")+")", whatWidth-1) {
			if i > 0 {
				fmt.Fprintf(b, "  %s\n", line)
				continue
			}
			b.WriteString(strings.TrimRight("  "+pad(line, whatWidth)+"  "+pad(string(g.outcome), 9)+g.detail, " ") + "\n")
		}
	}
	var whole []string
	for _, g := range groups {
		if g.outcome == Whole {
			whole = append(whole, strings.Join(g.kinds, ", ")+": "+strings.Join(g.names, ", "))
		}
	}
	if len(whole) > 0 {
		for i, line := range wrap(strings.Join(whole, "; "), lineWidth-len("  whole:   ")) {
			b.WriteString([]string{"  whole:   ", "           "}[min(i, 1)] + line + "\n")
		}
	}
	b.WriteString("\n")
}

// groups puts together what has the same outcome.
func (p Pair) groups() (groups []group) {
	// First what is of one kind, then kinds of the same names.
	for _, c := range p.Cells {
		kind, name, _ := strings.Cut(c.Property, ".")
		one := group{[]string{kind}, []string{names[name]}, c.Outcome, c.Detail}
		if c.Limit > 0 && c.Outcome != Whole {
			one.detail = fmt.Sprintf("up to %d bytes; %s", c.Limit, c.Detail)
		}
		at := slices.IndexFunc(groups, func(g group) bool {
			return g.kinds[0] == kind && g.outcome == one.outcome && g.detail == one.detail
		})
		if at < 0 {
			groups = append(groups, one)
		} else {
			groups[at].names = append(groups[at].names, names[name])
		}
	}
	var joined []group
	for _, g := range groups {
		at := slices.IndexFunc(joined, func(j group) bool {
			return slices.Equal(j.names, g.names) && j.outcome == g.outcome && j.detail == g.detail
		})
		if at < 0 {
			joined = append(joined, g)
		} else {
			joined[at].kinds = append(joined[at].kinds, g.kinds...)
		}
	}
	return joined
}

// pad fills text up with spaces; there is one at least.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(1, width-utf8.RuneCountInString(text)))
}

// wrap breaks text at spaces into lines of at most width characters.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
