package vws

import (
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/core/rawjson"
)

// invalid is what the client reads for a message that cannot be decoded.
const invalid = `{"k":"n","i":"","e":"Invalid JSON format"}`

func TestDecode(t *testing.T) {
	for _, c := range coretest.Cases(t, "testdata/decode.txt", "options ") {
		t.Run(fmt.Sprintf("line %d", c.Line), func(t *testing.T) {
			if got := decode(t, newTestFormat(t, c.Setting).NewCodec(), c.Frame(t)).String(); got != c.Out {
				t.Errorf("%s\n got %s\nwant %s", c.Given, got, c.Out)
			}
		})
	}
}

// A message that is cut anywhere is refused as a whole: nothing before the cut counts.
func TestDecodeCutAtEveryByte(t *testing.T) {
	for _, c := range coretest.Cases(t, "testdata/decode.txt", "options ") {
		object := rawjson.Trim(c.Frame(t).Data)
		if rawjson.Check(object) != nil || !rawjson.IsObject(object) {
			continue
		}
		for i := range object {
			want := "refuse malformed; reads " + invalid
			if i == 0 {
				want = "refuse malformed"
			}
			cut := core.Frame{Kind: core.TextFrame, Data: object[:i:i]}
			if got := decode(t, newTestFormat(t, c.Setting).NewCodec(), cut).String(); got != want {
				t.Fatalf("line %d cut at %d: %s", c.Line, i, got)
			}
		}
	}
}

func TestDecodeTooDeep(t *testing.T) {
	codec := newTestFormat(t, `{"allow_send":true}`).NewCodec()
	for levels, want := range map[int]string{
		rawjson.MaxDepth - 1: "publish ",
		rawjson.MaxDepth:     "refuse too_deep; reads " + invalid,
	} {
		data := strings.Repeat("[", levels) + strings.Repeat("]", levels)
		f := core.Frame{Kind: core.TextFrame, Data: []byte(`{"t":"a","d":` + data + `}`)}
		if got := decode(t, codec, f).String(); !strings.HasPrefix(got, want) {
			t.Errorf("%d levels: %.80s, want %s", levels, got, want)
		}
	}
}

// Initial subscriptions are made in order, are not answered, and need not have the prefix that
// clients must use.
func TestOpen(t *testing.T) {
	for _, c := range []struct{ options, want string }{
		{`{}`, ""},
		{
			`{"initial_subscriptions":["alerts/#","news"],"subscribe_prefix":"public/"}`,
			`subscribe pattern topic="alerts/#"; subscribe pattern topic="news"`,
		},
	} {
		codec := newTestFormat(t, c.options).NewCodec()
		got := recorder{codec: codec}
		codec.(core.Opener).Open(17, &got)
		if got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.options, &got, c.want)
		}
	}
}

// discard is a sink that only counts.
type discard struct{ commands, refused int }

func (d *discard) Do(core.Command)                          { d.commands++ }
func (d *discard) Refuse(core.Reason, []byte, core.Failure) { d.refused++ }

func text(s string) core.Frame { return core.Frame{Kind: core.TextFrame, Data: []byte(s)} }

// event128 is an event of 128 bytes.
func event128() core.Frame {
	return text(`{"t":"sensors/hall 7/temperature of the oven","d":{"n":9007199254740993,"text":"` + strings.Repeat("x", 33) + `"},"i":1234567}`)
}

func TestDecodeOfAnEventAllocatesNothing(t *testing.T) {
	const long = "sensors/a topic of more than the 32 bytes for which Go has a buffer"
	for _, c := range []struct {
		name, options string
		frame         core.Frame
		taken         bool
	}{
		{"allowed", `{"allow_send":true}`, event128(), true},
		{"headers", `{"allow_send":true}`, text(`{"t":"a","d":1,"h":{"traceparent":"00-01-02-01"}}`), true},
		{"pattern", `{"allow_send":"sensors/#"}`, text(`{"t":"` + long + `","d":1,"i":1}`), true},
		{"other pattern", `{"allow_send":"+/other"}`, text(`{"t":"` + long + `","d":1,"i":1}`), false},
		{"prefix", `{"allow_send":{"prefix":"sensors/"}}`, text(`{"t":"` + long + `","d":1}`), true},
		{"denied", `{}`, event128(), false},
		{"without data", `{}`, text(`{"t":"a"}`), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			codec := newTestFormat(t, c.options).NewCodec()
			var to discard
			if n := testing.AllocsPerRun(100, func() { _ = codec.Decode(c.frame, &to) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
			if c.taken != (to.commands > 0) || c.taken != (to.refused == 0) {
				t.Errorf("%d commands, %d refused", to.commands, to.refused)
			}
		})
	}
}

func BenchmarkDecodeEvent(b *testing.B) {
	for name, options := range map[string]string{
		"all":     `{"allow_send":true}`,
		"pattern": `{"allow_send":"sensors/#"}`,
	} {
		b.Run(name, func(b *testing.B) {
			codec, f, to := newTestFormat(b, options).NewCodec(), event128(), new(discard)
			b.SetBytes(int64(len(f.Data)))
			b.ReportAllocs()
			for b.Loop() {
				_ = codec.Decode(f, to)
			}
			if to.refused > 0 {
				b.Fatal("refused")
			}
		})
	}
}

func BenchmarkDecodeSubscribe(b *testing.B) {
	codec, f, to := newTestFormat(b, `{}`).NewCodec(), text(`{"k":"s","t":"sensors/+/temperature","i":1}`), new(discard)
	b.SetBytes(int64(len(f.Data)))
	b.ReportAllocs()
	for b.Loop() {
		_ = codec.Decode(f, to)
	}
}
