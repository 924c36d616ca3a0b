package webwire

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

func clientFormat(t testing.TB, change func(*Options)) *Format {
	t.Helper()
	o := Protocol().Options().(*Options)
	if change != nil {
		change(o)
	}
	format, err := Protocol().New(o, 0)
	if err != nil {
		t.Fatal(err)
	}
	return format.(*Format)
}

// What a client says, a server hears as it was said, and the other way round.
func TestBothSides(t *testing.T) {
	// What the format keeps of a payload: bytes, text, or UTF-16.
	content := func(p core.Payload) string {
		switch {
		case p.Kind == core.Binary:
			return fmt.Sprintf("binary %q", p.Data)
		case isWide(p) && len(p.UTF16) > 0:
			return fmt.Sprintf("wide %q", p.UTF16)
		}
		return fmt.Sprintf("text %q", core.AppendText(nil, p))
	}
	coretest.BothSides{
		Format: clientFormat(t, nil),
		Command: func(c core.Command) string {
			switch c.Verb {
			case core.RestoreSession:
				return fmt.Sprintf("restore %q", c.Key)
			case core.CloseSession:
				return "close"
			case core.Subscribe, core.Unsubscribe:
				return fmt.Sprintf("%v %q", c.Verb, c.Topic)
			}
			return fmt.Sprintf("%v %q %s", c.Verb, c.Topic, content(c.Payload))
		},
		Event: func(ev core.Event) string {
			switch ev.Kind {
			case core.Message:
				return fmt.Sprintf("message %q %s", ev.Topic, content(ev.Payload))
			case core.Answer:
				if ev.Payload.Size() == 0 {
					return "answer" // in the encoding of the request
				}
				if isWide(ev.Payload) || ev.Payload.Kind != core.Binary {
					return "answer " + string(core.AppendText(nil, ev.Payload)) // in UTF-8 or UTF-16, as was asked
				}
				return fmt.Sprintf("answer %q", ev.Payload.Data)
			case core.SessionOpened:
				s := ev.Session
				return fmt.Sprintf("session %s %v %v %s", s.Key, s.Created.Unix(), s.LastLookup.Unix(), s.Info)
			}
			return fmt.Sprintf("%v %v", ev.Kind, ev.Failure)
		},
		Verbs: []core.Verb{
			core.Subscribe, core.Unsubscribe, core.Publish, core.Call, core.RestoreSession, core.CloseSession,
		},
		Events: []core.EventKind{core.Welcome, core.Message, core.SessionOpened, core.SessionClosed},
	}.Run(t)
}

// A client keeps the connection as the server has announced, and to the size that it takes.
func TestAcceptConf(t *testing.T) {
	f := clientFormat(t, func(o *Options) { o.ReadTimeout, o.MessageBufferSize = 20*time.Second, 64 })
	client := f.NewClientCodec()
	if after, _ := client.KeepAlive(); after != 0 {
		t.Errorf("a heartbeat is due after %v, before the server has said so", after)
	}
	if err := client.Hear(core.Frame{Kind: core.BinaryFrame, Data: f.acceptConf}, func(core.Event) {}); err != nil {
		t.Fatal(err)
	}
	if after, frame := client.KeepAlive(); after != 15*time.Second || string(frame.Data) != "\x21" {
		t.Errorf("%q is due after %v", frame.Data, after)
	}
	for size, fits := range map[int]bool{64 - 12: true, 64 - 11: false} {
		cmd := core.Command{Verb: core.Call, Topic: []byte("ab"), Payload: core.Payload{Kind: core.Text, Data: bytes.Repeat([]byte("x"), size)}}
		said := 0
		if answered, err := client.Say(cmd, func(core.Frame) { said++ }); answered != fits || (err == nil) != fits || (said == 1) != fits {
			t.Errorf("%d bytes: said %d times, answered %v: %v", size, said, answered, err)
		}
	}
	other := bytes.Clone(f.acceptConf)
	other[1] = 1
	if err := client.Hear(core.Frame{Kind: core.BinaryFrame, Data: other}, func(core.Event) {}); err == nil || !strings.Contains(err.Error(), "1.0") {
		t.Errorf("version 1: %v", err)
	}
}

// For all bytes: no panic, and memory in proportion to the message.
func FuzzHear(f *testing.F) {
	for _, message := range []string{"\x17\x02\x00\x60\xea\x00\x00\x00\x20\x00\x00", "\x16", "\x15{\"k\":\"x\"}", "\x40\x01ax", "\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01ex", "\xc1\x01\x00\x00\x00\x00\x00\x00\x00\x00ab"} {
		f.Add([]byte(message))
	}
	format := clientFormat(f, nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		coretest.Frugal(t, len(data), func() {
			for _, verb := range []core.Verb{core.Call, core.RestoreSession} {
				client := format.NewClientCodec()
				_, _ = client.Say(core.Command{Verb: verb, Topic: []byte("a"), Key: []byte("k")}, func(core.Frame) {})
				_ = client.Hear(core.Frame{Kind: core.BinaryFrame, Data: bytes.Clone(data)}, func(core.Event) {})
			}
		})
	})
}
