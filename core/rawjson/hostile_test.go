package rawjson_test

import (
	"testing"

	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/core/rawjson"
)

// readEverything reads text in all ways that there are.
func readEverything(text []byte) {
	_ = rawjson.Check(text)
	_ = rawjson.Valid(text)
	_ = rawjson.Deeper(text, 10)
	read := func(value []byte) {
		quoted, _ := rawjson.Unquote(value, nil)
		quoted, _ = rawjson.AppendUnquoted(quoted, value)
		_ = rawjson.AppendQuote(quoted, value)
	}
	read(rawjson.Trim(text))
	members := rawjson.Object(text)
	for members.Next() {
		_ = members.KeyIs("no such name")
		read(members.Value())
	}
	elements := rawjson.Array(text)
	for elements.Next() {
		read(elements.Value())
	}
}

// Reading costs memory in proportion to the text, whatever it is.
func TestHostileTexts(t *testing.T) {
	for name, text := range coretest.HostileJSON("a", "no such name") {
		t.Run(name, func(t *testing.T) {
			coretest.Frugal(t, len(text), func() { readEverything([]byte(text)) })
		})
	}
}

func FuzzCost(f *testing.F) {
	f.Add([]byte(`{"a":"\n","b":[1,"x"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		coretest.Frugal(t, len(text), func() { readEverything(text) })
	})
}
