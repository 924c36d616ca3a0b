package rawjson

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// readText checks the string functions on any bytes: no panic, and agreement
// with encoding/json where data is a string of UTF-8.
func readText(t *testing.T, data []byte, valid bool) {
	t.Helper()
	text, ok := Unquote(data, nil)
	into, exact := AppendUnquoted([]byte("x"), data)
	if !exact && string(into) != "x" {
		t.Errorf("AppendUnquoted(%q) = %q, want dst as it was", data, into)
	}
	if !valid || !utf8.Valid(data) {
		return
	}
	if ok != IsString(data) {
		t.Errorf("Unquote(%q) = %v", data, ok)
	}
	if !ok {
		return
	}
	var want string
	if err := json.Unmarshal(data, &want); err != nil || string(text) != want {
		t.Errorf("Unquote(%q) = %q, want %q (%v)", data, text, want, err)
	}
	if exact && string(into) != "x"+want {
		t.Errorf("AppendUnquoted(%q) = %q, want %q", data, into, "x"+want)
	}
	var again string
	quoted := AppendQuote(nil, text)
	if err := json.Unmarshal(quoted, &again); err != nil || again != want {
		t.Errorf("AppendQuote(%q) = %s", text, quoted)
	}
}

func TestKinds(t *testing.T) {
	for value, want := range map[string]string{
		`null`: "null", `"a"`: "string", `{}`: "object", `[]`: "array", ` null `: "null", `1`: "", `true`: "", ``: "", ` `: "",
	} {
		var got string
		for kind, is := range map[string]func([]byte) bool{"null": IsNull, "string": IsString, "object": IsObject, "array": IsArray} {
			if is([]byte(value)) {
				got += kind
			}
		}
		if got != want {
			t.Errorf("%q is %q, want %q", value, got, want)
		}
	}
}

func TestUnquote(t *testing.T) {
	for _, c := range []struct {
		value, text string
		exact       bool
	}{
		{`""`, "", true},
		{`"a"`, "a", true},
		{`"\"\\\/\b\f\n\r\t"`, "\"\\/\b\f\n\r\t", true},
		{`"\u0041\u00e9\u20AC"`, "Aé€", true},
		{`"\ud83d\ude00!"`, "😀!", true},
		{`"\ufffd"`, "\ufffd", true},
		{`"\u0000"`, "\x00", true},
		{`"\ud800"`, "\ufffd", false},
		{`"\udc00"`, "\ufffd", false},
		{`"\ud800a"`, "\ufffda", false},
		{`"\ud800\u0041"`, "\ufffdA", false},
		{`"\ud800\ud83d\ude00"`, "\ufffd😀", false},
		{`"\ude00\ud83d"`, "\ufffd\ufffd", false},
		{`"\ud83d\n"`, "\ufffd\n", false},
	} {
		scratch := make([]byte, 0, 64)
		text, ok := Unquote([]byte(c.value), scratch)
		if !ok || string(text) != c.text {
			t.Errorf("Unquote(%s) = %q, %v, want %q", c.value, text, ok, c.text)
		}
		if strings.Contains(c.value, `\`) && &text[0] != &scratch[:1][0] {
			t.Errorf("Unquote(%s) did not use the scratch", c.value)
		}
		into, exact := AppendUnquoted([]byte("<"), []byte(c.value))
		want := "<"
		if c.exact {
			want += c.text
		}
		if exact != c.exact || string(into) != want {
			t.Errorf("AppendUnquoted(%s) = %q, %v, want %q", c.value, into, exact, want)
		}
	}
	for _, value := range []string{``, `"`, `1`, `null`, `{"a":"b"}`, `["a"]`, `a"`} {
		if text, ok := Unquote([]byte(value), nil); ok {
			t.Errorf("Unquote(%s) = %q, want no string", value, text)
		}
	}
}

func TestUnquoteWithoutEscapesIsASubSlice(t *testing.T) {
	value := []byte(`"plain"`)
	text, _ := Unquote(value, nil)
	if &text[0] != &value[1] {
		t.Error("the text was copied")
	}
}

func TestAppendQuote(t *testing.T) {
	for text, want := range map[string]string{
		"":                 `""`,
		"plain":            `"plain"`,
		"a\"b\\c/d":        `"a\"b\\c/d"`,
		"\b\f\n\r\t":       `"\b\f\n\r\t"`,
		"\x00\x1f\x7f":     `"\u0000\u001f` + "\x7f\"",
		"<>&\u2028é😀":      `"<>&` + "\u2028é😀\"",
		"a\xffb":           `"a` + "\ufffdb\"",
		"\"\xff\n":         `"\"` + "\ufffd" + `\n"`,
		"\xed\xa0\x80":     "\"\ufffd\ufffd\ufffd\"",
		"\ufffd":           "\"\ufffd\"",
		"01234567\n890123": `"01234567\n890123"`,
	} {
		if got := string(AppendQuote([]byte("x"), []byte(text))); got != "x"+want {
			t.Errorf("AppendQuote(%q) = %s, want %s", text, got, want)
		}
	}
}

func FuzzAppendQuote(f *testing.F) {
	f.Add([]byte("a\"b\\c\x00\xff\u2028"))
	f.Fuzz(func(t *testing.T, text []byte) {
		quoted := AppendQuote(nil, text)
		if !Valid(quoted) {
			t.Fatalf("AppendQuote(%q) = %s is no JSON", text, quoted)
		}
		back, ok := Unquote(quoted, nil)
		if want := bytes.Runes(text); !ok || string(back) != string(want) {
			t.Fatalf("%q came back as %q", text, back)
		}
	})
}

func BenchmarkAppendQuote(b *testing.B) {
	text := bytes.Repeat([]byte("plain text "), 12)
	dst := make([]byte, 0, 256)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		dst = AppendQuote(dst[:0], text)
	}
}
