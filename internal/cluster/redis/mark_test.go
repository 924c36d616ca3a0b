package redis

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/polywire/polywire/core"
)

// normal returns a payload without the difference between no bytes and nil.
func normal(p core.Payload) core.Payload {
	if len(p.Data) == 0 {
		p.Data = nil
	}
	if len(p.UTF16) == 0 {
		p.UTF16 = nil
	}
	return p
}

// A message is JSON for everybody, and exactly its payload for a node.
func TestMessages(t *testing.T) {
	payload := func(kind core.PayloadKind, data string) core.Payload {
		return core.Payload{Kind: kind, Data: []byte(data)}
	}
	for _, c := range []struct {
		p    core.Payload
		json string
	}{
		{payload(core.JSON, ` {"a":1} `), `{"a":1}`},
		{payload(core.JSON, `"x"`), `"x"`},
		{payload(core.JSON, `{"$binary":"/w=="}`), `{"$binary":"/w=="}`},
		{core.Payload{}, `null`},
		{payload(core.Text, "null"), `null`},
		{payload(core.Text, `"x"`), `"x"`},
		{payload(core.Text, "x"), `"x"`},
		{payload(core.Text, ""), `""`},
		{payload(core.Text, " 5\n"), `5`},
		{payload(core.Text, "a\r\n\"\x00ü"), `"a\r\n\"\u0000ü"`},
		{payload(core.Binary, "x"), `"x"`},
		{payload(core.Binary, "5"), `5`},
		{payload(core.Binary, ""), `""`},
		{payload(core.Binary, "\xff"), `{"$binary":"/w=="}`},
		{core.TextUTF16(core.AppendUTF16(nil, []byte("ü😀"))), `"ü😀"`},
		{core.TextUTF16(core.AppendUTF16(nil, []byte("[1]"))), `[1]`},
	} {
		text := appendMessage(nil, c.p, 7)
		if got := string(bytes.Trim(text, " \t\r\n")); got != c.json {
			t.Errorf("%+v is published as %s, want %s", c.p, got, c.json)
		}
		body, f, n, ok := cutMark(text)
		got, err := readMarked(body, f)
		if !ok || n != 7 || err != nil || !reflect.DeepEqual(normal(got), normal(c.p)) {
			t.Errorf("%+v comes as %+v, %v", c.p, got, err)
		}
	}
}

// What nobody has marked is JSON, text or binary.
func TestSniff(t *testing.T) {
	for text, want := range map[string]core.Payload{
		`{"a":1}`:            {Kind: core.JSON, Data: []byte(`{"a":1}`)},
		`{"$binary":"/w=="}`: {Kind: core.Binary, Data: []byte("\xff")},
		`hello`:              {Kind: core.Text, Data: []byte("hello")},
		``:                   {Kind: core.Text, Data: []byte{}},
		"\xff":               {Kind: core.Binary, Data: []byte("\xff")},
		"{\"a\":1}\n\n\t ":   {Kind: core.JSON, Data: []byte("{\"a\":1}\n\n\t ")},
	} {
		if _, _, _, ok := cutMark([]byte(text)); ok {
			t.Errorf("%q has a mark", text)
		}
		if got := sniff([]byte(text)); !reflect.DeepEqual(normal(got), normal(want)) {
			t.Errorf("%q is %+v, want %+v", text, got, want)
		}
	}
}

// FuzzMark: every payload comes back as it was, from every node, and is JSON for everybody else.
func FuzzMark(f *testing.F) {
	f.Add(uint8(1), []byte(` {"a":1}`), uint64(1), false)
	f.Add(uint8(2), []byte("\t \r\t\n \r\n"), uint64(1<<48-1), true)
	f.Add(uint8(3), []byte("\xff"), uint64(0), false)
	f.Fuzz(func(t *testing.T, kind uint8, data []byte, node uint64, wide bool) {
		p := core.Payload{Kind: core.PayloadKind(kind % 4), Data: data}
		if wide {
			p = core.TextUTF16(core.AppendUTF16(nil, data))
		} else if p.Kind == core.Absent {
			p.Data = nil
		}
		if p.Check() != nil {
			return
		}
		node &= 1<<(2*numbered) - 1
		text := appendMessage(nil, p, number(node))
		if !json.Valid(text) {
			t.Fatalf("%q is no JSON", text)
		}
		body, form, n, ok := cutMark(text)
		if !ok || n != number(node) {
			t.Fatalf("the mark of %q is %v, %d", text, ok, n)
		}
		got, err := readMarked(body, form)
		if err != nil || !reflect.DeepEqual(normal(got), normal(p)) {
			t.Fatalf("%+v comes as %+v, %v", p, got, err)
		}
	})
}

// FuzzForged: no message makes a payload that is none.
func FuzzForged(f *testing.F) {
	for form := range formEnd {
		f.Add(appendMark([]byte(`"x"`), form, 3))
		f.Add(appendMark([]byte(`{`), form, 3))
		f.Add(appendMark([]byte("\xff"), form, 3))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		body, form, _, ok := cutMark(data)
		p, err := sniff(data), error(nil)
		if ok {
			p, err = readMarked(body, form)
		}
		if err == nil && p.Check() != nil {
			t.Errorf("%q is read as %+v: %v", data, p, p.Check())
		}
	})
}

// FuzzEvent: no event makes an entry that cannot be.
func FuzzEvent(f *testing.F) {
	f.Add([]byte("5\nclaim\nn-a-1-1\nn-a-1\n3\na\nb7\n[\"s\"]"))
	f.Add([]byte("5\nfree\nn-a-1-1\nn-a-1\n1\na"))
	f.Add([]byte("5\nend\nn-a-1-1\nn-a-1\n0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ev, err := decodeEvent(data)
		if err == nil {
			newView().apply(ev)
		}
	})
}
