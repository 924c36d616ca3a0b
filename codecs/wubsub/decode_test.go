package wubsub

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/core/rawjson"
)

func TestDecode(t *testing.T) {
	used := new(Format).NewCodec()
	for _, c := range coretest.Cases(t, "testdata/decode.txt", "") {
		for name, codec := range map[string]core.Codec{"used": used, "new": new(Format).NewCodec()} {
			t.Run(fmt.Sprintf("line %d, %s codec", c.Line, name), func(t *testing.T) {
				var got recorder
				if err := codec.Decode(c.Frame(t), &got); err != nil {
					t.Errorf("%s ended the connection: %v", c.Given, err)
				}
				if s := strings.Join(got.lines, "; "); s != c.Out {
					t.Errorf("%s\n got %s\nwant %s", c.Given, s, c.Out)
				}
			})
		}
	}
}

// One big message must not make the endpoint hold its memory for good.
func TestBigBuffersAreNotKept(t *testing.T) {
	format := new(Format)
	f := core.Frame{Kind: core.TextFrame, Data: []byte(`{"type":"ps-sub","channel":"` + strings.Repeat("x", 10*maxScratch) + `"}`)}
	if err := format.NewCodec().Decode(f, new(discard)); err != nil {
		t.Fatal(err)
	}
	if kept, ok := format.codec.scratch.Get().(*[]byte); ok && cap(*kept) > maxScratch {
		t.Errorf("a buffer of %d bytes was kept", cap(*kept))
	}
}

// A message that is cut anywhere is refused as a whole: nothing before the cut counts.
func TestDecodeCutAtEveryByte(t *testing.T) {
	codec := new(Format).NewCodec()
	for _, c := range coretest.Cases(t, "testdata/decode.txt", "") {
		whole := c.Frame(t)
		object := rawjson.Trim(whole.Data)
		if whole.Kind != core.TextFrame || rawjson.Check(object) != nil || !rawjson.IsObject(object) {
			continue
		}
		for i := range object {
			var got recorder
			cut := core.Frame{Kind: core.TextFrame, Data: object[:i:i]}
			if err := codec.Decode(cut, &got); err != nil {
				t.Fatalf("line %d cut at %d: %v", c.Line, i, err)
			}
			if s := strings.Join(got.lines, "; "); s != "refuse malformed" {
				t.Fatalf("line %d cut at %d: %s", c.Line, i, s)
			}
		}
	}
}

func TestDecodeTooDeep(t *testing.T) {
	codec := new(Format).NewCodec()
	for levels, want := range map[int]string{
		rawjson.MaxDepth - 1: "publish",
		rawjson.MaxDepth:     "refuse too_deep",
	} {
		data := strings.Repeat("[", levels) + strings.Repeat("]", levels)
		var got recorder
		if err := codec.Decode(core.Frame{Kind: core.TextFrame, Data: []byte(`{"type":"ps-pub","data":` + data + `}`)}, &got); err != nil {
			t.Fatal(err)
		}
		if len(got.lines) != 1 || !strings.HasPrefix(got.lines[0], want) {
			t.Errorf("%d levels: %.60s, want %s", levels, got.lines, want)
		}
	}
}

// The topic is assembled in a buffer that the next message reuses, even when it outgrows that
// buffer, and concurrent messages of all connections do not mix.
func TestDecodeInParallel(t *testing.T) {
	codec := new(Format).NewCodec()
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 300 {
				channel, topic := strings.Repeat(fmt.Sprint(g), i*20+1), strings.Repeat(fmt.Sprint(i), 10)
				var got recorder
				f := core.Frame{Kind: core.TextFrame, Data: fmt.Appendf(nil, `{"type":"ps-pub","channel":"%s","topic":"\u0074%s"}`, channel, topic)}
				if err := codec.Decode(f, &got); err != nil {
					t.Error(err)
				}
				c := got.commands[0]
				if string(c.Topic) != channel+"/t"+topic || string(c.Channel) != channel || int(c.As) != len(channel) {
					t.Errorf("channel of %d bytes: channel %.40q, topic %.40q, as %d", len(channel), c.Channel, c.Topic, c.As)
				}
			}
		})
	}
	all.Wait()
}

// A long list of methods outgrows the buffer while it is read.
func TestRegisterManyMethods(t *testing.T) {
	var list []string
	for i := range 500 {
		list = append(list, fmt.Sprintf(`"\u006d%d"`, i))
	}
	var got recorder
	f := core.Frame{Kind: core.TextFrame, Data: []byte(`{"type":"register","channel":"c","data":{"restpie":{"methods":[` + strings.Join(list, ",") + `]}}}`)}
	if err := new(Format).NewCodec().Decode(f, &got); err != nil {
		t.Fatal(err)
	}
	c := got.commands[0]
	if string(c.Channel) != "c" || len(c.Services) != len(list) {
		t.Fatalf("channel %q, %d services", c.Channel, len(c.Services))
	}
	for i, service := range c.Services {
		if want := fmt.Sprintf("m%d", i); string(service) != want {
			t.Errorf("service %d is %q, want %q", i, service, want)
		}
	}
}

// A request may be named in any form that the original's library reads as a UUID; it does not
// look at what stands around one.
func TestReqid(t *testing.T) {
	const canonical = "0123abcd-4567-49ef-8123-456789abcdef"
	for text, want := range map[string]bool{
		canonical:                              true,
		strings.ToUpper(canonical):             true,
		strings.ReplaceAll(canonical, "-", ""): true,
		"{" + canonical + "}":                  true,
		"urn:uuid:" + canonical:                true,
		"URN:UUID:" + canonical:                true,
		"":                                     false,
		canonical[:35]:                         false,
		canonical + "0":                        false,
		"{" + canonical + ")":                  true,
		"x" + canonical + "x":                  true,
		"urn:uuix:" + canonical:                false,
		"0123abcd-4567-49ef-8123-456789abcdeg": false,
		"0123abcd+4567-49ef-8123-456789abcdef": false,
		"0123abcd4-567-49ef-8123-456789abcdef": false,
		"0123abcd456749ef8123456789abcde-":     false,
		" " + canonical:                        false,
	} {
		var to replies
		message := fmt.Sprintf(`{"type":"pie-resp","channel":"c","topic":"t","reqid":%q,"data":1}`, text)
		if err := new(codec).Decode(core.Frame{Kind: core.TextFrame, Data: []byte(message)}, &to); err != nil {
			t.Fatal(err)
		}
		switch {
		case len(to.calls) > 0 != want:
			t.Errorf("%q is taken: %v, want %v", text, !want, want)
		case want && string(to.calls[0].Append(nil)) != canonical:
			t.Errorf("%q is read as %s", text, to.calls[0].Append(nil))
		}
	}
}

// replies is a sink that keeps which calls are answered.
type replies struct{ calls []core.CallID }

func (r *replies) Do(c core.Command)                        { r.calls = append(r.calls, c.Call) }
func (r *replies) Refuse(core.Reason, []byte, core.Failure) {}

// discard is a sink that only counts.
type discard struct{ commands, refused int }

func (d *discard) Do(core.Command)                          { d.commands++ }
func (d *discard) Refuse(core.Reason, []byte, core.Failure) { d.refused++ }

func publish128() core.Frame {
	text := `{"type":"ps-pub","channel":"news","topic":"today","data":{"n":9007199254740993,"text":"` + strings.Repeat("x", 38) + `"}}`
	return core.Frame{Kind: core.TextFrame, Data: []byte(text)}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	codec := new(Format).NewCodec()
	for name, f := range map[string]core.Frame{
		"ps-pub":         publish128(),
		"ps-pub escaped": {Kind: core.TextFrame, Data: []byte(`{"data":"x","topic":"\u0061b","channel":"\"c\"","type":"ps-pub"}`)},
		"pie-resp":       {Kind: core.TextFrame, Data: []byte(`{"type":"pie-resp","channel":"c","topic":"m","reqid":"0123abcd-4567-49ef-8123-456789abcdef","data":1}`)},
		"unknown type":   {Kind: core.TextFrame, Data: []byte(`{"type":"ps-unsub"}`)},
		"binary":         {Kind: core.BinaryFrame},
	} {
		t.Run(name, func(t *testing.T) {
			var to discard
			// The race detector makes sync.Pool forget at random, so the best of
			// several runs counts.
			best := 1.0
			for range 20 {
				best = min(best, testing.AllocsPerRun(1, func() { _ = codec.Decode(f, &to) }))
			}
			if best != 0 {
				t.Errorf("%v allocations", best)
			}
		})
	}
}

func BenchmarkDecodePublish(b *testing.B) {
	codec, f, to := new(Format).NewCodec(), publish128(), new(discard)
	b.SetBytes(int64(len(f.Data)))
	b.ReportAllocs()
	for b.Loop() {
		_ = codec.Decode(f, to)
	}
	if to.refused > 0 {
		b.Fatal("refused")
	}
}
