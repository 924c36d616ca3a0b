package webwire

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

func TestEncode(t *testing.T) {
	for _, c := range coretest.Cases(t, "testdata/encode.txt", "endpoint") {
		t.Run(fmt.Sprintf("line %d", c.Line), func(t *testing.T) {
			codec, ev := newCodec(t, c.Setting), event(t, c)
			requireEncoded(t, c, codec.Encode, ev)
			if ev.Kind == core.Message {
				requireEncoded(t, c, codec.format.EncodeMessage, ev)
			}
		})
	}
}

// requireEncoded encodes after the bytes that a buffer already holds, which must stay.
func requireEncoded(t *testing.T, c coretest.Case, encode func([]byte, core.Event) ([]byte, core.FrameKind, error), ev core.Event) {
	t.Helper()
	const before = "before"
	out, kind, err := encode([]byte(before), ev)
	message, kept := bytes.CutPrefix(out, []byte(before))
	if !kept {
		t.Fatalf("%s: the buffer became %q", c.Given, out)
	}
	switch want, fails := strings.CutPrefix(c.Out, "error "); {
	case fails:
		if err == nil || err.Error() != want || kind != core.NoFrame || len(message) > 0 {
			t.Errorf("%s: %x, kind %d, error %v, want the error %s", c.Given, message, kind, err, want)
		}
	case err != nil:
		t.Errorf("%s: %v", c.Given, err)
	case want == "quiet":
		if kind != core.NoFrame || len(message) > 0 {
			t.Errorf("%s: %x, kind %d, want nothing", c.Given, message, kind)
		}
	case kind != core.BinaryFrame || !bytes.Equal(message, wire(t, want)):
		t.Errorf("%s\n got %x %q, kind %d\nwant %x", c.Given, message, message, kind, wire(t, want))
	}
}

func TestEncodeLongNames(t *testing.T) {
	f := newCodec(t, "").format
	for topic, fits := range map[string]bool{
		strings.Repeat("n", 255):                      true,
		strings.Repeat("n", 256):                      false,
		strings.Repeat("é", 42) + "nnn":               true, // 42*6 + 3 = 255
		strings.Repeat("é", 42) + "nnnn":              false,
		strings.Repeat("n", 65536+3):                  false,
		strings.Repeat("n", 256) + "\xff":             false,
		strings.Repeat("n", 249) + "%C3%A9"[:6]:       false, // escaped: 249 + 8
		strings.Repeat("n", 247) + "%C3%A9"[:6]:       true,
		strings.Repeat("n", 250) + "%C3%A9"[:3] + "%": true,
	} {
		out, kind, err := f.EncodeMessage(nil, core.Event{Kind: core.Message, Topic: []byte(topic), Payload: core.Payload{Kind: core.Text, Data: []byte("x")}})
		if fits != (err == nil) || fits != (kind == core.BinaryFrame) {
			t.Errorf("a topic of %d bytes: %d bytes, %v", len(topic), len(out), err)
		}
		if fits && int(out[1]) != len(out)-3 {
			t.Errorf("a topic of %d bytes: name length %d, message %x", len(topic), out[1], out)
		}
	}
}

// White space does not make a payload large.
func TestEncodeLargePayloads(t *testing.T) {
	codec := newCodec(t, "message_buffer_size=32")
	spaced := core.Payload{Kind: core.JSON, Data: []byte(strings.Repeat(" ", 1000) + "1")}
	if out, _, err := codec.format.EncodeMessage(nil, core.Event{Kind: core.Message, Payload: spaced}); err != nil || string(out) != "\x40\x001" {
		t.Errorf("spaced: %q, %v", out, err)
	}
	large := core.Payload{Kind: core.Text, Data: bytes.Repeat([]byte("x"), 1<<20)}
	dst := make([]byte, 0, 64)
	written := testing.AllocsPerRun(10, func() {
		out, kind, err := codec.format.EncodeMessage(dst, core.Event{Kind: core.Message, Topic: []byte("n"), Payload: large})
		if err == nil || kind != core.NoFrame || len(out) != 0 {
			t.Errorf("large: %d bytes, kind %d, %v", len(out), kind, err)
		}
	})
	if written != 0 {
		t.Error("a payload that cannot fit is written all the same")
	}
	ref := append([]byte{typeRequest + byte(asUTF16)}, "12345678"...)
	out, _, err := codec.Encode(dst, core.Event{Kind: core.Answer, Ref: ref, Payload: large})
	if err != nil || !strings.HasPrefix(string(out), "\x0012345678\x09too_large") || len(out) > 32 {
		t.Errorf("a large answer: %q, %v", out, err)
	}
}

func TestEncodeAllocatesNothing(t *testing.T) {
	codec := newCodec(t, "")
	ref := append([]byte{typeRequest + byte(asUTF8)}, "12345678"...)
	dst := make([]byte, 0, 512)
	for name, ev := range map[string]core.Event{
		"binary":  {Kind: core.Message, Topic: []byte("news"), Payload: core.Payload{Kind: core.Binary, Data: []byte("\xff\x00")}},
		"UTF-8":   {Kind: core.Message, Topic: []byte("news"), Payload: core.Payload{Kind: core.Text, Data: []byte("héllo")}},
		"UTF-16":  {Kind: core.Message, Topic: []byte("news"), Payload: core.Payload{Kind: core.Text, Data: []byte("h"), UTF16: []byte("h\x00")}},
		"JSON":    {Kind: core.Message, Topic: []byte("news"), Payload: core.Payload{Kind: core.JSON, Data: []byte(`"a\nb"`)}},
		"escapes": {Kind: core.Message, Topic: []byte("né/%C3%A9"), Payload: core.Payload{Kind: core.Text, Data: []byte("x")}},
		"answer":  {Kind: core.Answer, Ref: ref, Payload: core.Payload{Kind: core.Text, Data: []byte("x")}},
		"welcome": {Kind: core.Welcome},
	} {
		n := testing.AllocsPerRun(100, func() {
			if _, _, err := codec.Encode(dst, ev); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
