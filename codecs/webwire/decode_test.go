package webwire

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// decode returns what a message leads to: the lines of a recorder, or how the connection ends.
func decode(t testing.TB, c codec, f core.Frame) (string, []core.Command) {
	t.Helper()
	var got recorder
	if err := c.Decode(f, &got); err != nil {
		var v *core.Violation
		if !errors.As(err, &v) || len(got.lines) > 0 {
			t.Fatalf("%x: %q and then %v", f.Data, got.lines, err)
		}
		return "violation " + v.Reason.String(), nil
	}
	if len(got.lines) == 0 {
		return "quiet", nil
	}
	return strings.Join(got.lines, "; "), got.commands
}

func TestDecode(t *testing.T) {
	for _, c := range coretest.Cases(t, "testdata/decode.txt", "endpoint") {
		t.Run(fmt.Sprintf("line %d", c.Line), func(t *testing.T) {
			if got, _ := decode(t, newCodec(t, c.Setting), frame(t, c)); got != c.Out {
				t.Errorf("%s\n got %s\nwant %s", c.Given, got, c.Out)
			}
		})
	}
}

// A message that is cut anywhere is a violation, or the rest is as valid as a message that was
// sent so. The shortest valid lengths of each type say which.
func TestDecodeCutAnywhere(t *testing.T) {
	const id = "0102030405060708"
	for _, c := range []struct {
		name, message string
		right         func(n int) bool
	}{
		{"error reply", "00 " + id + " 03 'abc' 'why'", func(n int) bool { return n >= 13 }},
		{"shutdown reply", "01 " + id, func(n int) bool { return n == 9 }},
		{"internal error reply", "02 " + id, func(n int) bool { return n == 9 }},
		{"session not found", "03 " + id, func(n int) bool { return n == 9 }},
		{"session full", "04 " + id, func(n int) bool { return n == 9 }},
		{"sessions off", "05 " + id, func(n int) bool { return n == 9 }},
		{"session created", "15 '{}'", func(n int) bool { return n >= 2 }},
		{"session closed", "16", func(n int) bool { return n == 1 }},
		{"accept-conf", "17 02 00 60ea0000 00200000 'sub'", func(n int) bool { return n >= 11 }},
		{"close session", "1f " + id, func(n int) bool { return n == 9 }},
		{"restore session", "20 " + id + " 'key'", func(n int) bool { return n >= 10 }},
		{"heartbeat", "21", func(n int) bool { return n == 1 }},
		{"signal binary", "3f 02 'ab' 'xyz'", func(n int) bool { return n >= 4 }},
		{"signal binary, no name", "3f 00 'xyz'", func(n int) bool { return n >= 3 }},
		{"signal UTF-8", "40 02 'ab' 'xyz'", func(n int) bool { return n >= 4 }},
		{"signal UTF-16, even name", "41 02 'ab' 7800 7900", func(n int) bool { return n >= 6 && n%2 == 0 }},
		{"signal UTF-16, odd name", "41 03 'abc' 00 7800 7900", func(n int) bool { return n >= 8 && n%2 == 0 }},
		{"signal UTF-16, no name", "41 00 7800 7900", func(n int) bool { return n >= 4 && n%2 == 0 }},
		{"request binary", "7f " + id + " 02 'ab' 'xyz'", func(n int) bool { return n >= 12 }},
		{"request binary, no name", "7f " + id + " 00 'xyz'", func(n int) bool { return n >= 11 }},
		{"request UTF-8", "80 " + id + " 02 'ab' 'xyz'", func(n int) bool { return n >= 12 }},
		{"request UTF-16, even name", "81 " + id + " 02 'ab' 7800", func(n int) bool { return n >= 12 && n%2 == 0 }},
		{"request UTF-16, odd name", "81 " + id + " 03 'abc' 00 7800", func(n int) bool { return n >= 14 && n%2 == 0 }},
		{"request UTF-16, no name", "81 " + id + " 00 7800 7900", func(n int) bool { return n >= 12 && n%2 == 0 }},
		{"reply binary", "bf " + id + " 'xyz'", func(n int) bool { return n >= 9 }},
		{"reply UTF-8", "c0 " + id + " 'xyz'", func(n int) bool { return n >= 9 }},
		{"reply UTF-16", "c1 " + id + " 00 7800 7900", func(n int) bool { return n >= 10 && n%2 == 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole := wire(t, c.message)
			for n := range len(whole) + 1 {
				data := bytes.Clone(whole[:n:n])
				got, _ := decode(t, newCodec(t, ""), core.Frame{Kind: core.BinaryFrame, Data: data})
				if right := got != "violation malformed"; right != c.right(n) {
					t.Errorf("%d of %d bytes: %s", n, len(whole), got)
				}
			}
		})
	}
}

// Every type that version 2.0 does not have is a violation, with any content.
func TestDecodeUnknownTypes(t *testing.T) {
	known := []byte{0, 1, 2, 3, 4, 5, 21, 22, 23, 31, 32, 33, 63, 64, 65, 127, 128, 129, 191, 192, 193}
	for kind := range 256 {
		if bytes.IndexByte(known, byte(kind)) >= 0 {
			continue
		}
		for _, n := range []int{1, 9, 12, 64} {
			data := append([]byte{byte(kind)}, make([]byte, n-1)...)
			if got, _ := decode(t, newCodec(t, ""), core.Frame{Kind: core.BinaryFrame, Data: data}); got != "violation malformed" {
				t.Errorf("type %d, %d bytes: %s", kind, n, got)
			}
		}
	}
}

func TestDecodeNames(t *testing.T) {
	for c := range 256 {
		for _, name := range []string{string([]byte{byte(c)}), "ab" + string([]byte{byte(c)}) + "d"} {
			signal := append([]byte{64, byte(len(name))}, name+"x"...)
			got, _ := decode(t, newCodec(t, ""), core.Frame{Kind: core.BinaryFrame, Data: signal})
			want := fmt.Sprintf("publish topic=%q text=\"x\"", name)
			if c < 32 || c > 126 {
				want = "violation malformed"
			}
			if got != want {
				t.Errorf("name %q: %s", name, got)
			}
		}
	}
}

func TestOpen(t *testing.T) {
	var got recorder
	newCodec(t, "subscribe=public/#,news").Open(7, &got)
	want := `subscribe pattern topic="public/#"; subscribe pattern topic="news"`
	if lines := strings.Join(got.lines, "; "); lines != want {
		t.Errorf("got %s, want %s", lines, want)
	}
	var none recorder
	if newCodec(t, "").Open(7, &none); none.lines != nil {
		t.Errorf("without patterns: %q", none.lines)
	}
}

// nowhere is a sink that keeps nothing.
type nowhere struct{}

func (nowhere) Do(core.Command)                          {}
func (nowhere) Refuse(core.Reason, []byte, core.Failure) {}

func TestDecodeAllocatesNothing(t *testing.T) {
	c := newCodec(t, "default_topic=lobby/of/a/topic/that/is/longer/than/32/bytes")
	for name, message := range map[string]string{
		"heartbeat":              "21",
		"binary signal":          "3f 04 'news' ff00",
		"UTF-8 signal":           "40 04 'news' 'hello'",
		"signal without name":    "40 00 'hello'",
		"signal with escapes":    "40 0c '%25C3%A9%C3%A9' 'x'",
		"binary request":         "7f 0102030405060708 04 'news' ff00",
		"UTF-8 request":          "80 0102030405060708 04 'news' 'x'",
		"subscribe":              "40 0a '$subscribe' 'a/#'",
		"restore session":        "20 0102030405060708 'key'",
		"what a server sends":    "c0 0102030405060708 'x'",
		"a close session":        "1f 0102030405060708",
		"UTF-8 signal, empty":    "40 04 'news'",
		"binary signal, 100 KiB": "3f 04 'news' 'x'*102400",
	} {
		data := wire(t, message)
		work := make([]byte, len(data))
		var sink core.Sink = nowhere{}
		n := testing.AllocsPerRun(100, func() {
			copy(work, data)
			if err := c.Decode(core.Frame{Kind: core.BinaryFrame, Data: work}, sink); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
