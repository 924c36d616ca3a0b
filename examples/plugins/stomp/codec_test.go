package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// broker is a core.Sink that writes down what the codec asks for and answers as the engine does
// when all goes well. What the client reads comes after a <.
type broker struct {
	codec core.Codec
	lines []string
}

func (b *broker) Do(c core.Command) {
	c = c.Clone()
	line := c.Verb.String()
	for _, field := range []struct {
		name  string
		value []byte
	}{{"topic", c.Topic}, {"headers", c.Headers}} {
		if field.value != nil {
			line += fmt.Sprintf(" %s=%s", field.name, field.value)
		}
	}
	for _, s := range c.Services {
		line += fmt.Sprintf(" service=%s", s)
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{{"pattern", c.Pattern}, {"one-way", c.OneWay}} {
		if flag.set {
			line += " " + flag.name
		}
	}
	if c.Verb == core.Reply {
		line += fmt.Sprintf(" call=%x", c.Call[:2])
	}
	if c.Failure.Failed() {
		line += fmt.Sprintf(" failure=%q", c.Failure.Error())
	}
	if c.Payload.Kind != core.Absent {
		line += fmt.Sprintf(" %s=%q", [...]string{core.JSON: "json", core.Text: "text", core.Binary: "binary"}[c.Payload.Kind], c.Payload.Data)
	}
	b.lines = append(b.lines, line)
	switch c.Verb {
	case core.Ping:
		b.tell(core.Event{Kind: core.Pong, Ref: c.Ref, As: c.As})
	case core.Leave:
	default:
		b.tell(core.Event{Kind: core.Done, Verb: c.Verb, Ref: c.Ref, Topic: c.Topic, As: c.As})
	}
}

func (b *broker) Refuse(r core.Reason, ref []byte, f core.Failure) {
	b.lines = append(b.lines, "refuse "+r.String())
	b.tell(core.Event{Kind: core.Failed, Ref: ref, Failure: f})
}

// tell makes the codec encode ev.
func (b *broker) tell(ev core.Event) {
	out, kind, err := b.codec.Encode(nil, ev)
	if kind != core.NoFrame {
		b.lines = append(b.lines, fmt.Sprintf("< %q", out))
	}
	if v, ends := errors.AsType[*core.Violation](err); ends {
		b.lines = append(b.lines, "end "+v.Reason.String())
	} else if err != nil {
		b.lines = append(b.lines, "unwritable")
	}
}

func (b *broker) hear(kind core.FrameKind, messages ...string) string {
	b.lines = nil
	for _, m := range messages {
		if err := b.codec.Decode(core.Frame{Kind: kind, Data: []byte(m)}, b); err != nil {
			b.lines = append(b.lines, "error "+err.Error())
		}
	}
	return strings.Join(b.lines, "; ")
}

// connected returns the broker for a new connection of a version, "" for one that is
// not connected yet.
func connected(t testing.TB, f *format, version string) *broker {
	t.Helper()
	b := &broker{codec: f.NewCodec()}
	if version == "" {
		return b
	}
	if got := b.hear(core.TextFrame, "CONNECT\naccept-version:"+version+"\nhost:x\n\n\x00"); !strings.HasPrefix(got, `ping; < "CONNECTED\nversion:`+version+`\n`) {
		t.Fatalf("connecting: %s", got)
	}
	return b
}

func TestDecode(t *testing.T) {
	for _, c := range coretest.Cases(t, "testdata/decode.txt", "version") {
		t.Run(fmt.Sprintf("line %d", c.Line), func(t *testing.T) {
			b := connected(t, newFormat(options{}, 4096), c.Setting)
			f := c.Frame(t)
			if got := b.hear(f.Kind, string(f.Data)); got != c.Out {
				t.Errorf("%s\n got %s\nwant %s", c.Given, got, c.Out)
			}
		})
	}
}

// However a client's bytes are cut into messages, they mean the same.
func TestDecodeInPieces(t *testing.T) {
	for _, c := range coretest.Cases(t, "testdata/decode.txt", "version") {
		t.Run(fmt.Sprintf("line %d", c.Line), func(t *testing.T) {
			f := c.Frame(t)
			data := string(f.Data)
			for i := range len(data) {
				b := connected(t, newFormat(options{}, 4096), c.Setting)
				if got := b.hear(f.Kind, data[:i], data[i:]); got != c.Out {
					t.Fatalf("cut at %d: %s\nwant %s", i, got, c.Out)
				}
			}
			b := connected(t, newFormat(options{}, 4096), c.Setting)
			if got := b.hear(f.Kind, strings.Split(data, "")...); got != c.Out {
				t.Errorf("byte by byte: %s\nwant %s", got, c.Out)
			}
		})
	}
}

func TestLogin(t *testing.T) {
	f := newFormat(options{Login: "guest", Passcode: "s:cret"}, 4096)
	for headers, admitted := range map[string]bool{
		"login:guest\npasscode:s:cret\n": true,
		"login:guest\npasscode:secret\n": false,
		"login:guest\n":                  false,
		"":                               false,
	} {
		got := connected(t, f, "").hear(core.TextFrame, "STOMP\naccept-version:1.2\n"+headers+"\n\x00")
		if admitted != strings.Contains(got, "CONNECTED") || admitted == strings.Contains(got, "refuse denied") {
			t.Errorf("%q: %s", headers, got)
		}
	}
}

// A codec keeps nothing of completed frames.
func TestNothingIsKept(t *testing.T) {
	b := connected(t, newFormat(options{}, 1<<20), "1.2")
	send := "SEND\ndestination:/topic/a\n\n" + strings.Repeat("x", 100_000) + "\x00"
	b.hear(core.TextFrame, send[:50_000], send[50_000:])
	if c := b.codec.(*codec); c.in.rest != nil || c.in.seen != 0 {
		t.Errorf("%d bytes are kept", cap(c.in.rest))
	}
}

func TestBounds(t *testing.T) {
	body := strings.Repeat("x", 5000)
	many := strings.Repeat("a:b\n", maxHeaders+1)
	tests := []struct {
		name string
		said []string
		want string
	}{
		{"headers", []string{"SEND\na:" + strings.Repeat("x", maxHead) + "\n\n\x00"}, "the headers are longer than 16384 bytes"},
		{"headers without an end", []string{"SEND\n" + strings.Repeat("x", maxHead)}, "the headers are longer than 16384 bytes"},
		{"number of headers", []string{"SEND\ndestination:/topic/a\n" + many + "\n\x00"}, "the frame has too many headers"},
		{"body", []string{"SEND\ndestination:/topic/a\n\n" + body + "\x00"}, "the frame is longer than 4096 bytes"},
		{"body in pieces", []string{"SEND\ndestination:/topic/a\n\n", body[:2500], body[:2500]}, "the frame is longer than 4096 bytes"},
		{"content-length", []string{"SEND\ndestination:/topic/a\ncontent-length:5000\n\n"}, "the frame is longer than 4096 bytes"},
		{"content-length beyond numbers", []string{"SEND\ndestination:/topic/a\ncontent-length:99999999999999999999\n\n"}, "the frame is longer than 4096 bytes"},
		{"transactions", repeat(maxTransactions+1, "BEGIN\ntransaction:%d\n\n\x00"), "the connection has too many transactions"},
		{
			"a transaction", append([]string{"BEGIN\ntransaction:t\n\n\x00"}, repeat(20, "SEND\ntransaction:t\ndestination:/topic/%d\n\n\x00")...),
			"the transactions of the connection hold too much",
		},
		{"subscriptions", repeat(maxSubscriptions+1, "SUBSCRIBE\nid:%[1]d\ndestination:/topic/%[1]d\n\n\x00"), "the connection has too many subscriptions"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := connected(t, newFormat(options{}, 4096), "1.2")
			if got := b.hear(core.TextFrame, tt.said...); !strings.Contains(got, `ERROR\nmessage:`+tt.want+`\n`) {
				t.Errorf("%.300s; want %s", got[max(0, len(got)-300):], tt.want)
			}
			if got := b.hear(core.TextFrame, "SEND\ndestination:/topic/a\n\n\x00"); got != "" {
				t.Errorf("after ERROR: %s", got)
			}
		})
	}
}

func repeat(n int, format string) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(format, i))
	}
	return all
}

// A transaction that ends gives its room back.
func TestTransactionsGiveBack(t *testing.T) {
	b := connected(t, newFormat(options{}, 4096), "1.2")
	for _, end := range []string{"COMMIT", "ABORT"} {
		for range 50 {
			got := b.hear(core.TextFrame, "BEGIN\ntransaction:t\n\n\x00SEND\ntransaction:t\ndestination:/topic/a\n\n"+strings.Repeat("x", 2000)+"\x00"+end+"\ntransaction:t\n\n\x00")
			if strings.Contains(got, "refuse") || strings.Contains(got, "publish") != (end == "COMMIT") {
				t.Fatal(got)
			}
		}
	}
	if size := b.codec.(*codec).transactions.size; size != 0 {
		t.Errorf("%d bytes are counted", size)
	}
}

// A frame that comes a byte at a time takes time in proportion to its size, and a message of
// many small parts takes memory in proportion to its own.
func TestHostileMessages(t *testing.T) {
	const size = 1 << 20
	b := connected(t, newFormat(options{}, 2*size), "1.2")
	b.hear(core.TextFrame, "SEND\ndestination:/topic/a\n\n")
	piece := core.Frame{Kind: core.BinaryFrame, Data: []byte("x")}
	for range size {
		if err := b.codec.Decode(piece, b); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.hear(core.BinaryFrame, "\x00"); !strings.Contains(got, "publish") {
		t.Errorf("%.100s", got)
	}
	const many = 10_000
	for name, message := range map[string]string{
		"heart-beats":   strings.Repeat("\r\n", many),
		"headers":       "SEND\n" + strings.Repeat("a:b\n", many) + "\n\x00",
		"escapes":       "SEND\ndestination:/topic/" + strings.Repeat("\\c", 5000) + "\n\n\x00",
		"frames":        strings.Repeat("SEND\ndestination:/topic/a\n\n\x00", many),
		"subscriptions": strings.Repeat("SUBSCRIBE\nid:1\ndestination:/topic/a\n\n\x00UNSUBSCRIBE\nid:1\n\n\x00", many),
		"no frames":     strings.Repeat("\x00", many),
	} {
		t.Run(name, func(t *testing.T) {
			coretest.Frugal(t, len(message), func() {
				c := connected(t, newFormat(options{}, size), "1.2").codec
				_ = c.Decode(core.Frame{Kind: core.BinaryFrame, Data: []byte(message)}, discard{})
			})
		})
	}
}

// discard is a sink that keeps nothing.
type discard struct{}

func (discard) Do(core.Command)                          {}
func (discard) Refuse(core.Reason, []byte, core.Failure) {}

func FuzzDecode(f *testing.F) {
	for _, c := range coretest.Cases(f, "testdata/decode.txt", "version") {
		f.Add(c.Frame(f).Data, uint(len(c.Given)/2), c.Setting == "1.1")
	}
	f.Fuzz(func(t *testing.T, data []byte, cut uint, old bool) {
		version := "1.2"
		if old {
			version = "1.1"
		}
		whole := connected(t, newFormat(options{}, 4096), version)
		want := whole.hear(core.BinaryFrame, string(data))
		cut %= uint(len(data) + 1)
		pieces := connected(t, newFormat(options{}, 4096), version)
		if got := pieces.hear(core.BinaryFrame, string(data[:cut]), string(data[cut:])); got != want {
			t.Errorf("cut at %d: %s\nwhole: %s", cut, got, want)
		}
	})
}
