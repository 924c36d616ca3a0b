package network

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// TestSecureHeldConnectionPushesBack is TestHeldConnectionPushesBack with TLS: records
// in the tls.Conn while the socket is parked are not lost.
func TestSecureHeldConnectionPushesBack(t *testing.T) {
	const messages, size = 500, 32 << 10
	r := startSecure(t, nil)
	c := r.dial(r.config(), nil)
	c.send("hold")
	link := (<-r.hub.held).(*conn)
	text := strings.Repeat("x", size)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range messages {
			c.send(fmt.Sprintf("echo %d %s", i, text))
		}
	}()
	eventually(t, "the connection is parked", func() bool {
		return of(t, link, func(c *conn) bool { return c.socket.where == parked })
	})
	link.Send(core.Event{Kind: core.Pong, Ref: []byte("told while parked")})
	c.expect("told while parked")
	select {
	case <-sent:
		t.Fatal("16 MB were taken from a held connection")
	default:
	}
	if n := of(t, link, func(c *conn) int { return c.in.kept.size }); n > parkAt+128<<10 {
		t.Errorf("%d bytes are kept, the bound is about %d", n, parkAt)
	}
	link.Post(link.Release)
	for i := range messages {
		c.expect(fmt.Sprintf("%d %s", i, text))
	}
	<-sent
}

// TestSecurePartialWrite is TestPartialWrite with TLS. Broken version: without rest,
// or with frames encrypted twice, the client's tls.Conn finds a bad record.
func TestSecurePartialWrite(t *testing.T) {
	const receivers, messages = 4, 200
	r := startSecure(t, func(o *Options, ep *Endpoint) {
		o.SendBuffer = 32 << 10
		ep.Settings.OutboundLimit = 1 << 30
	})
	rnd := rand.New(rand.NewPCG(5, 6))
	texts := make([]string, messages)
	for i := range texts {
		texts[i] = fmt.Sprintf("%d:%s", i, strings.Repeat(string(rune('a'+i%26)), rnd.IntN(60_000)))
	}
	done := make(chan error, receivers)
	for i := range receivers {
		c := r.dial(r.config(), func(nc net.Conn) net.Conn {
			_ = nc.(*net.TCPConn).SetReadBuffer(32 << 10)
			return nc
		})
		c.send("sub")
		c.expect("ok")
		go func() {
			br := bufio.NewReaderSize(c, 16+i*5000)
			for _, want := range texts {
				f, err := ws.ReadFrame(br)
				if err != nil || string(f.Payload) != want {
					done <- fmt.Errorf("receiver %d: got %.40q, want %.40q: %w", i, f.Payload, want, err)
					return
				}
			}
			done <- nil
		}()
	}
	pub := r.dial(r.config(), nil)
	for _, text := range texts {
		pub.send("pub " + text)
	}
	for range receivers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestSecureStalledReader: the policies and the bound hold with TLS, and a stalled
// client's own ciphertext is at most one record.
func TestSecureStalledReader(t *testing.T) {
	const messages, size, limit = 200, 40 << 10, 512 << 10
	for name, policy := range map[string]SlowConsumer{"disconnect": Disconnect, "drop_oldest": DropOldest, "drop_newest": DropNewest} {
		t.Run(name, func(t *testing.T) {
			r := startSecure(t, func(o *Options, ep *Endpoint) {
				o.SendBuffer = 64 << 10
				ep.Settings.OutboundLimit, ep.Settings.SlowConsumer = limit, policy
			})
			stalled := r.dial(r.config(), func(nc net.Conn) net.Conn {
				_ = nc.(*net.TCPConn).SetReadBuffer(32 << 10)
				return nc
			})
			stalled.send("sub")
			stalled.expect("ok")
			link := r.hub.newest().(*conn)
			healthy := r.dial(r.config(), nil)
			healthy.send("sub")
			healthy.expect("ok")
			text := strings.Repeat("x", size)
			for range messages {
				r.hub.publish([]byte(text), nil)
				healthy.expect(text)
			}
			if r.stats.Dropped[core.ReasonSlow].Load() == 0 {
				t.Error("no drop was counted")
			}
			if policy == Disconnect {
				for f := stalled.read(); f.Header.OpCode != ws.OpClose; f = stalled.read() {
					if string(f.Payload) != text {
						t.Fatalf("got %.20q", f.Payload)
					}
				}
				return
			}
			type state struct{ out, sum, rest int }
			s := of(t, link, func(c *conn) state {
				s := state{out: c.waiting(), rest: len(c.secure.rest)}
				for _, f := range c.out.frames {
					s.sum += len(f.bytes)
				}
				s.sum += s.rest - c.out.off
				return s
			})
			if s.out > limit+len(text)+64 || s.out < limit/2 || s.out != s.sum || s.rest > recordSize+64 {
				t.Errorf("queued: %+v, the bound is %d", s, limit)
			}
			for range 5 {
				stalled.expect(text)
			}
		})
	}
}

// recordLog notes the type of the last record that was read.
type recordLog struct {
	net.Conn
	mu  sync.Mutex
	all []byte
}

func (r *recordLog) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, b[:n]...)
	return n, err
}

// last returns the type of the last record; it fails if that is not whole.
func (r *recordLog) last(t *testing.T) byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	for b := r.all; ; {
		if len(b) < 5 || len(b) < 5+int(b[3])<<8+int(b[4]) {
			t.Fatalf("%d bytes of a record", len(b))
		}
		n := 5 + int(b[3])<<8 + int(b[4])
		if n == len(b) {
			return b[0]
		}
		b = b[n:]
	}
}

// TestSecureEnds: whenever the server ends a connection, it sends close_notify, which in TLS
// 1.2 is a record of its own type.
func TestSecureEnds(t *testing.T) {
	const alert = 21
	tests := []struct {
		name   string
		end    func(c *client)
		reason core.Reason
	}{
		{"close frame", func(c *client) { c.write(masked(ws.OpClose, true, "\x03\xe8")); c.expectClose(1000) }, core.ReasonNormal},
		{"fault", func(c *client) { c.write([]byte{0x83, 0x80, 0, 0, 0, 0}); c.expectClose(1002) }, core.ReasonProtocol},
		{"goodbye", func(c *client) {
			c.send("goodbye")
			c.expectClose(1000)
			c.write(masked(ws.OpClose, true, "\x03\xe8"))
		}, core.ReasonNormal},
		{"close_notify", func(c *client) { _ = c.Conn.(*tls.Conn).CloseWrite() }, core.ReasonLost},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := startSecure(t, nil)
			config := r.config()
			config.MaxVersion = tls.VersionTLS12
			var rec recordLog
			c := r.dial(config, func(nc net.Conn) net.Conn { rec.Conn = nc; return &rec })
			tt.end(c)
			if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
				t.Errorf("at the end: %q, %v", b, err)
			}
			if got := rec.last(t); got != alert {
				t.Errorf("the last record is of type %d, want %d", got, alert)
			}
			_ = c.Close()
			eventually(t, "the end is counted", func() bool {
				return r.stats.Closed[tt.reason].Load() == 1 && r.stats.Open.Load() == 0
			})
		})
	}
}

// TestSecureCut: a client that leaves without close_notify ends like one without TLS.
func TestSecureCut(t *testing.T) {
	r := startSecure(t, nil)
	c := r.dial(r.config(), nil)
	_ = c.Conn.(*tls.Conn).NetConn().Close()
	eventually(t, "the end is counted", func() bool {
		return r.stats.Closed[core.ReasonLost].Load() == 1 && r.stats.Open.Load() == 0
	})
}

// TestSecureBrokenStream: bytes that are not a record end the connection, with an alert.
func TestSecureBrokenStream(t *testing.T) {
	for _, bytes := range []string{"no record at all, for sure", "\x17\x03\x03\x00\x20" + strings.Repeat("?", 32), "\x17\x03\x03\xff\xff"} {
		r := startSecure(t, nil)
		other := r.dial(r.config(), nil)
		c := r.dial(r.config(), nil)
		if _, err := c.Conn.(*tls.Conn).NetConn().Write([]byte(bytes)); err != nil {
			t.Fatal(err)
		}
		_, err := c.Read(make([]byte, 1))
		if _, ok := errors.AsType[*net.OpError](err); !ok || !strings.Contains(err.Error(), "remote error: tls: ") {
			t.Errorf("after %.10q: %v, want an alert", bytes, err)
		}
		_ = c.Close()
		eventually(t, "the end is counted", func() bool {
			return r.stats.Closed[core.ReasonTLS].Load() == 1 && r.stats.Open.Load() == 1
		})
		other.send("echo fine")
		other.expect("fine")
	}
}

// asked is an HTTP handler.
func asked(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %d", r.Method, tls.VersionName(r.TLS.Version), len(body))
}

// TestSecureHTTP: plain HTTP is answered over TLS, kept alive, and may later be upgraded.
func TestSecureHTTP(t *testing.T) {
	r := startSecure(t, func(_ *Options, ep *Endpoint) { ep.HTTP, ep.Path = http.HandlerFunc(asked), "/ws" })
	c, err := r.shakeHands(r.config(), nil)
	if err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReaderSize(c, 16)
	for _, size := range []int{0, 100, 300_000} {
		c.write(fmt.Appendf(nil, "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("b", size)))
		response, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if want := fmt.Sprintf("POST TLS 1.3 %d", size); err != nil || string(body) != want {
			t.Errorf("got %q, %v, want %q", body, err, want)
		}
	}
	c.write([]byte(strings.Replace(upgradeRequest(), "GET / ", "GET /ws ", 1)))
	c.write(masked(ws.OpText, true, "echo back again"))
	c.readResponse("HTTP/1.1 101 ")
	c.expect("back again")
}

func TestPlainHTTPToSecureEndpoint(t *testing.T) {
	r := startSecure(t, nil)
	c := r.dialTCP("chat")
	c.write([]byte(upgradeRequest()))
	c.readResponse("HTTP/1.1 400 ")
	if body, _ := io.ReadAll(c); string(body) != "client sent an HTTP request to an HTTPS server" {
		t.Errorf("body %q", body)
	}
}
