package network

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// faulty is the chat format with faults at the end of a connection.
type faulty struct {
	chat
	goodbye, encode, codec func()
	last                   error
}

func (f faulty) NewCodec() core.Codec {
	f.codec()
	return f
}

func (f faulty) Goodbye(r core.Reason) (uint16, string) {
	f.goodbye()
	return f.chat.Goodbye(r)
}

func (f faulty) Encode(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	if ev.Kind == core.Goodbye {
		f.encode()
		return dst, core.NoFrame, f.last
	}
	return f.chat.Encode(dst, ev)
}

// TestFaultyGoodbye: a format that panics in its farewell, or ends the connection with it,
// ends that connection, once. Broken version: a goodbye under a guard that says goodbye (the
// stack grows until the process ends).
func TestFaultyGoodbye(t *testing.T) {
	ok, fault := func() {}, func() { panic("asked for") }
	for name, tc := range map[string]struct {
		format faulty
		panics uint64
	}{
		"encode panics":    {faulty{goodbye: ok, encode: fault, codec: ok}, 1},
		"goodbye panics":   {faulty{goodbye: fault, encode: ok, codec: ok}, 1},
		"both panic":       {faulty{goodbye: fault, encode: fault, codec: ok}, 2},
		"encode violates":  {faulty{goodbye: ok, encode: ok, codec: ok, last: &core.Violation{Reason: core.ReasonMalformed, Err: errors.New("x")}}, 0},
		"encode is unable": {faulty{goodbye: ok, encode: ok, codec: ok, last: errors.New("x")}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(_ *Options, ep *Endpoint) { ep.Format = tc.format })
			c, other := r.dial("chat"), r.dial("chat")
			other.send("echo here")
			other.expect("here")
			c.send("goodbye")
			c.expectClose(1000)
			c.write(masked(ws.OpClose, true, "\x03\xe8"))
			<-r.hub.gone
			if n := r.Stats().Panics.Load(); n != tc.panics {
				t.Errorf("%d panics are counted, want %d", n, tc.panics)
			}
			other.send("echo still here")
			other.expect("still here")
		})
	}
}

// TestFaultyCodec: a connection whose codec cannot be made takes no place. Broken version:
// an upgrade that calls leave only where it returns.
func TestFaultyCodec(t *testing.T) {
	broken := true
	r := start(t, func(o *Options, ep *Endpoint) {
		o.MaxConnections = 1
		ep.Format = faulty{goodbye: func() {}, encode: func() {}, codec: func() {
			if broken {
				panic("asked for")
			}
		}}
	})
	for range 3 {
		c := r.dialTCP("chat")
		c.write([]byte(upgradeRequest()))
		c.readResponse("HTTP/1.1 500 ")
		eventually(t, "its place is free", func() bool { return r.open.Load() == 0 })
	}
	if n := r.Stats().Panics.Load(); n != 3 {
		t.Errorf("%d panics are counted, want 3", n)
	}
	broken = false
	r.dial("chat")
}

// TestFaultyConnection: if a loop panics over a connection, only that connection ends, wherever
// the panic is. Broken versions: flush without the check of the bytes (it never ends);
// writeFrom, or expire, without recover (the process ends).
func TestFaultyConnection(t *testing.T) {
	for name, spoil := range map[string]func(c *conn){
		"a frame without bytes": func(c *conn) {
			c.push(c.loop.lend(newFrame()))
			c.out.size++
		},
		"bytes without a frame": func(c *conn) {
			c.out.size++
			c.touch()
		},
		"bytes without a frame that wait for a turn": func(c *conn) {
			c.out.size++
			c.out.list = postponed
			c.loop.unwritten = append(c.loop.unwritten, c)
		},
		"bytes without a frame that wait for the socket": func(c *conn) {
			c.out.size++
			c.out.list = stuck
			c.loop.stuck = append(c.loop.stuck, c)
		},
		"a timer": func(c *conn) {
			c.settings = nil
			c.loop.wheel.Set(c, c.loop.ticks.Load()+1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(o *Options, _ *Endpoint) { o.Loops = 1 })
			c := r.dial("chat")
			c.send("echo here")
			c.expect("here")
			link := r.hub.newest()
			other := r.dial("chat")
			on(t, link, spoil)
			if l := <-r.hub.gone; l != link {
				t.Error("another connection has ended")
			}
			if n := r.stats.Closed[core.ReasonInternal].Load(); n != 1 {
				t.Errorf("%d connections ended as internal, want 1", n)
			}
			other.send("echo still here")
			other.expect("still here")
		})
	}
}

// TestFaultyMember: after a panic over one member of an audience, all others still get the
// message.
func TestFaultyMember(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.Loops = 1 })
	before, faulty := r.subscriber(), r.subscriber()
	link := r.hub.newest()
	after := r.subscriber()
	on(t, link, func(c *conn) { c.settings = nil; c.out.frames = append(c.out.frames, newFrame()) })
	r.hub.publish([]byte("hello"), nil)
	before.expect("hello")
	after.expect("hello")
	if l := <-r.hub.gone; l != link {
		t.Error("another connection has ended")
	}
	_ = faulty
}

// TestLeavesBeforeItIsSeen: what a connection held alone is free before anything is written
// that shows its client the end, which may be before the turn ends. Broken version: depart or
// sayGoodbye without giveUp.
func TestLeavesBeforeItIsSeen(t *testing.T) {
	for name, end := range map[string]func(*conn){
		"goodbye":   func(c *conn) { c.sayGoodbye(core.ReasonIdle) },
		"slow":      func(c *conn) { c.sayGoodbye(core.ReasonSlow) },
		"violation": func(c *conn) { c.fail(core.ReasonMalformed, errors.New("x")) },
		"departure": func(c *conn) { c.depart(core.ReasonNormal); c.queueLast(closeFrame(1000, "")); c.cutAfter(closeTime) },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil)
			c := r.dial("chat")
			c.send("echo here")
			c.expect("here")
			on(t, r.hub.newest(), func(c *conn) {
				end(c)
				c.flush()
				if len(r.hub.leaving) == 0 {
					t.Error("the close frame was written before the engine was told")
				}
			})
		})
	}
}

// TestCutStays: once a connection has said goodbye, nothing moves the time at which it is cut.
// Broken version: rearm that does not check the state.
func TestCutStays(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) { ep.Settings.PingInterval = 1 << 40 })
	c := r.dial("chat")
	c.send("echo here")
	c.expect("here")
	on(t, r.hub.newest(), func(c *conn) {
		c.sayGoodbye(core.ReasonIdle)
		due, _ := c.timer.Armed()
		c.rearm(c.loop.ticks.Load())
		c.expire()
		if now, armed := c.timer.Armed(); !armed || now != due || due != c.cutAt {
			t.Errorf("the timer is armed (%v) for %d, want %d", armed, now, c.cutAt)
		}
	})
	c.expectClose(ws.StatusCode(core.ReasonIdle.CloseCode()))
}

// TestRelievedIsHeardAgain: a client that was choked because of its backlog is read from
// again when the budget has dropped that. Broken version: takeOut without unchoke.
func TestRelievedIsHeardAgain(t *testing.T) {
	for name, policy := range map[string]SlowConsumer{"drop_oldest": DropOldest, "drop_newest": DropNewest} {
		t.Run(name, func(t *testing.T) {
			const limit = 64 << 10
			r := start(t, func(o *Options, ep *Endpoint) {
				o.SendBuffer = 16 << 10
				ep.Settings.OutboundLimit, ep.Settings.SlowConsumer = limit, policy
			})
			_, link := r.sleeper()
			eventually(t, "much waits for it, and it is not read from", func() bool {
				r.hub.publish([]byte(strings.Repeat("x", 4<<10)), nil)
				return of(t, link, func(c *conn) bool {
					if c.backlog() > limit*3/4 {
						c.choke()
					}
					return c.in.holds.has(choked)
				})
			})
			on(t, link, func(c *conn) {
				// As if the socket had taken the rest of a message, and no more: then all that
				// waits can be dropped, and nothing is written any more.
				c.out.wrote(len(c.out.frames[0].bytes) - c.out.off)
				for c.waiting() > 0 && c.isOpen() {
					c.relieve()
				}
			})
			eventually(t, "it is read from again", func() bool { return of(t, link, func(c *conn) bool { return !c.in.holds.any() }) })
		})
	}
}

// startTight starts a server whose clients have small sockets, with at most limit bytes
// waiting for each of them.
func startTight(t *testing.T, limit int) *rig {
	t.Helper()
	return start(t, func(o *Options, ep *Endpoint) {
		o.SendBuffer = 16 << 10
		ep.Settings.OutboundLimit = limit
	})
}

// TestForeignLink: a message may except a link that is not the network's.
func TestForeignLink(t *testing.T) {
	r := start(t, nil)
	c := r.subscriber()
	r.hub.publish([]byte("hello"), struct{ core.Link }{})
	c.expect("hello")
}

// TestBigThenSmall: a client that reads a message larger than its bound is not slow because
// something else follows, even its own pong. Broken version: fits that counts the message in
// flight.
func TestBigThenSmall(t *testing.T) {
	const limit, big = 64 << 10, 4 << 20
	r := startTight(t, limit)
	c, link := r.sleeper()
	message := strings.Repeat("x", big)
	r.hub.publish([]byte(message), nil)
	r.hub.publish([]byte("small"), nil)
	link.Send(core.Event{Kind: core.Pong, Ref: []byte("answer")})
	waits := func(n int) func() bool {
		return func() bool { return of(t, link, func(c *conn) bool { return len(c.out.frames) == n }) }
	}
	eventually(t, "all wait", waits(3))
	c.write(masked(ws.OpPing, true, "ping"))
	eventually(t, "the pong waits", waits(4))
	c.expect(message)
	c.expect("small")
	c.expect("answer")
	if f := c.read(); f.Header.OpCode != ws.OpPong {
		t.Errorf("got %v", f.Header.OpCode)
	}
}

// TestControlAlwaysFits: a slow client that still reads is not ended by a ping of the server, or
// by what it is owed, when waiting messages take all of its bound. Broken versions: fits
// without the exception for control frames; makeRoom without owedFits.
func TestControlAlwaysFits(t *testing.T) {
	const limit, big = 32 << 10, 4 << 20
	r := startTight(t, limit)
	c, link := r.sleeper()
	first, second := strings.Repeat("x", big), strings.Repeat("y", limit-4)
	r.hub.publish([]byte(first), nil)
	r.hub.publish([]byte(second), nil)
	eventually(t, "the bound is reached", func() bool {
		return of(t, link, func(c *conn) bool { all, _ := c.out.behind(); return all == limit })
	})
	on(t, link, func(c *conn) { c.queueOwn(controlFrame(ws.OpPing, nil)) })
	link.Send(core.Event{Kind: core.Pong, Ref: []byte("answer")})
	c.expect(first)
	c.expect(second)
	if f := c.read(); f.Header.OpCode != ws.OpPing {
		t.Errorf("got %v", f.Header.OpCode)
	}
	c.expect("answer")
}

// TestPingsOfTheDeaf: a client that pings and hardly reads is choked in the end, and its
// backlog stays within its bound. Broken version: pings that do not choke.
func TestPingsOfTheDeaf(t *testing.T) {
	const limit = 64 << 10
	r := startTight(t, limit)
	c, link := r.sleeper()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		ping := masked(ws.OpPing, true, strings.Repeat("p", 125))
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := c.Write(ping); err != nil {
				return
			}
		}
	}()
	eventually(t, "it is not read from", func() bool {
		return of(t, link, func(c *conn) bool {
			if c.backlog() > limit {
				t.Errorf("%d bytes wait", c.backlog())
			}
			return c.in.holds.has(choked)
		}) || c.readSome()
	})
	if n := r.stats.Closed[core.ReasonSlow].Load(); n != 0 {
		t.Error("it was closed as slow")
	}
}

// readSome reads a little of what has arrived, if anything has, and returns false. Once a kernel has no room
// left for what arrives it may drop acknowledgements too, and then nothing moves in either direction.
func (c *client) readSome() bool {
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, _ = c.Read(make([]byte, 1<<10))
	return false
}
