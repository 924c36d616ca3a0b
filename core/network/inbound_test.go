package network

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// frameHead is the head of a masked frame with a key of zeros.
func frameHead(op ws.OpCode, fin bool, length int) []byte {
	h := ws.Header{Fin: fin, OpCode: op, Masked: true, Length: int64(length)}
	var b bytes.Buffer
	if err := ws.WriteHeader(&b, h); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// TestInboundBudget: clients with messages that never end do not take more memory than the
// budget; the biggest are ended, with text and a reason. Clients with little waiting input
// continue. Broken version: without loop.relieveInput.
func TestInboundBudget(t *testing.T) {
	const budget, clients, each = 4 << 20, 12, 900 << 10
	zeros := func(n int) []byte { return make([]byte, n) }
	tests := []struct {
		name string
		send func(*client)
	}{
		{"a frame", func(c *client) {
			c.write(append(frameHead(ws.OpBinary, true, each+1), zeros(each)...))
		}},
		{"fragments", func(c *client) {
			op := ws.OpBinary
			for range each / 1000 {
				c.write(append(frameHead(op, false, 1000), zeros(1000)...))
				op = ws.OpContinuation
			}
		}},
		{"held", func(c *client) {
			c.send("hold " + strings.Repeat("x", each))
		}},
	}
	for _, secured := range []bool{false, true} {
		for _, tt := range tests {
			name := tt.name
			if secured {
				name += ", TLS"
			}
			t.Run(name, func(t *testing.T) {
				change := func(o *Options, _ *Endpoint) { o.InboundBudget = budget }
				var r *rig
				dial := func() *client { return r.dial("chat") }
				if secured {
					s := startSecure(t, change)
					r, dial = s.rig, func() *client { return s.dial(s.config(), nil) }
				} else {
					r = start(t, change)
				}
				little := dial()
				little.write(masked(ws.OpText, false, "echo fin"))
				eventually(t, "the little one is counted", func() bool { return r.Inbound() > 0 })
				var all []*client
				for range clients {
					c := dial()
					// A client that is ended may fail to write all of it.
					go func() {
						defer func() { _ = recover() }()
						tt.send(&client{silent{t}, c.Conn})
					}()
					all = append(all, c)
				}
				eventually(t, "some are ended", func() bool {
					return r.Inbound() <= budget && r.stats.Closed[core.ReasonOverload].Load() >= clients-budget/each
				})
				told, ended := make(chan struct{}, clients), make(chan struct{}, clients)
				for _, c := range all {
					go func() {
						defer func() { ended <- struct{}{} }()
						f, err := ws.ReadFrame(c)
						if err != nil || f.Header.OpCode != ws.OpClose {
							return
						}
						if code, _ := ws.ParseCloseFrameData(f.Payload); code != 1013 {
							t.Errorf("closed with %d", code)
						}
						told <- struct{}{}
					}()
				}
				eventually(t, "one is told that it is ended", func() bool { return len(told) > 0 })
				little.write(masked(ws.OpContinuation, true, "ished"))
				little.expect("finished")
				for _, c := range append(all, little) {
					_ = c.Close()
				}
				for range all {
					<-ended
				}
				if len(told) == clients {
					t.Error("all were told that they are ended")
				}
				eventually(t, "nothing is left", func() bool {
					// If a client is not read from, its leaving is not noticed.
					for len(r.hub.held) > 0 {
						l := <-r.hub.held
						l.Post(l.Release)
					}
					return r.stats.Open.Load() == 0 && r.Inbound() == 0
				})
			})
		}
	}
}

// silent fails no test: its client may be ended at any time.
type silent struct{ testing.TB }

func (silent) Helper()               {}
func (silent) Fatal(...any)          { panic("ended") }
func (silent) Fatalf(string, ...any) { panic("ended") }

// countedInput returns a function that returns how much input is counted, once the loop of a
// connection has finished its work. Between messages, as now, that is nothing.
func countedInput(t *testing.T, link core.Link) func() int64 {
	t.Helper()
	counted := func() int64 { return of(t, link, func(c *conn) int64 { return c.ep.server.Inbound() }) }
	if n := counted(); n != 0 {
		t.Errorf("%d bytes between messages", n)
	}
	return counted
}

// TestInboundIsCountedWhileItWaits: input is counted as long as it waits; finished messages
// are not.
func TestInboundIsCountedWhileItWaits(t *testing.T) {
	r := start(t, nil)
	c := r.dial("chat")
	for range 100 {
		c.send("echo " + strings.Repeat("x", 100))
		c.read()
	}
	link := r.hub.newest()
	counted := countedInput(t, link)
	// A frame whose head announces a long payload, of which little has come.
	c.write(frameHead(ws.OpText, true, 1<<20)[:3])
	eventually(t, "a head is counted", func() bool { return counted() > 0 })
	if n := counted(); n > 1<<10 {
		t.Errorf("%d bytes for a part of a head", n)
	}
	c.write(append(frameHead(ws.OpText, true, 1<<20)[3:], make([]byte, 100<<10)...))
	eventually(t, "the payload is counted", func() bool { return counted() >= 100<<10 })
	if n := counted(); n > 200<<10 {
		t.Errorf("%d bytes for 100 KiB", n)
	}
	c.write(make([]byte, 1<<20-100<<10))
	eventually(t, "it is forgotten", func() bool { return counted() == 0 })
	c.read()

	// The message for which the engine holds the connection, and what follows.
	c.send("hold " + strings.Repeat("x", 50<<10))
	held := <-r.hub.held
	eventually(t, "what is held is counted", func() bool { return counted() >= 50<<10 })
	c.send("echo " + strings.Repeat("y", 50<<10))
	eventually(t, "what waits is counted", func() bool { return counted() >= 100<<10 })
	on(t, held, (*conn).Release)
	c.read()
	if n := counted(); n != 0 {
		t.Errorf("%d bytes are left", n)
	}
}

// truncating sends only the first bytes of what is written, once it was told how many.
type truncating struct {
	net.Conn
	first int // 0 for all
}

func (m *truncating) Write(b []byte) (int, error) {
	if m.first == 0 {
		return m.Conn.Write(b)
	}
	_, err := m.Conn.Write(b[:m.first])
	return len(b), err
}

// TestInboundOfRecords: a partial TLS record counts as the buffer for all of it, and waiting
// ciphertext counts too. Broken versions: inputMemory without one of the two.
func TestInboundOfRecords(t *testing.T) {
	r := startSecure(t, nil)
	var nc *truncating
	config := r.config()
	config.DynamicRecordSizingDisabled = true
	c := r.dial(config, func(conn net.Conn) net.Conn { nc = &truncating{Conn: conn}; return nc })
	c.send("echo here")
	c.expect("here")
	link := r.hub.newest()
	counted := countedInput(t, link)
	// What comes after others, before it is their turn.
	on(t, link, func(conn *conn) {
		conn.stepBack()
		conn.decrypt(make([]byte, 1<<10))
		conn.account()
		if n := r.Inbound(); n < 1<<10 {
			t.Errorf("%d bytes for 1 KiB that waits to be decrypted", n)
		}
		conn.dropInput()
		conn.account()
	})
	nc.first = 100
	c.send("echo " + strings.Repeat("x", 8<<10))
	eventually(t, "the record is counted", func() bool { return counted() >= 8<<10 })
	if n := counted(); n > 2*recordSize {
		t.Errorf("%d bytes for a part of a record", n)
	}
	_ = nc.Conn.Close()
	eventually(t, "nothing is left", func() bool { return r.stats.Open.Load() == 0 && r.Inbound() == 0 })
}

// TestInboundOfTheEnded: an ending client may send more, but nothing of it is kept.
func TestInboundOfTheEnded(t *testing.T) {
	r := start(t, nil)
	c := r.dial("chat")
	link := r.hub.newest()
	link.Close(core.ReasonDrain)
	c.expectClose(1001)
	c.write(append(frameHead(ws.OpBinary, false, 500<<10), make([]byte, 500<<10)...))
	c.write(append(frameHead(ws.OpContinuation, false, 500<<10), make([]byte, 400<<10)...))
	on(t, link, func(*conn) {})
	if n := r.Inbound(); n > 1<<10 {
		t.Errorf("%d bytes are kept for a client that is ending", n)
	}
	c.write(make([]byte, 100<<10))
	c.write(masked(ws.OpClose, true, "\x03\xe9"))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the handshake: %v, want EOF", err)
	}
}

// TestInboundParksEarly: while half of the budget is used, input that waits for other reasons
// waits in the kernel.
func TestInboundParksEarly(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) {
		o.Loops = 1
		o.InboundBudget = 2 << 20
	})
	c := r.dial("chat")
	c.send("hold")
	link := (<-r.hub.held).(*conn)
	for range 2 {
		big := r.dial("chat")
		big.write(append(frameHead(ws.OpBinary, true, 1<<20), make([]byte, 600<<10)...))
	}
	eventually(t, "half of the budget is used", func() bool { return r.Inbound() > 1<<20 })
	c.send("echo x")
	eventually(t, "it is parked", func() bool { return of(t, link, func(c *conn) bool { return c.socket.where == parked }) })
	c.send("echo y")
	on(t, link, (*conn).Release)
	c.expect("x")
	c.expect("y")
}
