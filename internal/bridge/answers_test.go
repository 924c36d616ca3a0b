package bridge_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire/codecs/vws"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/bridge"
)

// textsOnly is a format in which an answer is a text: nothing else can be said, and perhaps no failure.
type textsOnly struct {
	core.ClientFormat
	failures bool
}

func (f textsOnly) NewClientCodec() core.ClientCodec { return textsOnlyCodec{f.failures} }

type textsOnlyCodec struct{ failures bool }

func (c textsOnlyCodec) Say(cmd core.Command, say func(core.Frame)) (bool, error) {
	switch {
	case cmd.Verb != core.Reply:
	case cmd.Failure.Failed() && c.failures:
		say(core.Frame{Kind: core.TextFrame, Data: []byte("failed: " + cmd.Failure.Text)})
	case cmd.Failure.Failed() || cmd.Payload.Kind == core.Binary:
		return false, &core.Unsayable{What: "this answer"}
	default:
		say(core.Frame{Kind: core.TextFrame, Data: core.AppendText(nil, cmd.Payload)})
	}
	return false, nil
}

// Hear takes every message for a call.
func (textsOnlyCodec) Hear(f core.Frame, tell func(core.Event)) error {
	tell(core.Event{Kind: core.Request, Topic: f.Data, Call: core.CallID{1}})
	return nil
}

func (textsOnlyCodec) Ready() bool                            { return true }
func (textsOnlyCodec) KeepAlive() (time.Duration, core.Frame) { return 0, core.Frame{} }
func (textsOnlyCodec) Forget([]byte)                          {}

// An answer that the old server's format cannot write becomes a failure, for a client there that would wait for ever,
// and is counted.
func TestAnswerCannotBeSaid(t *testing.T) {
	for name, c := range map[string]struct {
		failures bool
		want     string
	}{
		"failures":    {true, "failed: the answer cannot be written in this format"},
		"no failures": {false, `{"code":"invalid","text":"the answer cannot be written in this format"}`},
	} {
		t.Run(name, func(t *testing.T) {
			answers, ask := make(chan string, 10), make(chan struct{})
			old := listens(t, noFields, func(_ int, conn net.Conn) {
				<-ask
				for _, service := range []string{"binary", "text"} {
					_ = wsutil.WriteServerText(conn, []byte(service))
					text, err := wsutil.ReadClientText(conn)
					if err != nil {
						return
					}
					answers <- string(text)
				}
				untilGone(conn)
			})
			b, e := alone(t, old, bridge.Options{Format: textsOnly{formatOf(t, vws.Protocol()), c.failures}, CallTimeout: coretest.Patience})
			e.Handle("binary", func(context.Context, core.Invocation) (core.Payload, error) {
				return core.Payload{Kind: core.Binary, Data: []byte{0xff}}, nil
			})
			e.Handle("text", func(context.Context, core.Invocation) (core.Payload, error) {
				return core.Payload{Kind: core.Text, Data: []byte("a text")}, nil
			})
			close(ask)
			if got := coretest.Receive(t, "what cannot be said", answers); got != c.want {
				t.Errorf("it is answered with %s, want %s", got, c.want)
			}
			if got := coretest.Receive(t, "a text", answers); got != "a text" {
				t.Errorf("the text is answered with %s", got)
			}
			if n := b.Endpoint().Stats.Dropped[core.ReasonUnwritable].Load(); n != 1 {
				t.Errorf("%d answers are counted", n)
			}
		})
	}
}
