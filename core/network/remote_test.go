package network

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// slowChat is chat in another process, as far as the network can tell: openings are answered
// at once, and all else when the test says so.
type slowChat struct {
	chat
	codecs chan *slowCodec
}

var _ core.RemoteFormat = slowChat{}

func (slowChat) Bind(core.RemoteHost) {}
func (slowChat) Flush()               {}
func (slowChat) Shards() int          { return 1 }

func (slowChat) AskMessage(_ int, ev core.Event, done func(core.Frame, error)) {
	data, kind, err := chat{}.Encode(nil, ev)
	done(core.Frame{Kind: kind, Data: data}, err)
}

func (s slowChat) Attach(_ int, c core.RemoteConn) core.RemoteCodec {
	codec := &slowCodec{conn: c, closed: make(chan struct{}), late: make(chan string, 1)}
	s.codecs <- codec
	return codec
}

// slowCodec is the codec of a connection.
type slowCodec struct {
	// Static after construction.
	conn   core.RemoteConn
	closed chan struct{}
	late   chan string // what was asked for after Close

	// Guarded by mu: how to answer what was asked and is not answered, in order. On the loop.
	mu      sync.Mutex
	answers []func()

	// Owned by the loop: unanswered messages, and those of their answers that wait for Resume.
	messages int
	later    []func()
}

// pauseAt is how many messages may be unanswered.
const pauseAt = 8

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

// answer answers the questions of now, up to n, in one turn, and returns when it has, or the
// connection is closed.
func (s *slowCodec) answer(n int) {
	s.mu.Lock()
	n = min(n, len(s.answers))
	now := slices.Clone(s.answers[:n])
	s.answers = s.answers[n:]
	s.mu.Unlock()
	done := make(chan struct{})
	s.conn.Post(func() {
		defer close(done)
		for _, answer := range now {
			if s.isClosed() {
				return
			}
			answer()
		}
	})
	select {
	case <-done:
	case <-s.closed:
	}
}

func (s *slowCodec) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// answerAll answers until nothing is asked any more.
func (s *slowCodec) answerAll() {
	for s.pending() > 0 {
		s.answer(s.pending())
	}
}

func (s *slowCodec) Open() {
	if s.isClosed() {
		s.late <- "open"
		return
	}
	s.conn.Post(func() {
		if !s.isClosed() {
			s.conn.Opened(core.Frame{}, nil)
		}
	})
}

func (s *slowCodec) Decode(f core.Frame) {
	f.Data = bytes.Clone(f.Data)
	if s.messages++; s.messages == pauseAt {
		s.conn.Pause()
	}
	decoded := func() {
		if s.messages--; s.messages == pauseAt-1 {
			s.conn.Unpause()
		}
		s.conn.Decoded(brittleChat{}.Decode(f, s.conn))
	}
	s.ask(func() {
		if len(s.later) > 0 || s.conn.Held() {
			s.later = append(s.later, decoded)
			return
		}
		decoded()
	})
}

func (s *slowCodec) Encode(ev core.Event) {
	ev, _ = ev.CloneInto(nil)
	s.ask(func() {
		data, kind, err := chat{}.Encode(nil, ev)
		s.conn.Encoded(ev.PendingCall(), core.Frame{Kind: kind, Data: data}, err)
	})
}

func (s *slowCodec) Expected(core.Event) (f core.Frame, known bool) { return core.Frame{}, false }
func (s *slowCodec) Admits(int) bool                                { return true }
func (s *slowCodec) Close()                                         { close(s.closed) }

func (s *slowCodec) Resume() {
	for len(s.later) > 0 && !s.isClosed() && !s.conn.Held() {
		next := s.later[0]
		s.later = s.later[1:]
		next()
	}
}

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
		codec.answerAll()
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
		codec.answerAll()
		c.expect("ok")
		c.expectClose(4000)
	})
}

// gathering keeps what is written, once it is told to, until it is told to send.
type gathering struct {
	net.Conn
	gathers bool
	kept    []byte
}

func (g *gathering) Write(b []byte) (int, error) {
	if g.gathers {
		g.kept = append(g.kept, b...)
		return len(b), nil
	}
	return g.Conn.Write(b)
}

// TestHungUpBeforeOpening: Open comes before Close also where the client's close_notify came
// with its request. Broken version: what came with the request is looked at before Open: a
// plugin that keeps something of its connections keeps it for ever.
func TestHungUpBeforeOpening(t *testing.T) {
	format := slowChat{codecs: make(chan *slowCodec, 1)}
	r := startSecure(t, func(_ *Options, ep *Endpoint) { ep.Format = format })
	g := new(gathering)
	c, err := r.shakeHands(r.config(), func(nc net.Conn) net.Conn {
		g.Conn = nc
		return g
	})
	if err != nil {
		t.Fatal(err)
	}
	g.gathers = true
	c.write([]byte(upgradeRequest()))
	if err := c.Conn.(*tls.Conn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_ = g.SetWriteDeadline(coretest.Deadline()) // CloseWrite has set one
	if _, err := g.Conn.Write(g.kept); err != nil {
		t.Fatal(err)
	}
	codec := <-format.codecs
	<-codec.closed
	_ = g.Close()
	eventually(t, "it has ended", func() bool { return r.stats.Open.Load() == 0 })
	if len(codec.late) > 0 {
		t.Errorf("%s was asked after Close", <-codec.late)
	}
}

// TestLastWords: what a client has said before it hangs up is carried out, though it was not
// answered then. Broken version: a TLS connection ends with the client's close_notify.
func TestLastWords(t *testing.T) {
	for _, secured := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secured), func(t *testing.T) {
			format := slowChat{codecs: make(chan *slowCodec, 1)}
			r, connect := startWith(t, secured, func(_ *Options, ep *Endpoint) { ep.Format = format })
			reader := connect().upgrade()
			reader.send("sub")
			codec := <-format.codecs
			eventually(t, "it subscribes", func() bool { return codec.pending() > 0 })
			codec.answerAll()
			reader.expect("ok")
			writer := connect().upgrade()
			codec, link := <-format.codecs, r.hub.newest()
			for i := range pauseAt {
				writer.send(fmt.Sprint("pub ", i))
			}
			writer.send("pub last")
			eventually(t, "all is asked that may be", func() bool { return codec.pending() == pauseAt })
			_ = writer.Close()
			eventually(t, "its socket is gone", func() bool {
				return of(t, link, func(c *conn) bool { return c.socket.where == nowhere })
			})
			codec.answer(pauseAt)
			for i := range pauseAt {
				reader.expect(fmt.Sprint(i))
			}
			eventually(t, "the last is asked", func() bool { return codec.pending() == 1 })
			codec.answerAll()
			reader.expect("last")
			eventually(t, "it has ended", func() bool { return r.stats.Open.Load() == 1 })
		})
	}
}

// TestNobodyLingersForEver: a connection whose client has gone stays for what that has said,
// and not for what others go on telling it: callers would go on asking it. Broken version: it
// stays until nothing is asked of its format.
func TestNobodyLingersForEver(t *testing.T) {
	format := slowChat{codecs: make(chan *slowCodec, 1)}
	r := start(t, func(_ *Options, ep *Endpoint) { ep.Format = format })
	c := r.dial("chat")
	codec, link := <-format.codecs, r.hub.newest()
	told := core.Event{Kind: core.Pong, Ref: []byte("x")}
	link.Send(told)
	c.send("echo last")
	eventually(t, "its message is asked", func() bool { return codec.pending() == 2 })
	_ = c.Close()
	eventually(t, "its socket is gone", func() bool {
		return of(t, link, func(c *conn) bool { return c.socket.where == nowhere })
	})
	for range 4 {
		link.Send(told) // before the last one is answered
		codec.answer(1)
	}
	eventually(t, "it has ended", func() bool { return r.stats.Open.Load() == 0 })
	// What was told later counts if it is encoded before the connection ends, which is in a later turn.
	if n := r.stats.Dropped[core.ReasonGone].Load(); n == 0 {
		t.Error("the message that was told before the client left is not counted as lost")
	}
}
