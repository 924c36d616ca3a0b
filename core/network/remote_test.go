package network

import (
	"bytes"
	"slices"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// slowChat is chat in another process, as far as the network can tell: openings are answered
// at once, and all else when the test says so.
type slowChat struct {
	chat
	codecs chan *slowCodec
}

var _ core.RemoteFormat = slowChat{}

func (slowChat) Bind(core.RemoteHost)                                         {}
func (slowChat) Flush()                                                       {}
func (slowChat) Shards() int                                                  { return 1 }
func (slowChat) AskMessage(_ int, _ core.Event, done func(core.Frame, error)) {}

func (s slowChat) Attach(_ int, c core.RemoteConn) core.RemoteCodec {
	codec := &slowCodec{conn: c}
	s.codecs <- codec
	return codec
}

// slowCodec is the codec of a connection.
type slowCodec struct {
	conn core.RemoteConn

	// Guarded by mu: how to answer what was asked and is not answered, in order. On the loop.
	mu      sync.Mutex
	answers []func()
}

func (s *slowCodec) ask(answer func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = append(s.answers, answer)
}

// pending returns how many questions are not answered.
func (s *slowCodec) pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.answers)
}

// answer answers the questions of now in one turn, and returns when it has.
func (s *slowCodec) answer() {
	s.mu.Lock()
	now := slices.Clone(s.answers)
	s.answers = nil
	s.mu.Unlock()
	done := make(chan struct{})
	s.conn.Post(func() {
		for _, answer := range now {
			answer()
		}
		close(done)
	})
	<-done
}

func (s *slowCodec) Open() { s.conn.Post(func() { s.conn.Opened(core.Frame{}, nil) }) }

func (s *slowCodec) Decode(f core.Frame) {
	f.Data = bytes.Clone(f.Data)
	s.ask(func() { s.conn.Decoded(chat{}.Decode(f, s.conn)) })
}

func (s *slowCodec) Encode(ev core.Event) {
	ev, _ = ev.CloneInto(nil)
	s.ask(func() {
		data, kind, err := chat{}.Encode(nil, ev)
		s.conn.Encoded(ev.Asks(), core.Frame{Kind: kind, Data: data}, err)
	})
}

func (s *slowCodec) Expected(core.Event) (f core.Frame, known bool) { return core.Frame{}, false }
func (s *slowCodec) Admits(int) bool                                { return true }
func (s *slowCodec) Resume()                                        {}
func (s *slowCodec) Close()                                         {}

// dialSlowly returns a client of a slowChat, its codec and its link.
func dialSlowly(t *testing.T) (*client, *slowCodec, core.Link) {
	format := slowChat{codecs: make(chan *slowCodec, 1)}
	r := start(t, func(o *Options, ep *Endpoint) {
		o.Loops = 1
		ep.Format = format
	})
	c := r.dial("chat")
	return c, <-format.codecs, r.hub.newest()
}

// TestControlBeforeGoodbye: what the client has sent before we say goodbye is answered before
// that, although both wait for the same answers. Broken version: what waits behind all that
// was read runs only when the connection reads on, and so behind the goodbye.
func TestControlBeforeGoodbye(t *testing.T) {
	t.Run("ping", func(t *testing.T) {
		c, codec, link := dialSlowly(t)
		c.write(append(masked(ws.OpText, true, "echo a"), masked(ws.OpPing, true, "p")...))
		eventually(t, "the ping waits", func() bool {
			return of(t, link, func(c *conn) bool { return c.in.holds.has(ordering) })
		})
		on(t, link, func(c *conn) { c.sayGoodbye(core.ReasonDrain) })
		for codec.pending() > 0 {
			codec.answer()
		}
		c.expect("a")
		if f := c.read(); f.Header.OpCode != ws.OpPong || string(f.Payload) != "p" {
			t.Fatalf("got %v %q, want the pong", f.Header.OpCode, f.Payload)
		}
		c.expectClose(ws.StatusCode(core.ReasonDrain.CloseCode()))
	})
	t.Run("close", func(t *testing.T) {
		c, codec, link := dialSlowly(t)
		c.write(append(masked(ws.OpText, true, "sub"), masked(ws.OpClose, true, "\x0f\xa0")...))
		eventually(t, "the close frame waits", func() bool {
			return of(t, link, func(c *conn) bool { return c.in.holds.has(ordering) })
		})
		on(t, link, func(c *conn) { c.sayGoodbye(core.ReasonDrain) })
		for codec.pending() > 0 {
			codec.answer()
		}
		c.expect("ok")
		c.expectClose(4000)
	})
}
