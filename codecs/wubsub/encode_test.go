package wubsub

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

func TestEncode(t *testing.T) {
	format := new(Format)
	codec := format.NewCodec()
	for _, c := range coretest.Cases(t, "testdata/encode.txt", "") {
		t.Run(fmt.Sprintf("line %d", c.Line), func(t *testing.T) {
			want, kind := c.Out, core.TextFrame
			if want == "quiet" {
				want, kind = "", core.NoFrame
			}
			ev := event(t, c)
			check := func(method string, got []byte, gotKind core.FrameKind, err error) {
				if string(got) != "dst"+want || gotKind != kind || err != nil {
					t.Errorf("%s of %s\n got %s, kind %d, %v\nwant dst%s, kind %d", method, c.Given, got, gotKind, err, want, kind)
				}
				if kind == core.TextFrame && !json.Valid(got[len("dst"):]) {
					t.Errorf("%s of %s is no JSON: %s", method, c.Given, got)
				}
			}
			got, gotKind, err := codec.Encode([]byte("dst"), ev)
			check("Encode", got, gotKind, err)
			if ev.Kind == core.Message {
				got, gotKind, err = format.EncodeMessage([]byte("dst"), ev)
				check("EncodeMessage", got, gotKind, err)
			}
		})
	}
}

func TestProtocol(t *testing.T) {
	p := Protocol()
	if p.Name != "wubsub" || p.Listen != ":9190" || p.Path != "" || p.Options != nil {
		t.Errorf("Protocol = %+v", p)
	}
	format, err := p.New(nil, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	want := core.Profile{MaxMessage: 1048576, PingInterval: 54e9, PongTimeout: 60e9, PlainStatus: 400}
	if got := format.Profile(); !reflect.DeepEqual(got, want) {
		t.Errorf("Profile = %+v, want %+v", got, want)
	}
	if format.NewCodec() != format.NewCodec() {
		t.Error("connections do not share the codec")
	}
}

// Every reason ends a connection with a code that may be sent and a text that
// fits a close frame.
func TestGoodbye(t *testing.T) {
	format := new(Format)
	for r := range core.NumReasons {
		code, text := format.Goodbye(r)
		if code != r.CloseCode() || len(text) > 123 {
			t.Errorf("%v: %d %q", r, code, text)
		}
		if empty := r == core.ReasonNormal || r == core.ReasonTooLarge; empty != (text == "") {
			t.Errorf("%v: text %q", r, text)
		}
	}
	if code, text := format.Goodbye(core.ReasonDrain); code != 1001 || text != "server shutting down" {
		t.Errorf("drain: %d %q", code, text)
	}
}

func message128() core.Event {
	return core.Event{Kind: core.Message, Topic: []byte("news/today"), As: 4, Payload: core.Payload{
		Kind: core.JSON, Data: []byte(`{"n":9007199254740993,"text":"` + strings.Repeat("x", 38) + `"}`),
	}}
}

func TestEncodeAllocatesNothing(t *testing.T) {
	format := new(Format)
	dst := make([]byte, 0, 512)
	for name, ev := range map[string]core.Event{
		"ps-recv":      message128(),
		"ps-recv text": {Kind: core.Message, Topic: []byte("c"), As: 1, Payload: core.Payload{Kind: core.Text, Data: []byte("say \"hi\"")}},
		"pie-req":      {Kind: core.Request, Topic: []byte("c/m"), As: 1, Call: core.CallID{1}},
		"pie-recv":     {Kind: core.Answer, Topic: []byte("c/m"), As: 1, Call: core.CallID{1}},
		"pie-ack":      {Kind: core.Done, Verb: core.Call, Topic: []byte("c/m"), As: 1, Call: core.CallID{1}},
	} {
		if n := testing.AllocsPerRun(100, func() { dst, _, _ = format.codec.Encode(dst[:0], ev) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	ev := message128()
	if n := testing.AllocsPerRun(100, func() { dst, _, _ = format.EncodeMessage(dst[:0], ev) }); n != 0 {
		t.Errorf("EncodeMessage: %v allocations", n)
	}
}

func BenchmarkEncodeMessage(b *testing.B) {
	format, ev, dst := new(Format), message128(), make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		dst, _, _ = format.EncodeMessage(dst[:0], ev)
	}
	b.SetBytes(int64(len(dst)))
}
