package rawjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// readAll runs every reader over data and checks what must hold for any bytes:
// the iterators accept what is valid and of their kind, and return sub-slices.
func readAll(t *testing.T, data []byte) {
	t.Helper()
	valid := json.Valid(data)
	m := Object(data)
	for m.Next() {
		if !json.Valid(m.Value()) || len(Trim(m.Value())) != len(m.Value()) {
			t.Errorf("object %q: value %q", data, m.Value())
		}
		m.Key()
	}
	if got, want := m.Err() == nil, valid && IsObject(data); got != want {
		t.Errorf("Object(%q).Err() = %v, want object %v", data, m.Err(), want)
	}
	e := Array(data)
	for e.Next() {
		if !json.Valid(e.Value()) {
			t.Errorf("array %q: element %q", data, e.Value())
		}
	}
	if got, want := e.Err() == nil, valid && IsArray(data); got != want {
		t.Errorf("Array(%q).Err() = %v, want array %v", data, e.Err(), want)
	}
	readText(t, data, valid)
}

func TestMembers(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{}`, ``},
		{` { } `, ``},
		{`{"a":1}`, `a=1;`},
		{` { "a" : 1 , "b" : [ 1, 2 ] } `, `a=1;b=[ 1, 2 ];`},
		{`{"a":1,"a":null}`, `a=1;a=null;`},
		{`{"":""}`, `="";`},
		{`{"\u0061\n\ud83d\ude00":"\u0061","b":{}}`, "a\n😀=\"\\u0061\";b={};"},
		{`{"\ud800x":0,"\"":1}`, "\ufffdx=0;\"=1;"},
	} {
		var got strings.Builder
		m := Object([]byte(c.text))
		for m.Next() {
			if m.Err() == nil {
				t.Errorf("%s: Err is nil before the end", c.text)
			}
			got.WriteString(string(m.Key()) + "=" + string(m.Value()) + ";")
		}
		if m.Err() != nil || got.String() != c.want {
			t.Errorf("%s: %q, %v, want %q", c.text, got.String(), m.Err(), c.want)
		}
		if m.Next() || m.Err() != nil {
			t.Errorf("%s: Next after the end", c.text)
		}
	}
}

// Members that stand before a fault are seen, but Err tells that they do not count.
func TestMembersOfBrokenObjects(t *testing.T) {
	for text, offset := range map[string]int{
		``: 0, `[]`: 0, `null`: 0, `{`: 1, `{"a"`: 4, `{"a":1`: 6, `{"a":1,}`: 7, `{"a":1;`: 6, `{"a":1} x`: 8, `{"a":1}}`: 7, `{1:2}`: 1,
		`{"a" 1}`: 5, `{"a":}`: 5,
	} {
		m := Object([]byte(text))
		for m.Next() {
		}
		var at *SyntaxError
		if err := m.Err(); !errors.As(err, &at) || at.Offset != offset || !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: %v, want offset %d", text, err, offset)
		}
		if m.Next() {
			t.Errorf("%q: Next after an error", text)
		}
	}
}

func TestKeyIs(t *testing.T) {
	for _, c := range []struct {
		key, name string
		want      bool
	}{
		{`"type"`, "type", true},
		{`"TYPE"`, "type", true},
		{`"tYpe"`, "type", true},
		{`"t\u0079pe"`, "type", true},
		{`"typ"`, "type", false},
		{`"types"`, "type", false},
		{`""`, "type", false},
		{`"topic "`, "topic", false},
		// encoding/json folds these too: the Kelvin sign and the long s.
		{`"` + "\u212a" + `"`, "k", true},
		{`"ba` + "\u017f" + `e"`, "base", true},
	} {
		m := Object([]byte(`{` + c.key + `:1}`))
		if !m.Next() {
			t.Fatalf("%s: %v", c.key, m.Err())
		}
		if got := m.KeyIs(c.name); got != c.want {
			t.Errorf("KeyIs(%s, %s) = %v, want %v", c.key, c.name, got, c.want)
		}
	}
}

func TestElements(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`[]`, ``}, {` [ ] `, ``}, {`[1]`, `1;`}, {` [ "a" , {"b":1} , null ] `, `"a";{"b":1};null;`},
	} {
		var got strings.Builder
		e := Array([]byte(c.text))
		for e.Next() {
			got.WriteString(string(e.Value()) + ";")
		}
		if e.Err() != nil || got.String() != c.want {
			t.Errorf("%s: %q, %v, want %q", c.text, got.String(), e.Err(), c.want)
		}
	}
	for _, text := range []string{``, `{}`, `[`, `[1`, `[1,`, `[1,]`, `[1]]`, `[1 2]`, `"[]"`} {
		e := Array([]byte(text))
		for e.Next() {
		}
		if !errors.Is(e.Err(), ErrSyntax) {
			t.Errorf("%s: %v, want ErrSyntax", text, e.Err())
		}
	}
}

// What an iterator returns cannot be appended to without a copy, so that its
// user cannot overwrite the frame by accident.
func TestValuesAreCapped(t *testing.T) {
	data := []byte(`{"key":"value","next":1}`)
	before := bytes.Clone(data)
	m := Object(data)
	m.Next()
	_ = append(m.Key(), "XXXX"...)
	_ = append(m.Value(), "XXXX"...)
	text, _ := Unquote(m.Value(), nil)
	_ = append(text, "XXXX"...)
	if !bytes.Equal(data, before) {
		t.Errorf("the object was overwritten: %s", data)
	}
}

func BenchmarkMembers(b *testing.B) {
	text := benchmarkTexts()["128B"]
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		m := Object(text)
		for m.Next() {
			if m.KeyIs("data") && len(m.Value()) == 0 {
				b.Fatal("no value")
			}
		}
		if m.Err() != nil {
			b.Fatal(m.Err())
		}
	}
}
