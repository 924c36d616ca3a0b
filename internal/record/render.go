package record

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// message returns the statement of a message, without the name of its connection.
func (c *content) message(op ws.OpCode) string {
	arrow := ">"
	if c.server {
		arrow = "<"
	}
	all := string(c.head) + string(c.text)
	switch {
	case op == ws.OpBinary:
		return arrow + "b " + c.bytes(false)
	case !c.server && !c.wide && fits(all):
		return "> " + c.plain(escape)
	case c.server && len(c.head) == 0 && c.json && !c.wide:
		return "< " + c.plain(escapeJSON)
	case c.server && !c.wide && fits(all) && len(c.cuts)+len(c.headCuts) == 0:
		return "<= " + escape(all)
	case c.server && !c.wide && fits(all) && !strings.ContainsRune(`{["`, rune(all[0])):
		return "< " + c.plain(escapePattern)
	}
	return arrow + "t " + c.bytes(true)
}

// plain writes the content as a text, whose literal parts escape.
func (c *content) plain(escape func(string) string) string {
	var b strings.Builder
	join := func(text []byte, cuts []cut) {
		from := 0
		for _, x := range cuts {
			b.WriteString(escape(string(text[from:x.start])))
			b.WriteString(x.text(c.server))
			from = x.end
		}
		b.WriteString(escape(string(text[from:])))
	}
	join(c.head, c.headCuts)
	join(c.text, c.cuts)
	return b.String()
}

// text returns what stands for the cut in a text.
func (x *cut) text(server bool) string {
	name := x.v.name
	switch {
	case x.any:
		return "*"
	case x.form != "":
		return `"${` + x.form + " " + name + `}"`
	case x.v.captured && server && (x.captures || x.whole && !x.v.bare):
		return "$" + name
	case x.v.captured && x.whole && !x.v.bare:
		return "${" + name + "}"
	case x.whole && x.quoted:
		return "${json " + name + "}"
	case x.v.captured:
		return "${text " + name + "}"
	}
	return "${" + name + "}"
}

// bytes writes the content as bytes.
func (c *content) bytes(isText bool) string {
	var words []string
	join := func(text []byte, cuts []cut, wide bool) {
		from := 0
		for _, x := range cuts {
			words = append(words, literal(text[from:x.start], isText, wide)...)
			words = append(words, x.word(c.server, wide))
			from = x.end
		}
		words = append(words, literal(text[from:], isText, wide)...)
	}
	join(c.head, c.headCuts, false)
	join(c.text, c.cuts, c.wide)
	if len(words) == 0 {
		return `""`
	}
	return strings.Join(words, " ")
}

// word returns what stands for the cut among bytes.
func (x *cut) word(server, wide bool) string {
	switch s := x.text(server); {
	case x.any:
		return s
	case wide && x.quoted:
		return "2200 ${utf16 " + x.v.name + "} 2200"
	case wide:
		return "${utf16 " + x.v.name + "}"
	case strings.Contains(s, "${"):
		return "`" + s + "`"
	default:
		return s
	}
}

// literal writes bytes: readable runs quoted, and all else in hexadecimal.
func literal(b []byte, isText, wide bool) []string {
	switch {
	case len(b) == 0:
		return nil
	case wide:
		return []string{hex.EncodeToString(core.AppendUTF16(nil, b))}
	case isText:
		return []string{escape(strconv.Quote(string(b)))}
	}
	const readable = 3
	var words []string
	plain := 0 // where the bytes begin that are not written yet
	for i := 0; i < len(b); {
		end := i
		for b[i] > ' ' && end < len(b) && b[end] >= ' ' && b[end] <= '~' {
			end++
		}
		if end-i >= readable || end-i > 0 && end == len(b) && i == 0 {
			if i > plain {
				words = append(words, hex.EncodeToString(b[plain:i]))
			}
			words = append(words, escape(strconv.Quote(string(b[i:end]))))
			plain = end
		}
		i = max(end, i+1)
	}
	if plain < len(b) {
		words = append(words, hex.EncodeToString(b[plain:]))
	}
	return words
}

// escape keeps a text from being taken for an expression.
func escape(s string) string { return strings.ReplaceAll(s, "${", "$${") }

// escapeJSON is escape for JSON, whose white space between values fits on one line then.
func escapeJSON(s string) string {
	return escape(strings.Map(func(c rune) rune {
		if c == '\r' || c == '\n' || c == '\t' {
			return ' '
		}
		return c
	}, s))
}

var special = regexp.MustCompile(`[*$\\]`)

// escapePattern is escape for patterns.
func escapePattern(s string) string { return escape(special.ReplaceAllString(s, `\$0`)) }

// fits reports whether a text can stand on a line as it is.
func fits(s string) bool {
	return s != "" && utf8.ValidString(s) && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, unicode.IsControl)
}

// closing returns the statement of a close frame.
func (r *scribe) closing(server bool, payload []byte) string {
	arrow, escape := ">close", escape
	if server {
		arrow, escape = "<close", escapePattern
	}
	code, reason := ws.ParseCloseFrameData(payload)
	switch text := r.replaced(reason, escape); {
	case len(payload) < 2:
		return arrow
	case reason == "":
		return fmt.Sprintf("%s %d", arrow, code)
	case fits(reason):
		return fmt.Sprintf("%s %d %s", arrow, code, text)
	case server:
		return fmt.Sprintf("%s %d *", arrow, code)
	default:
		return fmt.Sprintf("%s %d", arrow, code)
	}
}

// replaced writes a text whose known values are replaced.
func (r *scribe) replaced(s string, escape func(string) string) string {
	c := content{text: []byte(s)}
	c.cuts = r.within(c.text, nil)
	return c.plain(escape)
}
