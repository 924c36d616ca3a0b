package vws

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

func TestEncode(t *testing.T) {
	for _, c := range coretest.Cases(t, "testdata/encode.txt", "options ") {
		t.Run(fmt.Sprintf("line %d", c.Line), func(t *testing.T) {
			want, kind := c.Out, core.TextFrame
			if want == "quiet" || want == "error" {
				want, kind = "", core.NoFrame
			}
			ev := event(t, c)
			check := func(method string, got []byte, gotKind core.FrameKind, err error) {
				if string(got) != "dst"+want || gotKind != kind || (err != nil) != (c.Out == "error") {
					t.Errorf("%s of %s\n got %s, kind %d, %v\nwant dst%s, kind %d", method, c.Given, got, gotKind, err, want, kind)
				}
				if kind == core.TextFrame && !json.Valid(got[len("dst"):]) {
					t.Errorf("%s of %s is no JSON: %s", method, c.Given, got)
				}
			}
			got, gotKind, err := newTestFormat(t, c.Setting).NewCodec().Encode([]byte("dst"), ev)
			check("Encode", got, gotKind, err)
			if ev.Kind == core.Message {
				got, gotKind, err = newTestFormat(t, c.Setting).EncodeMessage([]byte("dst"), ev)
				check("EncodeMessage", got, gotKind, err)
			}
		})
	}
}

// The default bound is what the original client takes, counted over the whole event.
func TestMaxEventSize(t *testing.T) {
	format := newTestFormat(t, `{}`)
	frame := len(`{"d":"","t":"a"}`)
	for size, ok := range map[int]bool{32768: true, 32769: false, 1 << 20: false} {
		ev := core.Event{Kind: core.Message, Topic: []byte("a"), Payload: core.Payload{Kind: core.Text, Data: []byte(strings.Repeat("x", size-frame))}}
		out, kind, err := format.EncodeMessage(nil, ev)
		if ok && (len(out) != size || kind != core.TextFrame || err != nil) {
			t.Errorf("%d bytes: %d bytes of kind %d, %v", size, len(out), kind, err)
		}
		if !ok && (len(out) != 0 || kind != core.NoFrame || err == nil || !strings.Contains(err.Error(), fmt.Sprint(size))) {
			t.Errorf("%d bytes: %d bytes of kind %d, %v", size, len(out), kind, err)
		}
	}
}

func message128() core.Event {
	return core.Event{Kind: core.Message, Topic: []byte("sensors/hall 7/temperature of the oven"), Payload: core.Payload{
		Kind: core.JSON, Data: []byte(`{"n":9007199254740993,"text":"` + strings.Repeat("x", 43) + `"}`),
	}}
}

func TestEncodeAllocatesNothing(t *testing.T) {
	format := newTestFormat(t, `{}`)
	codec := format.NewCodec()
	dst := make([]byte, 0, 512)
	traced := message128()
	traced.Headers = []byte(`{"traceparent":"00-01-02-01"}`)
	for name, ev := range map[string]core.Event{
		"event":   message128(),
		"headers": traced,
		"text":    {Kind: core.Message, Topic: []byte("c"), Payload: core.Payload{Kind: core.Text, Data: []byte(`say "hi"`)}},
	} {
		if n := testing.AllocsPerRun(100, func() { dst, _, _ = format.EncodeMessage(dst[:0], ev) }); n != 0 {
			t.Errorf("EncodeMessage, %s: %v allocations", name, n)
		}
	}
	for name, ev := range map[string]core.Event{
		"ack":   {Kind: core.Done, Verb: core.Publish, Ref: []byte("17")},
		"nack":  {Kind: core.Failed, Ref: []byte("17"), Failure: core.Failure{Code: core.Denied, Text: "event not allowed"}},
		"quiet": {Kind: core.Done, Verb: core.Publish},
	} {
		if n := testing.AllocsPerRun(100, func() { dst, _, _ = codec.Encode(dst[:0], ev) }); n != 0 {
			t.Errorf("Encode, %s: %v allocations", name, n)
		}
	}
}

func BenchmarkEncodeMessage(b *testing.B) {
	format, ev, dst := newTestFormat(b, `{}`), message128(), make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		dst, _, _ = format.EncodeMessage(dst[:0], ev)
	}
	b.SetBytes(int64(len(dst)))
}

func BenchmarkEncodeAck(b *testing.B) {
	codec, dst := newTestFormat(b, `{}`).NewCodec(), make([]byte, 0, 512)
	ev := core.Event{Kind: core.Done, Verb: core.Publish, Ref: []byte("1234567")}
	b.ReportAllocs()
	for b.Loop() {
		dst, _, _ = codec.Encode(dst[:0], ev)
	}
}
