package record

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
)

// scribe writes what was said, with variables for what differs from run to run and for credentials. One
// goroutine.
type scribe struct {
	dissector      core.Dissector // nil knows that messages are JSON or text
	endpoint, path string         // as in Options
	values         *values
}

// cut is a stretch of a text that is not written as it was.
type cut struct {
	start, end int
	// any: anything may stand there. Otherwise v does.
	any bool
	v   variable
	// whole: it is a JSON value; quoted: a string, with its quotes. Otherwise it is a part of a text.
	whole, quoted bool
	// captures: it is the part of a text that gives v its value.
	captures bool
	// form is the function that turns v into what was written; "" is none.
	form string
}

// content is a message taken apart: head is the format's own, and text is what applications wrote, in UTF-8
// if it is text at all.
type content struct {
	head, text         []byte
	headCuts, cuts     []cut
	wide, json, server bool
}

// contentOf takes a message apart and finds what is not to be written.
func (r *scribe) contentOf(server bool, data []byte, d core.Dissection) content {
	c := content{head: data[:d.Start], text: data[d.Start:], wide: d.Wide, server: server}
	if c.wide {
		c.text = core.AppendUTF8(nil, c.text)
	}
	valid := utf8.Valid(c.text)
	c.json = valid && len(c.text) > 0 && json.Valid(c.text)
	switch {
	case d.Key:
		c.cuts = []cut{{end: len(c.text), v: r.values.given(string(c.text), "session")}}
	case c.json:
		scalars(c.text, r.values.credential, func(s scalar) {
			if x, ok := r.scalar(&c, s, d); ok {
				c.cuts = append(c.cuts, x)
			}
		})
	case valid:
		c.cuts = r.textCuts(&c)
	}
	c.cuts = r.within(c.text, c.cuts)
	c.headCuts = r.within(c.head, nil)
	return c
}

// scalar returns what is written in the place of a JSON scalar; false if it is written as it is.
func (r *scribe) scalar(c *content, s scalar, d core.Dissection) (cut, bool) {
	raw := c.text[s.start:s.end]
	x := cut{start: s.start, end: s.end, whole: true, quoted: raw[0] == '"'}
	if !x.quoted {
		return r.number(c, s, x, raw)
	}
	text := string(raw[1 : len(raw)-1])
	if strings.IndexByte(text, '\\') >= 0 && json.Unmarshal(raw, &text) != nil {
		return x, false
	}
	if text == "" {
		return x, false
	}
	if known, ok := r.values.known[text]; ok {
		x.v = known
		return x, true
	}
	if form, known := r.values.formOf(text); form != "" && !c.server {
		x.v, x.form = known, form
		return x, true
	}
	secret := s.secret || s.top && slices.Contains(d.Keys, s.key)
	if !secret && hasSecret(text) {
		if r.inner(c.server, raw, text) {
			return x, false
		}
		secret = true
	}
	made := c.server && s.top && slices.Contains(d.Made, s.key)
	ids, times := FindUUIDs(text), FindTimes(text)
	switch {
	case secret && s.top && slices.Contains(d.Keys, s.key):
		return r.replace(c, x, text, "session"), true
	case secret, made:
		return r.replace(c, x, text, hint(s.key, "secret")), true
	case !c.server:
		for _, at := range append(ids, times...) {
			r.values.say(text[at[0]:at[1]])
		}
	case r.values.news(text, ids):
		if _, _, _, known := r.values.find(raw, 0); known {
			return x, false // within it
		}
		return r.replace(c, x, text, hint(s.key, "id")), true
	case r.values.news(text, times):
		x.any = true
		return x, true
	}
	return x, false
}

// inner gives the secrets within a string variables of their own, as they may come again alone. It reports
// whether the string can be written around them.
func (r *scribe) inner(server bool, raw []byte, text string) bool {
	around := true
	for _, at := range secretText.FindAllStringSubmatchIndex(text, -1) {
		for g := 2; g < len(at); g += 2 {
			if at[g] < 0 {
				continue
			}
			secret := text[at[g]:at[g+1]]
			_, known := r.values.known[secret]
			r.values.given(secret, "secret")
			// Of a string that the server has made up, a part cannot be captured.
			around = around && (known || !server) && foundWithin(secret) && bytes.Contains(raw, []byte(secret))
		}
	}
	return around
}

func hint(key, otherwise string) string {
	if key == "" {
		return otherwise
	}
	return key
}

// number is scalar for what is no string.
func (r *scribe) number(c *content, s scalar, x cut, raw []byte) (cut, bool) {
	text := string(raw)
	switch {
	case raw[0] != '-' && (raw[0] < '0' || raw[0] > '9'): // true, false and null
		return x, false
	case s.secret:
		return r.replace(c, x, text, hint(s.key, "secret")), true
	case len(raw) < 10:
		return x, false
	case !c.server:
		r.values.say(text)
		return x, false
	case IsTime(raw, time.Now()) && !r.values.hasSaid(text):
		x.any = true
		return x, true
	}
	return x, false
}

// replace puts a variable into a cut: one that the server's message gives its value, or one that the
// player is given.
func (r *scribe) replace(c *content, x cut, value, hint string) cut {
	// What arrives as UTF-16 cannot be captured as text.
	var fresh bool
	x.v, fresh = r.values.variable(value, hint, variable{captured: c.server && !c.wide, bare: !x.whole})
	x.captures = fresh && !x.whole
	x.any = fresh && c.server && c.wide
	return x
}

// textCuts finds what is secret, an id or a time in text that is no JSON.
func (r *scribe) textCuts(c *content) (cuts []cut) {
	if mayHoldSecret(string(c.text)) {
		for _, at := range secretText.FindAllSubmatchIndex(c.text, -1) {
			for g := 2; g < len(at); g += 2 {
				if at[g] >= 0 {
					cuts = append(cuts, r.replace(c, cut{start: at[g], end: at[g+1]}, string(c.text[at[g]:at[g+1]]), "secret"))
				}
			}
		}
	}
	free := func(at []int) bool {
		return !slices.ContainsFunc(cuts, func(x cut) bool { return at[0] < x.end && x.start < at[1] })
	}
	for _, at := range FindUUIDs(string(c.text)) {
		id := string(c.text[at[0]:at[1]])
		_, known := r.values.known[id]
		switch {
		case !c.server:
			r.values.say(id)
		case !known && !r.values.hasSaid(id) && free(at):
			cuts = append(cuts, r.replace(c, cut{start: at[0], end: at[1]}, id, "id"))
		}
	}
	for _, at := range FindTimes(string(c.text)) {
		t := string(c.text[at[0]:at[1]])
		if !c.server {
			r.values.say(t)
		} else if !r.values.hasSaid(t) && free(at) {
			cuts = append(cuts, cut{start: at[0], end: at[1], any: true})
		}
	}
	slices.SortFunc(cuts, func(a, b cut) int { return a.start - b.start })
	return cuts
}

// within adds the known values that stand within what is left between cuts, which are in order.
func (r *scribe) within(text []byte, cuts []cut) []cut {
	if len(r.values.within) == 0 {
		return cuts
	}
	var all []cut
	from := 0
	upTo := func(end int) {
		for {
			start, stop, v, ok := r.values.find(text[:end], from)
			if !ok {
				return
			}
			all = append(all, cut{start: start, end: stop, v: v})
			from = stop
		}
	}
	for _, x := range cuts {
		upTo(x.start)
		all = append(all, x)
		from = x.end
	}
	upTo(len(text))
	return all
}

// dissect asks the format about a message.
func (r *scribe) dissect(server bool, f core.Frame) core.Dissection {
	if r.dissector == nil {
		return core.Dissection{}
	}
	d := r.dissector.Dissect(server, f)
	d.Start = min(max(d.Start, 0), len(f.Data))
	return d
}
