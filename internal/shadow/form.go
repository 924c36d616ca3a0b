package shadow

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
	"github.com/polywire/polywire/internal/record"
)

// What stands in a form for ids and times. JSON and UTF-8 text do not hold these bytes.
const (
	idMark   = "\xff\x01"
	timeMark = "\xff\x02"
)

// form is a message in the form in which messages are compared: JSON with sorted members and without white
// space, marks for ids and times, and the ids in their order.
type form struct {
	text string
	ids  []string
}

// reader knows what a message of the format consists of.
type reader struct{ dissector core.Dissector }

// parts takes a message apart: head is the format's own, and text what applications wrote, in UTF-8 if it is
// text at all.
func (r reader) parts(server bool, op ws.OpCode, data []byte) (d core.Dissection, head, text []byte) {
	if r.dissector != nil {
		f := core.Frame{Kind: core.TextFrame, Data: data}
		if op == ws.OpBinary {
			f.Kind = core.BinaryFrame
		}
		d = r.dissector.Dissect(server, f)
		d.Start = min(max(d.Start, 0), len(data))
	}
	head, text = data[:d.Start], data[d.Start:]
	if d.Wide {
		text = core.AppendUTF8(nil, text)
	}
	return d, head, text
}

// form returns the form of a message of a server.
func (r reader) form(op ws.OpCode, data []byte) form {
	d, head, text := r.parts(true, op, data)
	w := formWriter{d: d, now: time.Now()}
	w.out = append(w.out, byte(op))
	w.free(string(head))
	w.out = append(w.out, 0)
	switch value, isJSON := decode(text); {
	case d.Key:
		w.id(string(text))
	case isJSON:
		w.value(value, "", 0)
	default:
		w.free(string(text))
	}
	return form{text: string(w.out), ids: w.ids}
}

// decode returns the value of a JSON text.
func decode(text []byte) (value any, ok bool) {
	if len(text) == 0 {
		return nil, false
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return nil, false
	}
	_, err := decoder.Token()
	return value, err == io.EOF
}

// formWriter writes a form.
type formWriter struct {
	d   core.Dissection
	now time.Time
	out []byte
	ids []string
}

func (w *formWriter) id(text string) {
	if len(text) > maxID {
		w.out = append(w.out, text...)
		return
	}
	w.out = append(w.out, idMark...)
	w.ids = append(w.ids, canonical(text))
}

// value writes a JSON value. key is the member of the outermost object that it is, at depth 1.
func (w *formWriter) value(value any, key string, depth int) {
	switch v := value.(type) {
	case map[string]any:
		w.out = append(w.out, '{')
		for _, name := range slices.Sorted(maps.Keys(v)) {
			w.out = append(strconv.AppendQuote(w.out, name), ':')
			w.value(v[name], name, depth+1)
			w.out = append(w.out, ',')
		}
		w.out = append(w.out, '}')
	case []any:
		w.out = append(w.out, '[')
		for _, element := range v {
			w.value(element, "", depth+2)
			w.out = append(w.out, ',')
		}
		w.out = append(w.out, ']')
	case string:
		w.out = append(w.out, '"')
		if depth == 1 && v != "" && (slices.Contains(w.d.Made, key) || slices.Contains(w.d.Keys, key)) && len(record.FindUUIDs(v)) == 0 {
			w.id(v)
		} else {
			w.free(strings.ReplaceAll(v, `"`, `""`))
		}
		w.out = append(w.out, '"')
	case json.Number:
		if number := []byte(v); record.IsTime(number, w.now) {
			w.out = append(w.out, timeMark...)
		} else {
			w.out = append(w.out, plainNumber(string(v))...)
		}
	case bool:
		w.out = strconv.AppendBool(w.out, v)
	default:
		w.out = append(w.out, "null"...)
	}
}

// plainNumber returns a number as each server that keeps its value may write it. Integers are exact.
func plainNumber(s string) string {
	if !strings.ContainsAny(s, ".eE") {
		return s
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return s
	}
	if text := strconv.FormatFloat(f, 'f', -1, 64); len(text) < 20 {
		return text
	}
	return strconv.FormatFloat(f, 'e', -1, 64)
}

// free writes text in which ids and times may stand anywhere.
func (w *formWriter) free(text string) {
	places, times := record.FindUUIDs(text), record.FindTimes(text)
	isTime := make(map[int]bool, len(times))
	for _, at := range times {
		isTime[at[0]] = true
	}
	places = append(places, times...)
	slices.SortFunc(places, func(a, b []int) int { return a[0] - b[0] })
	from := 0
	for _, at := range places {
		if at[0] < from {
			continue
		}
		w.out = append(w.out, text[from:at[0]]...)
		if isTime[at[0]] {
			w.out = append(w.out, timeMark...)
		} else {
			w.id(text[at[0]:at[1]])
		}
		from = at[1]
	}
	w.out = append(w.out, text[from:]...)
}

// canonical returns an id as it is remembered: a UUID in lower case with dashes. Those in braces and urns are
// found within them.
func canonical(id string) string {
	switch len(id) {
	case 36:
		if len(record.FindUUIDs(id)) == 1 {
			return strings.ToLower(id)
		}
	case 32:
		if _, err := hex.DecodeString(id); err == nil {
			id = strings.ToLower(id)
			return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
		}
	}
	return id
}

// mayHoldIDs is a filter before what is slow: false says that a message holds no ids.
func mayHoldIDs(d core.Dissection, data []byte) bool {
	if d.Key || len(data) >= 36 && bytes.Count(data, []byte("-")) >= 4 {
		return true
	}
	has := func(name string) bool { return bytes.Contains(data, []byte(name)) }
	return slices.ContainsFunc(d.Made, has) || slices.ContainsFunc(d.Keys, has)
}

// idsOf returns the ids in a message of a server.
func (r reader) idsOf(op ws.OpCode, data []byte) []string {
	if d, _, _ := r.parts(true, op, data); !mayHoldIDs(d, data) {
		return nil
	}
	return r.form(op, data).ids
}

// translate returns a message of a client with the ids that said returns for those in it; data itself if
// none changes. known is false if said does not know one.
func (r reader) translate(op ws.OpCode, data []byte, said func(id string) (string, bool)) (out []byte, known bool) {
	d, head, text := r.parts(false, op, data)
	if !mayHoldIDs(d, data) {
		return data, true
	}
	known = true
	changed := false
	replace := func(id string) string {
		if id == "" || len(id) > maxID {
			return id
		}
		plain := canonical(id)
		fresh, ok := said(plain)
		known = known && ok
		if !ok || fresh == plain {
			return id
		}
		changed = true
		return fresh
	}
	head = within(head, replace)
	if d.Key {
		text = []byte(replace(string(text)))
	} else {
		text = replaced(text, slices.Concat(d.Made, d.Keys), replace)
	}
	switch {
	case !changed:
		return data, known
	case d.Wide:
		text = core.AppendUTF16(nil, text)
	}
	return append(bytes.Clone(head), text...), known
}

// replaced returns a text in which UUIDs are replaced, and if it is a JSON object the named members that are
// strings.
func replaced(text []byte, names []string, replace func(string) string) []byte {
	if len(names) == 0 || !rawjson.IsObject(text) || !rawjson.Valid(text) {
		return within(text, replace)
	}
	out := []byte{'{'}
	for all := rawjson.Object(text); all.Next(); {
		if len(out) > 1 {
			out = append(out, ',')
		}
		key, value := string(all.Key()), all.Value()
		out = append(rawjson.AppendQuote(out, within([]byte(key), replace)), ':')
		if id, ok := rawjson.Unquote(value, nil); ok && slices.Contains(names, key) && utf8.Valid(id) && len(record.FindUUIDs(string(id))) == 0 {
			out = rawjson.AppendQuote(out, []byte(replace(string(id))))
		} else {
			out = append(out, within(value, replace)...)
		}
	}
	return append(out, '}')
}

// within returns a text in which UUIDs are replaced.
func within(text []byte, replace func(string) string) []byte {
	s := string(text)
	places := record.FindUUIDs(s)
	if len(places) == 0 {
		return text
	}
	var out []byte
	from := 0
	for _, at := range places {
		out = append(out, s[from:at[0]]...)
		out = append(out, replace(s[at[0]:at[1]])...)
		from = at[1]
	}
	return append(out, s[from:]...)
}

// similar reports whether two unequal messages of the servers are one and the same with another content.
func (r reader) similar(aOp, bOp ws.OpCode, a, b []byte) bool {
	if aOp != bOp {
		return false
	}
	_, aHead, aText := r.parts(true, aOp, a)
	_, bHead, bText := r.parts(true, bOp, b)
	plain := func(head []byte) string {
		var w formWriter
		w.free(string(head))
		return string(w.out)
	}
	if plain(aHead) != plain(bHead) {
		return len(aText)+len(bText) == 0 && len(aHead) > 0 && len(bHead) > 0 && aHead[0] == bHead[0] // of the format's own, of one kind
	}
	if len(aHead) > 0 {
		return true
	}
	aValue, _ := decode(aText)
	bValue, _ := decode(bText)
	aMembers, aOK := aValue.(map[string]any)
	bMembers, bOK := bValue.(map[string]any)
	if !aOK || !bOK {
		return false
	}
	equal, all := 0, len(aMembers)
	for name, value := range bMembers {
		other, ok := aMembers[name]
		if !ok {
			all++
			continue
		}
		x, y := formWriter{now: time.Now()}, formWriter{now: time.Now()}
		x.value(value, "", 2)
		y.value(other, "", 2)
		if bytes.Equal(x.out, y.out) {
			equal++
		}
	}
	return 2*equal >= all && equal > 0
}
