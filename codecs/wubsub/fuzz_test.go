package wubsub

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/core/rawjson"
)

// For all bytes: no panic; the connection goes on; one message makes exactly one command or
// refusal; and a command's address and payload come back to a client of this format as they
// were sent.
func FuzzDecode(f *testing.F) {
	for _, c := range coretest.Cases(f, "testdata/decode.txt", "") {
		f.Add(c.Frame(f).Data)
	}
	for _, message := range coretest.Said(f, "../../conversations/wubsub/*.txt") {
		f.Add(message)
	}
	format := new(Format)
	codec := format.NewCodec()
	f.Fuzz(func(t *testing.T, data []byte) {
		var got recorder
		sent := bytes.Clone(data)
		if err := codec.Decode(core.Frame{Kind: core.TextFrame, Data: slices.Clip(sent)}, &got); err != nil {
			t.Fatalf("%q ended the connection: %v", data, err)
		}
		if len(got.lines) != 1 {
			t.Fatalf("%q: %q", data, got.lines)
		}
		coretest.FrugalCodec(t, codec, core.Frame{Kind: core.TextFrame, Data: data})
		if len(got.commands) == 0 || !utf8.Valid(data) {
			return
		}
		m, err := parseMessage(data)
		if err != nil || !json.Valid(data) {
			t.Fatalf("%q was taken: %v", data, err)
		}
		cmd := got.commands[0]
		if cmd.Verb == core.Offer {
			requireOffer(t, cmd)
			return
		}
		ev := core.Event{Kind: core.Message, Topic: cmd.Topic, As: cmd.As, Payload: cmd.Payload}
		out, kind, err := format.EncodeMessage(nil, ev)
		if err != nil || kind != core.TextFrame || !json.Valid(out) || !utf8.Valid(out) {
			t.Fatalf("%q came back as %q, kind %d, %v", data, out, kind, err)
		}
		back, err := parseMessage(out)
		if err != nil {
			t.Fatal(err)
		}
		requireSame(t, "channel", m.channel, back.channel)
		requireSame(t, "topic", m.topic, back.topic)
		if cmd.Payload.Kind == core.JSON && !bytes.Equal(cmd.Payload.Data, back.data) {
			t.Fatalf("data %s came back as %s", cmd.Payload.Data, back.data)
		}
	})
}

// A client's message costs memory in proportion to its size, whatever it is. If it cost time
// by the square of its size, this test would take minutes.
func TestHostileMessages(t *testing.T) {
	long := strings.Repeat("c", 60_000)
	register := func(channel, methods string) string {
		return `{"type":"register","channel":"` + channel + `","data":{"restpie":{"methods":[` + methods + `]}}}`
	}
	const many = 20_000
	messages := coretest.HostileJSON("type", "channel", "topic", "reqid", "data")
	messages["many methods of a long channel"] = register(long, strings.Repeat(`"m",`, many)+`"m"`)
	messages["empty methods of a long channel"] = register(long, strings.Repeat(`"",`, many)+`""`)
	messages["methods with escapes"] = register(long, strings.Repeat(`"\n",`, many)+`"\n"`)
	messages["methods that are none"] = register(long, strings.Repeat(`1,`, many)+`1`)
	messages["registered twice"] = `{` + strings.Repeat(`"data":{"restpie":{"methods":["m"]}},`, many/30) + `"type":"register"}`
	messages["a publish of escapes"] = `{"type":"ps-pub","channel":"` + strings.Repeat(`\u0000`, many) + `","data":"` + strings.Repeat(`\u0000`, many) + `"}`
	messages["a long request id"] = `{"type":"pie-resp","reqid":"` + strings.Repeat(`\u0041`, many) + `"}`
	for name, message := range messages {
		t.Run(name, func(t *testing.T) {
			coretest.FrugalCodec(t, new(Format).NewCodec(), core.Frame{Kind: core.TextFrame, Data: []byte(message)})
		})
	}
}

// requireOffer fails unless every service lies under the channel that As marks.
func requireOffer(t *testing.T, cmd core.Command) {
	t.Helper()
	if int(cmd.As) != len(cmd.Channel) {
		t.Fatalf("channel %q, as %d", cmd.Channel, cmd.As)
	}
	for _, service := range cmd.Services {
		channel, _ := split(cmd.AppendService(nil, service), cmd.As)
		if !bytes.Equal(channel, cmd.Channel) {
			t.Fatalf("service %q of channel %q, as %d", service, cmd.Channel, cmd.As)
		}
	}
}

// requireSame fails unless two raw JSON strings, absent for empty, say the same.
func requireSame(t *testing.T, field string, sent, back []byte) {
	t.Helper()
	a, _ := rawjson.Unquote(sent, nil)
	b, _ := rawjson.Unquote(back, nil)
	if !bytes.Equal(a, b) {
		t.Fatalf("%s %q came back as %q", field, a, b)
	}
}
