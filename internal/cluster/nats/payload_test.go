package nats

import (
	"reflect"
	"testing"

	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core"
)

func TestPayloads(t *testing.T) {
	wide := core.AppendUTF16(nil, []byte("Grüße 😀"))
	for _, c := range []struct {
		name string
		p    core.Payload
		kind string // on the way
	}{
		{"JSON", core.Payload{Kind: core.JSON, Data: []byte(` {"a": 1.50, "a":2}`)}, ""},
		{"a JSON string", core.Payload{Kind: core.JSON, Data: []byte(`"x"`)}, ""},
		{"text", core.Payload{Kind: core.Text, Data: []byte("hello")}, ""},
		{"text that reads as JSON", core.Payload{Kind: core.Text, Data: []byte("5")}, kindText},
		{"empty text", core.Payload{Kind: core.Text, Data: []byte{}}, ""},
		{"binary", core.Payload{Kind: core.Binary, Data: []byte{0xff, 0}}, ""},
		{"binary that is UTF-8", core.Payload{Kind: core.Binary, Data: []byte("hello")}, kindBinary},
		{"binary that is JSON", core.Payload{Kind: core.Binary, Data: []byte("{}")}, kindBinary},
		{"empty binary", core.Payload{Kind: core.Binary, Data: []byte{}}, kindBinary},
		{"nothing", core.Payload{}, kindAbsent},
		{"UTF-16", core.TextUTF16(wide), kindUTF16},
		{"UTF-16 with half a pair", core.TextUTF16([]byte{0x3d, 0xd8, 'a', 0}), kindUTF16},
		{"empty UTF-16", core.TextUTF16([]byte{}), kindUTF16},
	} {
		t.Run(c.name, func(t *testing.T) {
			kind, data := pack(c.p)
			if kind != c.kind {
				t.Errorf("it travels as %q, want %q", kind, c.kind)
			}
			got, err := unpack(kind, data)
			if err != nil || !reflect.DeepEqual(got, c.p) {
				t.Errorf("%+v comes back as %+v, %v", c.p, got, err)
			}
		})
	}
}

func TestForeignPayloads(t *testing.T) {
	for _, c := range []struct{ kind, data string }{
		{"json", "{"}, {"json", "\"\xff\""}, {"text", "\xff"}, {"absent", "x"}, {"utf16", "abc"}, {"JSON", "{}"}, {"nonsense", ""},
	} {
		if p, err := unpack(c.kind, []byte(c.data)); err == nil {
			t.Errorf("%q that claims to be %s is %+v", c.data, c.kind, p)
		}
	}
	for data, want := range map[string]core.PayloadKind{`{"a":1}`: core.JSON, "5": core.JSON, "x": core.Text, "": core.Text, "\xff": core.Binary, "\"\xff\"": core.Binary} {
		if p, err := unpack("", []byte(data)); err != nil || p.Kind != want {
			t.Errorf("%q is %+v, %v", data, p, err)
		}
	}
}

func TestHeaders(t *testing.T) {
	for given, want := range map[string]string{
		"": "", `{}`: `{}`, `{"a":"b"}`: `{"a":"b"}`, " {\n\t\"a\": \"b\\n\"\r\n}\n": `{  "a": "b\n"  }`, `{"ü":" "}`: `{"ü":" "}`,
	} {
		got, err := headersOf(&natsgo.Msg{Header: withHeaders(nil, []byte(given))})
		if err != nil || string(got) != want {
			t.Errorf("%q comes back as %q, %v, want %q", given, got, err, want)
		}
	}
	for _, garbage := range []string{`[]`, `{"a":1}`, `{"a":"b"`, `x`, "{\"a\":\"\xff\"}", `{"a":null}`} {
		if got, err := headersOf(&natsgo.Msg{Header: natsgo.Header{headersHeader: {garbage}}}); err == nil {
			t.Errorf("%q is taken as %q", garbage, got)
		}
	}
}

// FuzzPayload: what anybody sends becomes a payload that clients may get, or is refused.
func FuzzPayload(f *testing.F) {
	f.Add("", `{"a":1}`, `{"a":"b"}`)
	f.Add("utf16", "a\x00", "")
	f.Add("text", "\xff", "[")
	f.Fuzz(func(t *testing.T, kind, data, headers string) {
		m := &natsgo.Msg{Header: natsgo.Header{kindHeader: {kind}, headersHeader: {headers}}, Data: []byte(data)}
		_, _ = headersOf(m)
		p, err := payloadOf(m)
		if err != nil {
			return
		}
		if err := p.Check(); err != nil {
			t.Fatalf("%q of kind %q: %v", data, kind, err)
		}
		again, packed := pack(p)
		if back, err := unpack(again, packed); err != nil || !reflect.DeepEqual(back, p) {
			t.Errorf("%+v comes back as %+v, %v", p, back, err)
		}
	})
}
