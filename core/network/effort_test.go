package network

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// register is a format that notes the first byte of each message, in the order of arrival
// over all connections; "d" is expensive.
type register struct {
	chat
	heard *heard
}

// heard is what a register has noted. Guarded by mu; each is called on the loop with the
// number of noted messages, unless it is nil.
type heard struct {
	mu   sync.Mutex
	list []byte
	each func(n int)
}

func (r register) NewCodec() core.Codec { return r }
func (register) Profile() core.Profile  { return core.Profile{Deflate: true} }

func (r register) Decode(f core.Frame, to core.Sink) error {
	kind := byte('0')
	if len(f.Data) > 0 {
		kind = f.Data[0]
	}
	r.heard.mu.Lock()
	r.heard.list = append(r.heard.list, kind)
	n, each := len(r.heard.list), r.heard.each
	r.heard.mu.Unlock()
	if each != nil {
		each(n)
	}
	if kind == 'd' {
		for began := time.Now(); time.Since(began) < effortTime; {
		}
	}
	to.Do(core.Command{Verb: core.Ping, Ref: f.Data[:min(len(f.Data), 1)]})
	return nil
}

func (h *heard) all() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.list)
}

// packed is a client's compressed message, which needs no context.
func packed(op ws.OpCode, payload []byte) []byte {
	b, err := appendDeflated(nil, payload, maxWindow)
	if err != nil {
		panic(err)
	}
	f := ws.NewFrame(op, true, b)
	f.Header.Rsv = 4
	return ws.MustCompileFrame(ws.MaskFrameInPlaceWith(f, [4]byte{1, 2, 3, 4}))
}

// floods are inputs that are expensive for a loop and come in one read. The last message is
// "z".
func floods() map[string][]byte {
	tail := masked(ws.OpText, true, "z")
	return map[string][]byte{
		"compressed zeros": append(bytes.Repeat(packed(ws.OpBinary, make([]byte, 32<<10)), 200), tail...),
		"tiny messages":    append(bytes.Repeat(masked(ws.OpText, true, "t"), 3000), tail...),
		"pings":            append(bytes.Repeat(masked(ws.OpPing, true, ""), 3000), tail...),
		"dear messages":    append(bytes.Repeat(masked(ws.OpText, true, "d"), 40), tail...),
	}
}

// TestEffort: a client that sends expensive input at once goes behind those that send little,
// and all its input is handled. Broken versions: with effort.spent never set; one that reads
// the clock after every eighth message.
func TestEffort(t *testing.T) {
	for name, flood := range floods() {
		for _, secured := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %v", name, secured), func(t *testing.T) {
				h := new(heard)
				change := func(o *Options, ep *Endpoint) {
					o.Loops = 1
					ep.Format = register{heard: h}
					ep.Settings.OutboundLimit = 8 << 20
				}
				var r *rig
				dial := func() *client {
					c, _ := r.dialDeflate("chat", "permessage-deflate")
					return c
				}
				if secured {
					s := startSecure(t, change)
					r = s.rig
					dial = func() *client {
						nc := tls.Client(r.dialTCP("chat").Conn, s.config())
						return upgradeDeflate(t, nc)
					}
				} else {
					r = start(t, change)
				}
				greedy, modest := dial(), dial()
				// Both have sent before the loop reads.
				link, blocked, goOn := r.hub.newest(), make(chan struct{}), make(chan struct{})
				link.Later(func() { close(blocked); <-goOn })
				<-blocked
				greedy.write(flood)
				modest.write(masked(ws.OpText, true, "m"))
				close(goOn)
				modest.expect("m")
				for f := greedy.read(); string(f.Payload) != "z"; f = greedy.read() {
				}
				list := h.all()
				m, z := bytes.IndexByte(list, 'm'), bytes.IndexByte(list, 'z')
				if m < 0 || m > z {
					t.Fatalf("the modest one was number %d, the end of the flood number %d", m, z)
				}
				// Each is a turn's work. The greedy client has had one turn, or two.
				if n := bytes.Count(list[:m], []byte("d")); n > 3 {
					t.Errorf("%d dear messages came before the modest one", n)
				}
			})
		}
	}
}

func upgradeDeflate(t *testing.T, nc net.Conn) *client {
	c := &client{t, nc}
	c.write([]byte(upgradeRequest("Sec-WebSocket-Extensions: permessage-deflate\r\n")))
	c.readResponse("HTTP/1.1 101 ")
	return c
}

// TestTinyRecords: TLS records of one byte each are work too.
func TestTinyRecords(t *testing.T) {
	h := new(heard)
	s := startSecure(t, func(o *Options, ep *Endpoint) {
		o.Loops = 1
		ep.Format = register{heard: h}
	})
	greedy, modest := s.dial(s.config(), nil), s.dial(s.config(), nil)
	link, blocked, goOn := s.hub.newest(), make(chan struct{}), make(chan struct{})
	link.Later(func() { close(blocked); <-goOn })
	<-blocked
	for _, b := range append(masked(ws.OpText, true, strings.Repeat("z", 2000)), masked(ws.OpText, true, "z")...) {
		greedy.write([]byte{b})
	}
	modest.write(masked(ws.OpText, true, "m"))
	close(goOn)
	modest.expect("m")
	greedy.expect("z")
	greedy.expect("z")
	if list := h.all(); string(list) != "mzz" {
		t.Errorf("heard %s, want the modest one first", list)
	}
}

// TestLeavingBehind: input that came before its sender left is handled, even if the sender
// was put behind others meanwhile.
func TestLeavingBehind(t *testing.T) {
	for name, flood := range floods() {
		for _, secured := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %v", name, secured), func(t *testing.T) {
				h := new(heard)
				change := func(_ *Options, ep *Endpoint) {
					ep.Format = register{heard: h}
					ep.Settings.OutboundLimit = 8 << 20
				}
				// It closes only its half of the stream: an answer must not reset it.
				var r *rig
				if secured {
					s := startSecure(t, change)
					r = s.rig
					c := upgradeDeflate(t, tls.Client(r.dialTCP("chat").Conn, s.config()))
					c.write(flood)
					_ = c.Conn.(*tls.Conn).CloseWrite()
				} else {
					r = start(t, change)
					c, _ := r.dialDeflate("chat", "permessage-deflate")
					c.write(flood)
					_ = c.Conn.(*net.TCPConn).CloseWrite()
				}
				eventually(t, "it is gone", func() bool { return r.stats.Open.Load() == 0 && r.stats.Opened.Load() == 1 })
				if list := h.all(); !bytes.HasSuffix(list, []byte("z")) {
					t.Errorf("the last of %d messages was not heard", len(list))
				}
				if n := r.Inbound(); n != 0 {
					t.Errorf("%d bytes are left", n)
				}
			})
		}
	}
}

// TestBytesAfterInflation: the byte limit counts inflated bytes.
func TestBytesAfterInflation(t *testing.T) {
	h := new(heard)
	r := start(t, func(_ *Options, ep *Endpoint) {
		ep.Format = register{heard: h}
		ep.Limits = core.NewLiveLimits(core.Limits{Bytes: core.Rate{Amount: 100_000, Per: time.Hour}})
	})
	c, _ := r.dialDeflate("chat", "permessage-deflate")
	c.write(bytes.Repeat(packed(ws.OpBinary, make([]byte, 32<<10)), 60))
	eventually(t, "it waits", func() bool { return r.stats.Throttled.Load() > 0 })
	on(t, r.hub.newest(), func(*conn) {})
	if n := len(h.all()); n != 4 {
		t.Errorf("%d messages of 32 KiB were heard, want those that exceed 100,000 bytes: 4", n)
	}
}

// TestThrottledRecords: waiting ciphertext comes out in order, even if its sender is held
// for another reason when its turn comes.
func TestThrottledRecords(t *testing.T) {
	const messages = 1500
	h := new(heard)
	s := startSecure(t, func(_ *Options, ep *Endpoint) {
		ep.Format = register{heard: h}
		ep.Limits = core.NewLiveLimits(core.Limits{Messages: core.Rate{Amount: 1000, Per: time.Second, Burst: 200}})
		ep.Settings.OutboundLimit = 8 << 20
	})
	c := s.dial(s.config(), nil)
	// All of them lie in the socket before the loop reads one: how fast the client writes does
	// not count.
	link, blocked, goOn := s.hub.newest(), make(chan struct{}), make(chan struct{})
	link.Later(func() { close(blocked); <-goOn })
	<-blocked
	var want []byte
	for i := range messages {
		c.write(masked(ws.OpText, true, string(rune('A'+i%26))))
	}
	close(goOn)
	for i := range messages {
		letter := rune('A' + i%26)
		want = append(want, byte(letter))
		c.expect(string(letter))
	}
	if !bytes.Equal(h.all(), want) {
		t.Error("the messages were heard in another order")
	}
	if s.stats.Throttled.Load() == 0 {
		t.Error("nobody waited")
	}
}

// TestGoodbyeBehind: a connection can end while it is behind, with input of all kinds
// left.
func TestGoodbyeBehind(t *testing.T) {
	for name, flood := range floods() {
		t.Run(name, func(t *testing.T) {
			s := startSecure(t, func(o *Options, ep *Endpoint) {
				o.Loops = 1
				ep.Format = register{heard: new(heard)}
				ep.Settings.OutboundLimit = 8 << 20
			})
			c := upgradeDeflate(t, tls.Client(s.dialTCP("chat").Conn, s.config()))
			link, blocked, goOn := s.hub.newest(), make(chan struct{}), make(chan struct{})
			link.Later(func() { close(blocked); <-goOn })
			<-blocked
			written := make(chan struct{})
			go func() {
				defer close(written)
				for range 5 {
					_, _ = c.Write(flood)
				}
			}()
			close(goOn)
			eventually(t, "it is behind", func() bool {
				return of(t, link, func(c *conn) bool {
					if c.in.holds.has(steppedBack) {
						c.sayGoodbye(core.ReasonDrain)
					}
					return c.in.holds.has(steppedBack)
				})
			})
			for f := c.read(); f.Header.OpCode != ws.OpClose; f = c.read() {
			}
			<-written
			c.write(masked(ws.OpClose, true, "\x03\xe9"))
			eventually(t, "it is gone", func() bool { return s.stats.Open.Load() == 0 && s.Inbound() == 0 })
		})
	}
}

// TestTurnsLetSocketsIn: a loop whose turns always leave something for the next one reads
// its sockets in between. Broken version: a turn that is requested while one runs (gnet
// carries out some hundred in a row).
func TestTurnsLetSocketsIn(t *testing.T) {
	const some, all = 20, 400
	h := new(heard)
	r := start(t, func(o *Options, ep *Endpoint) {
		o.Loops = 1
		ep.Format = register{heard: h}
	})
	greedy, modest := r.dial("chat"), r.dial("chat")
	h.mu.Lock()
	h.each = func(n int) {
		r.loopAt(0).post(mail{fn: func() {}}) // as a publish does
		if n == some {
			// On the loop: it is there before the next turn.
			_, _ = modest.Write(masked(ws.OpText, true, "m"))
		}
	}
	h.mu.Unlock()
	greedy.write(bytes.Repeat(masked(ws.OpText, true, "d"), all))
	modest.expect("m")
	if n := bytes.IndexByte(h.all(), 'm'); n > 3*some {
		t.Errorf("%d dear messages came before the modest one", n-some)
	}
}

// TestReleasedBeforeThoseBehind: who was held for a reason of ours, and has cost the loop
// nothing, reads on before those who have stepped back. Broken version: it reads on when they
// have spent the effort of the turn, and goes behind them.
func TestReleasedBeforeThoseBehind(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.Loops = 1 })
	greedy := r.dial("chat")
	greedy.send("echo here")
	greedy.expect("here")
	flood := r.hub.newest()
	modest := r.dial("chat")
	modest.send("hold")
	held := (<-r.hub.held).(*conn)
	modest.send("echo x")
	eventually(t, "its message is kept", func() bool { return of(t, held, func(c *conn) bool { return c.in.kept.size > 0 }) })
	on(t, flood, func(c *conn) {
		c.stepBack()
		c.keep(bytes.Repeat(masked(ws.OpText, true, "echo y"), 2*effortCount))
		held.Release()
	})
	if of(t, held, func(c *conn) bool { return c.in.holds.has(steppedBack) }) {
		t.Error("it went behind the flood")
	}
	modest.expect("x")
}
