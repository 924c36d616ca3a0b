package vws

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// reference is a client message as the original's encoding/json reads it, except that raw
// values keep their bytes.
type reference struct {
	K, T, E string
	D, I    json.RawMessage
	H       map[string]string
}

// For all bytes: no panic; the connection goes on; one message makes exactly one command or
// refusal, and at most one answer; and what is published and answered is what encoding/json
// reads.
func FuzzDecode(f *testing.F) {
	for _, c := range coretest.Cases(f, "testdata/decode.txt", "options ") {
		f.Add(c.Frame(f).Data)
	}
	for _, message := range coretest.Said(f, "../../conversations/vws/*.txt") {
		f.Add(message)
	}
	format := newTestFormat(f, `{"allow_send":true,"max_event_size":0}`)
	codec := format.NewCodec()
	f.Fuzz(func(t *testing.T, data []byte) {
		in := core.Frame{Kind: core.TextFrame, Data: slices.Clip(bytes.Clone(data))}
		if !utf8.Valid(data) {
			in.Kind = core.BinaryFrame
		}
		coretest.FrugalCodec(t, codec, in)
		got := decode(t, codec, in)
		if len(got.commands)+got.refused != 1 || len(got.read) > 1 {
			t.Fatalf("%q: %s", data, got)
		}
		if len(data) == 0 {
			return
		}
		var ref reference
		err := json.Unmarshal(data, &ref)
		valid := len(got.read) == 0 || got.read[0] != invalid
		// The original takes null for a header, and bytes that are no text.
		if !valid && err == nil && !bytes.Contains(data, []byte("null")) && utf8.Valid(data) || valid && err != nil {
			t.Fatalf("%q: %s, but encoding/json says %v", data, got, err)
		}
		if !valid {
			return
		}
		requireAnswer(t, ref, got)
		if len(got.commands) > 0 && got.commands[0].Verb == core.Publish {
			requireEvent(t, format, ref, got.commands[0])
		}
	})
}

// A client's message costs memory in proportion to its size, whatever it is. If it cost time
// by the square of its size, this test would take minutes.
func TestHostileMessages(t *testing.T) {
	const many = 20_000
	messages := coretest.HostileJSON("k", "t", "d", "i", "e", "h")
	messages["an unknown kind"] = `{"k":"` + strings.Repeat(`\u0000`, many) + `","i":` + strings.Repeat(`[`, 5000) + strings.Repeat(`]`, 5000) + `}`
	messages["an event of escapes"] = `{"t":"` + strings.Repeat(`\u0000`, many) + `","d":"` + strings.Repeat(`\u0000`, many) + `","i":"` + strings.Repeat(`\u0000`, many) + `"}`
	messages["many headers"] = `{"t":"a","d":1,"h":{` + strings.Repeat(`"traceparent":"x",`, many) + `"a":"b"}}`
	messages["a pattern of many levels"] = `{"k":"s","t":"` + strings.Repeat("+/", many) + `#"}`
	messages["a topic of many levels"] = `{"t":"` + strings.Repeat("a/", many) + `","d":1}`
	for _, options := range []string{`{"allow_send":true,"max_event_size":0}`, `{"allow_send":"` + strings.Repeat("+/", 1000) + `#"}`} {
		for name, message := range messages {
			t.Run(name, func(t *testing.T) {
				coretest.FrugalCodec(t, newTestFormat(t, options).NewCodec(), text(message))
			})
		}
	}
}

// requireAnswer fails unless what the client reads is for the id that it wrote, or for the call that
// it published without an id and that is refused.
func requireAnswer(t *testing.T, ref reference, got *recorder) {
	t.Helper()
	noID := len(ref.I) == 0 || string(ref.I) == "null"
	if call := core.CallRef([]byte(ref.T)); ref.K == "" && noID && call != nil && got.refused == 1 {
		var event reference
		if len(got.read) != 1 || json.Unmarshal([]byte(got.read[0]), &event) != nil || event.T != core.ErrorTopic+string(call) {
			t.Fatalf("a call of %q: %s", call, got)
		}
		return
	}
	if wanted := ref.K != "" || !noID; wanted != (len(got.read) == 1) {
		t.Fatalf("kind %q, id %s: %s", ref.K, ref.I, got)
	}
	if len(got.read) == 0 {
		return
	}
	var answer struct {
		K string          `json:"k"`
		I json.RawMessage `json:"i"`
		E *string         `json:"e"`
	}
	if err := json.Unmarshal([]byte(got.read[0]), &answer); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	if noID != (answer.I == nil) || !noID && !bytes.Equal(answer.I, ref.I) {
		t.Fatalf("id %s: %s", ref.I, got)
	}
	if (answer.K == kindAck) != (len(got.commands) == 1) || (answer.K == kindNack) != (answer.E != nil) {
		t.Fatal(got)
	}
}

// requireEvent fails unless a subscriber receives what encoding/json reads.
func requireEvent(t *testing.T, format core.Format, ref reference, cmd core.Command) {
	t.Helper()
	ev := core.Event{Kind: core.Message, Topic: cmd.Topic, Payload: cmd.Payload, Headers: cmd.Headers}
	out, kind, err := format.EncodeMessage(nil, ev)
	if err != nil || kind != core.TextFrame || !utf8.Valid(out) || !strings.HasPrefix(string(out), `{"d":`) {
		t.Fatalf("%q, kind %d, %v", out, kind, err)
	}
	var back reference
	if err := json.Unmarshal(out, &back); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	if back.T != ref.T || cmd.Payload.Kind == core.JSON && !bytes.Equal(back.D, ref.D) {
		t.Fatalf("topic %q data %s came back as %s", ref.T, ref.D, out)
	}
	for name, value := range back.H {
		if ref.H[name] != value {
			t.Fatalf("headers %q came back as %s", ref.H, out)
		}
	}
}
