package core

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/polywire/polywire/core/rawjson"
)

func TestMapping(t *testing.T) {
	for _, c := range []struct {
		name       string
		payload    Payload
		json, text string
	}{
		{"absent", Payload{}, `null`, ``},
		{"null", jsonPayload(`null`), `null`, `null`},
		{"big integer", jsonPayload(`9007199254740993`), `9007199254740993`, `9007199254740993`},
		{"beyond float64", jsonPayload(`1e400`), `1e400`, `1e400`},
		{"object as written", jsonPayload(`{ "b":1, "a":"<\u0041>", "b":2 }`), `{ "b":1, "a":"<\u0041>", "b":2 }`, `{ "b":1, "a":"<\u0041>", "b":2 }`},
		{"white space around", jsonPayload(" {\"a\": 1}\r\n\t"), `{"a": 1}`, `{"a": 1}`},
		{"string", jsonPayload(`"hello"`), `"hello"`, `hello`},
		{"string, white space around", jsonPayload(` "hello" `), `"hello"`, `hello`},
		{"string with escapes", jsonPayload(`"a\n\"\u00e9\ud83d\ude00"`), `"a\n\"\u00e9\ud83d\ude00"`, "a\n\"é😀"},
		{"empty string", jsonPayload(`""`), `""`, ``},
		{"string of a number", jsonPayload(`"42"`), `"42"`, `"42"`},
		{"string of a spaced number", jsonPayload(`" 1 "`), `" 1 "`, `" 1 "`},
		{"string of null", jsonPayload(`"null"`), `"null"`, `"null"`},
		{"string of an escaped number", jsonPayload(`"\u0034"`), `"\u0034"`, `"\u0034"`},
		{"string of a string", jsonPayload(`"\"x\""`), `"\"x\""`, `"\"x\""`},
		{"string of an object", jsonPayload(`"{\"a\":1}"`), `"{\"a\":1}"`, `"{\"a\":1}"`},
		{"string of nearly JSON", jsonPayload(`"{a:1}"`), `"{a:1}"`, `{a:1}`},
		{"lone surrogate", jsonPayload(`"a\ud800"`), `"a\ud800"`, `"a\ud800"`},
		{"replacement character", jsonPayload(`"\ufffd"`), `"\ufffd"`, "\ufffd"},
		{"text", textPayload("hello \"you\"\n"), `"hello \"you\"\n"`, "hello \"you\"\n"},
		{"empty text", textPayload(""), `""`, ``},
		{"text of JSON", textPayload(` {"a":1} `), `{"a":1}`, ` {"a":1} `},
		{"text of a JSON string", textPayload(`"42"`), `"42"`, `"42"`},
		{"text of white space", textPayload(" \n"), `" \n"`, " \n"},
		{"bytes of text", binaryPayload("héllo"), `"héllo"`, `héllo`},
		{"bytes of JSON", binaryPayload(`[1]`), `[1]`, `[1]`},
		{"no bytes", binaryPayload(""), `""`, ``},
		{"bytes", binaryPayload("\xff\x00\xfe"), `{"$binary":"/wD+"}`, `{"$binary":"/wD+"}`},
		{"bytes with padding", binaryPayload("\xff"), `{"$binary":"/w=="}`, `{"$binary":"/w=="}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(AppendJSON([]byte("dst"), c.payload)); got != "dst"+c.json {
				t.Errorf("as JSON: %s, want dst%s", got, c.json)
			}
			if got := string(AppendText([]byte("dst"), c.payload)); got != "dst"+c.text {
				t.Errorf("as text: %s, want dst%s", got, c.text)
			}
		})
	}
}

func TestFromJSON(t *testing.T) {
	for raw, want := range map[string]Payload{
		`{"$binary":"/wD+"}`:                  binaryPayload("\xff\x00\xfe"),
		` { "$binary" : "\/w==" } `:           binaryPayload("\xff"),
		`{"$binary":"/x=="}`:                  jsonPayload(`{"$binary":"/x=="}`),
		`{"$binary":"/w"}`:                    jsonPayload(`{"$binary":"/w"}`),
		`{"$binary":"/w\n=="}`:                jsonPayload(`{"$binary":"/w\n=="}`),
		`{"$binary":"_w=="}`:                  jsonPayload(`{"$binary":"_w=="}`),
		`{"$binary":"aGVsbG8="}`:              jsonPayload(`{"$binary":"aGVsbG8="}`),
		`{"$binary":""}`:                      jsonPayload(`{"$binary":""}`),
		`{"$binary":1}`:                       jsonPayload(`{"$binary":1}`),
		`{"$binary":null}`:                    jsonPayload(`{"$binary":null}`),
		`{"$Binary":"/w=="}`:                  jsonPayload(`{"$Binary":"/w=="}`),
		`{"$binary":"/w==","a":1}`:            jsonPayload(`{"$binary":"/w==","a":1}`),
		`{"$binary":"/w==","$binary":"/w=="}`: jsonPayload(`{"$binary":"/w==","$binary":"/w=="}`),
		`[{"$binary":"/w=="}]`:                jsonPayload(`[{"$binary":"/w=="}]`),
		`"$binary"`:                           jsonPayload(`"$binary"`),
		`{}`:                                  jsonPayload(`{}`),
		`null`:                                jsonPayload(`null`),
	} {
		if got := FromJSON([]byte(raw)); !reflect.DeepEqual(got, want) {
			t.Errorf("FromJSON(%s) = {%d %q}, want {%d %q}", raw, got.Kind, got.Data, want.Kind, want.Data)
		}
	}
}

func TestMappingAllocatesNothing(t *testing.T) {
	dst := make([]byte, 0, 256)
	for name, p := range map[string]Payload{
		"JSON":        jsonPayload(`{"n":9007199254740993}`),
		"JSON string": jsonPayload(`"a\nb"`),
		"text":        textPayload("some \"text\""),
		"JSON text":   textPayload(`{"n":1}`),
		"binary":      binaryPayload("\xff\xfe"),
	} {
		if n := testing.AllocsPerRun(100, func() { dst = AppendJSON(dst[:0], p) }); n != 0 {
			t.Errorf("AppendJSON of %s: %v allocations", name, n)
		}
		if n := testing.AllocsPerRun(100, func() { dst = AppendText(dst[:0], p) }); n != 0 {
			t.Errorf("AppendText of %s: %v allocations", name, n)
		}
	}
	raw := []byte(`{"a":{"$binary":"/w=="}}`)
	if n := testing.AllocsPerRun(100, func() { FromJSON(raw) }); n != 0 {
		t.Errorf("FromJSON of JSON: %v allocations", n)
	}
}

// For every JSON value, JSON to text to JSON is the same value, and so is JSON
// read and written again. For all bytes, what is written as JSON is JSON.
func FuzzMapping(f *testing.F) {
	for _, seed := range []string{
		`9007199254740993`, `1e400`, `-0`, `{"a":1,"a":2}`, `"a\u0000\n\"\\\/"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ude00\ud83d"`,
		`""`, `" 1 "`, `"null"`, `"\"x\""`, `"\"\\ud800\""`, `" "`, ` [ 1 ] `, `"[1"`, `"\u005b1]"`, `{"$binary":"/w=="}`,
		`{"$binary":"aGk="}`, `{"$binary":"/w\n=="}`, `"{\"$binary\":\"/w==\"}"`, `"\ufffd"`, "\xff\x00", `"\ufeff1"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, p := range []Payload{{Kind: Binary, Data: data}, {Kind: Text, Data: data}, {Kind: JSON, Data: data}} {
			if p.Kind == Text && !utf8.Valid(data) || p.Kind == JSON && !(json.Valid(data) && utf8.Valid(data)) {
				continue
			}
			asJSON := AppendJSON(nil, p)
			if !json.Valid(asJSON) || !utf8.Valid(asJSON) {
				t.Fatalf("kind %d: %q became %q, no JSON", p.Kind, data, asJSON)
			}
			if back := AppendJSON(nil, FromJSON(asJSON)); !sameValue(back, asJSON) {
				t.Fatalf("kind %d: %s read and written is %s", p.Kind, asJSON, back)
			}
			text := AppendText(nil, p)
			if !utf8.Valid(text) {
				t.Fatalf("kind %d: %q became the text %q", p.Kind, data, text)
			}
			if back := AppendJSON(nil, Payload{Kind: Text, Data: text}); !sameValue(back, asJSON) {
				t.Fatalf("kind %d: %s as text is %q, which is %s", p.Kind, asJSON, text, back)
			}
		}
	})
}

// sameValue reports whether two JSON texts are the same to the byte, except for
// how a string is escaped and for the spelling of a $binary object.
func sameValue(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if bytesA, ok := fromBinaryObject(a); ok {
		bytesB, ok := fromBinaryObject(b)
		return ok && bytes.Equal(bytesA, bytesB)
	}
	textA, exactA := rawjson.AppendUnquoted(nil, a)
	textB, exactB := rawjson.AppendUnquoted(nil, b)
	return exactA && exactB && bytes.Equal(textA, textB)
}

func BenchmarkAppendJSON(b *testing.B) {
	dst := make([]byte, 0, 256)
	for name, p := range map[string]Payload{
		"JSON": jsonPayload(`{"n":9007199254740993,"text":"some words that fill a line"}`),
		"text": textPayload("some words that fill a line and then a little bit of another"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				dst = AppendJSON(dst[:0], p)
			}
		})
	}
}

func jsonPayload(s string) Payload   { return Payload{Kind: JSON, Data: []byte(s)} }
func textPayload(s string) Payload   { return Payload{Kind: Text, Data: []byte(s)} }
func binaryPayload(s string) Payload { return Payload{Kind: Binary, Data: []byte(s)} }
