package network

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

func TestClientFaultsAreAnsweredWithACloseCode(t *testing.T) {
	tests := []struct {
		name   string
		bytes  []byte
		code   ws.StatusCode
		reason core.Reason
	}{
		{"unmasked frame", []byte{0x81, 1, 'a'}, 1002, core.ReasonProtocol},
		{"reserved opcode", masked(3, true, ""), 1002, core.ReasonProtocol},
		{"invalid UTF-8", masked(ws.OpText, true, "\xff"), 1007, core.ReasonInvalidUTF8},
		{"too large", masked(ws.OpText, true, strings.Repeat("x", 1<<20+1)), 1009, core.ReasonTooLarge},
		{"close with a forbidden code", masked(ws.OpClose, true, "\x03\xed"), 1002, core.ReasonProtocol},
		{"close with half a code", masked(ws.OpClose, true, "\x03"), 1002, core.ReasonProtocol},
		{"close with an invalid reason", masked(ws.OpClose, true, "\x03\xe8\xff"), 1007, core.ReasonInvalidUTF8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, nil)
			other := r.dial("chat")
			c := r.dial("chat")
			_, _ = c.Write(tt.bytes) // the server may have closed before the last byte
			c.expectClose(tt.code)
			if _, err := ws.ReadFrame(c); err == nil {
				t.Error("a frame after the close frame")
			}
			if got := r.stats.Closed[tt.reason].Load(); got != 1 {
				t.Errorf("Closed[%v] = %d, want 1", tt.reason, got)
			}
			other.send("echo fine")
			other.expect("fine")
		})
	}
}

func TestPanicEndsOneConnection(t *testing.T) {
	r := start(t, nil)
	other := r.dial("chat")
	c := r.dial("chat")
	c.send("panic")
	c.expectClose(1011)
	other.send("echo fine")
	other.expect("fine")
	if r.Stats().Panics.Load() != 1 {
		t.Errorf("Panics = %d, want 1", r.Stats().Panics.Load())
	}
}

func TestGoodbyeIsAnsweredAndCounted(t *testing.T) {
	r := start(t, nil)
	c := r.dial("chat")
	c.send("goodbye")
	c.expectClose(1000)
	c.write(masked(ws.OpClose, true, "\x03\xe8"))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the handshake: %v, want EOF", err)
	}
	<-r.hub.gone
}

// A function passed to Later runs even if the connection has closed; one passed to Post does
// not.
func TestLaterOutlivesConnection(t *testing.T) {
	r := start(t, nil)
	c := r.dial("chat")
	c.send("sub")
	c.expect("ok")
	link := r.hub.newest()
	_ = c.Close()
	<-r.hub.gone
	later := make(chan struct{})
	link.Post(func() { t.Error("ran what was posted to a closed connection") })
	link.Send(core.Event{Kind: core.Pong})
	link.Later(func() { close(later) })
	<-later
}

func TestHoldKeepsOrder(t *testing.T) {
	r := start(t, nil)
	c := r.dial("chat")
	c.send("hold")
	for i := range 10 {
		c.send(fmt.Sprintf("echo %d", i))
	}
	link := <-r.hub.held
	link.Send(core.Event{Kind: core.Pong, Ref: []byte("told while held")})
	c.expect("told while held")
	link.Post(link.(*conn).Release)
	for i := range 10 {
		c.expect(fmt.Sprint(i))
	}
}

// TestHeldConnectionPushesBack: the input of a held client stays in its own socket once the
// broker has kept enough of it, and comes through afterwards.
func TestHeldConnectionPushesBack(t *testing.T) {
	const messages, size = 2000, 32 << 10
	r := start(t, nil)
	c := r.dial("chat")
	c.send("hold")
	link := (<-r.hub.held).(*conn)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range messages {
			c.send(fmt.Sprintf("echo %d %s", i, strings.Repeat("x", size)))
		}
	}()
	eventually(t, "the connection is parked", func() bool {
		return of(t, link, func(c *conn) bool { return c.socket.where == parked })
	})
	link.Send(core.Event{Kind: core.Pong, Ref: []byte("told while parked")})
	c.expect("told while parked")
	select {
	case <-sent:
		t.Fatal("64 MB were taken from a held connection")
	default:
	}
	if n := of(t, link, func(c *conn) int { return c.in.kept.size }); n > parkAt+128<<10 {
		t.Errorf("%d bytes are kept, the bound is about %d", n, parkAt)
	}
	link.Post(link.Release)
	for i := range messages {
		c.expect(fmt.Sprintf("%d %s", i, strings.Repeat("x", size)))
	}
	<-sent
}

func TestParkedConnectionCanEnd(t *testing.T) {
	for _, how := range []string{"goodbye", "lost", "reset"} {
		t.Run(how, func(t *testing.T) {
			r := start(t, nil)
			c := r.dial("chat")
			c.send("hold")
			link := (<-r.hub.held).(*conn)
			go func() {
				_, _ = c.Write([]byte(strings.Repeat(string(masked(ws.OpText, true, "echo x")), 100_000)))
			}()
			eventually(t, "the connection is parked", func() bool {
				return of(t, link, func(c *conn) bool { return c.socket.where == parked })
			})
			switch how {
			case "goodbye":
				link.Close(core.ReasonUnavailable)
				c.expectClose(1013)
			case "reset":
				if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil {
					t.Fatal(err)
				}
				fallthrough
			case "lost":
				_ = c.Close()
				link.Post(link.Release)
			}
			<-r.hub.gone
			_ = c.Close()
			eventually(t, "the socket is closed", func() bool { return r.stats.Open.Load() == 0 })
		})
	}
}

func TestCongestedMailboxHoldsPublishers(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) { ep.Settings.OutboundLimit = 1 << 30 })
	sub := r.dial("chat")
	sub.send("sub")
	sub.expect("ok")
	sub.send("hold") // so that its link is known
	link := (<-r.hub.held).(*conn)
	block := make(chan struct{})
	link.Post(func() { <-block })
	const messages = 3 * congestedMails
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range messages {
			pub := r.hub
			pub.publish(fmt.Appendf(nil, "%d", i), nil)
		}
	}()
	<-sent
	if r.congested.Load() != 1 {
		t.Fatalf("%d loops are congested, want 1", r.congested.Load())
	}
	close(block)
	for i := range messages {
		sub.expect(fmt.Sprint(i))
	}
	eventually(t, "the congestion is over", func() bool { return r.congested.Load() == 0 })
	pub := r.dial("chat")
	pub.send("echo on")
	pub.expect("on")
}

func TestIdleTimeout(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) { ep.Settings.IdleTimeout = coretest.Patience })
	c := r.dial("chat")
	link := r.hub.newest()
	idleAt := func() uint32 { return of(t, link, func(c *conn) uint32 { return c.idleAt() }) }
	before := idleAt()
	ticks := &r.loopAt(link.Loop()).ticks
	from := ticks.Load()
	eventually(t, "time passes", func() bool { return ticks.Load() > from+2 })
	c.send("echo awake")
	c.expect("awake")
	if after := idleAt(); after <= before {
		t.Errorf("idle at tick %d, and before it said something at %d", after, before)
	}

	began := time.Now()
	if err := r.Apply("chat", Settings{OutboundLimit: 1 << 20, IdleTimeout: 400 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	c.expectClose(1001)
	if d := time.Since(began); d < 300*time.Millisecond {
		t.Errorf("closed after %v", d)
	}
	if r.stats.Closed[core.ReasonIdle].Load() != 1 {
		t.Error("not counted as idle")
	}
}

func TestPings(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) {
		ep.Settings.PingInterval = 200 * time.Millisecond
		ep.Settings.PongTimeout = coretest.Patience
	})
	c := r.dial("chat")
	for range 4 {
		if f := c.read(); f.Header.OpCode != ws.OpPing {
			t.Fatalf("got %v, want a ping", f.Header.OpCode)
		}
		c.write(masked(ws.OpPong, true, ""))
	}
	// Without pongs it ends; other messages do not count.
	set := Settings{OutboundLimit: 1 << 20, PingInterval: 200 * time.Millisecond, PongTimeout: 500 * time.Millisecond}
	if err := r.Apply("chat", set); err != nil {
		t.Fatal(err)
	}
	for {
		c.send("echo x")
		f := c.read()
		if f.Header.OpCode == ws.OpClose {
			break
		}
	}
	if r.stats.Closed[core.ReasonNoPong].Load() != 1 {
		t.Error("not counted as without pong")
	}
}

func TestPingIsAnsweredBetweenFragments(t *testing.T) {
	r := start(t, nil)
	c := r.dial("echo")
	c.write(masked(ws.OpText, false, "he"))
	c.write(masked(ws.OpPing, true, "?"))
	if f := c.read(); f.Header.OpCode != ws.OpPong || string(f.Payload) != "?" {
		t.Fatalf("got %v %q, want the pong", f.Header.OpCode, f.Payload)
	}
	c.write(masked(ws.OpContinuation, true, "llo"))
	c.expect("hello")
}

func TestRefusedHandshakes(t *testing.T) {
	sameOrigin := func(_ *Options, ep *Endpoint) { ep.Settings.Origins = []string{"https://good.example"} }
	tests := []struct {
		name    string
		change  func(*Options, *Endpoint)
		request string
		status  string
		reason  core.Reason
	}{
		{"oversized head", nil, "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 64<<10), "431", core.ReasonTooLarge},
		{"too many fields", func(o *Options, _ *Endpoint) { o.MaxHeaderFields = 5 }, upgradeRequest("X: y\r\n"), "431", core.ReasonTooLarge},
		{"half a head", func(o *Options, _ *Endpoint) { o.HandshakeTimeout = 100 * time.Millisecond }, "GET / HT", "408", core.ReasonTimeout},
		{"bare LF", nil, "GET / HTTP/1.1\nHost: x\r\n\r\n", "400", core.ReasonHandshake},
		{"two keys", nil, upgradeRequest("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), "400", core.ReasonHandshake},
		{"wrong path", func(_ *Options, ep *Endpoint) { ep.Path = "/ws" }, upgradeRequest(), "404", core.ReasonHandshake},
		{"too many connections", func(o *Options, _ *Endpoint) { o.MaxConnections = 1 }, upgradeRequest(), "503", core.ReasonOverload},
		{"version 8", nil, strings.Replace(upgradeRequest(), "Version: 13", "Version: 8", 1), "426", core.ReasonHandshake},
		{"no key", nil, strings.Replace(upgradeRequest(), "Sec-WebSocket-Key", "X", 1), "400", core.ReasonHandshake},
		{"foreign origin", sameOrigin, upgradeRequest("Origin: https://evil.example\r\n"), "403", core.ReasonOrigin},
		{"good origin", sameOrigin, upgradeRequest("Origin: https://good.example\r\n"), "101", core.NumReasons},
		{"no origin", sameOrigin, upgradeRequest(), "101", core.NumReasons},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, tt.change)
			if tt.status == "503" {
				r.dial("echo")
			}
			c := r.dialTCP("chat")
			c.write([]byte(tt.request))
			c.readResponse("HTTP/1.1 " + tt.status)
			if tt.reason == core.NumReasons {
				return
			}
			eventually(t, "the refusal is counted", func() bool {
				return r.stats.Rejected[tt.reason].Load()+r.Stats().Rejected[tt.reason].Load() == 1
			})
		})
	}
}

func TestTooManyHandshakes(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.MaxHandshakes = 1 })
	slow := r.dialTCP("chat")
	slow.write([]byte("GET"))
	eventually(t, "a second visitor is turned away", func() bool {
		c := r.dialTCP("chat")
		b, _ := io.ReadAll(c)
		_ = c.Close()
		return strings.HasPrefix(string(b), "HTTP/1.1 503") && strings.Contains(string(b), "Retry-After")
	})
	_ = slow.Close()
}

func TestPlainHTTP(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) {
		ep.Path = "/ws"
		ep.HTTP = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			body, _ := io.ReadAll(req.Body)
			_, _ = fmt.Fprintf(w, "%s %s %d", req.Method, req.URL.Path, len(body))
		})
	})
	base := "http://" + r.Addr("chat").String()
	get := func(method, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	for _, n := range []int{0, 10, 300_000} {
		if status, body := get("POST", "/x", strings.Repeat("x", n)); status != 200 || body != fmt.Sprintf("POST /x %d", n) {
			t.Errorf("%d %q", status, body)
		}
	}
	if status, _ := get("GET", "/ws", ""); status != 400 {
		t.Errorf("a plain GET of the endpoint: %d, want 400", status)
	}
}

// TestUpgradeAfterPlainRequest: a proxy may send an upgrade on a connection that it
// used for plain requests before.
func TestUpgradeAfterPlainRequest(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) { ep.Path = "/ws" })
	c := r.dialTCP("chat")
	c.write([]byte("GET /other HTTP/1.1\r\nHost: x\r\n\r\n"))
	c.readResponse("HTTP/1.1 404")
	if _, err := io.ReadFull(c, make([]byte, len("404 page not found\n"))); err != nil {
		t.Fatal(err)
	}
	c.write(append([]byte(strings.Replace(upgradeRequest(), "GET /", "GET /ws", 1)), masked(ws.OpText, true, "echo early")...))
	c.readResponse("HTTP/1.1 101 ")
	c.expect("early")
}

// TestUpgradeWithBody: what a proxy reads as the body of an upgrade request must not
// become the frames of its client, even on a connection that was used before. Broken
// version: without the check of TransferEncoding in comeBack.
func TestUpgradeWithBody(t *testing.T) {
	const first = "GET /other HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, before := range []string{"", first} {
		for _, body := range []string{"Content-Length: 9\r\n", "Transfer-Encoding: chunked\r\n", "Expect: 100-continue\r\nContent-Length: 9\r\n"} {
			r := start(t, nil)
			c := r.dialTCP("chat")
			c.write([]byte(before))
			if before != "" {
				c.readResponse("HTTP/1.1 400") // no upgrade
				if _, err := io.ReadFull(c, make([]byte, len("this is a WebSocket endpoint (chat): connect with a WebSocket client\n"))); err != nil {
					t.Fatal(err)
				}
			}
			c.write(append([]byte(upgradeRequest(body)), masked(ws.OpText, true, "pub")...))
			c.readResponse("HTTP/1.1 400")
			if got := r.Stats().Rejected[core.ReasonHandshake].Load(); got != 1 {
				t.Errorf("%q: %d refusals are counted", body, got)
			}
		}
	}
}

// TestChokedClient: the server stops reading from a client that requests more than it reads,
// and the client gets all its answers when it does read.
func TestChokedClient(t *testing.T) {
	const messages, size = 1000, 32 << 10
	r := start(t, nil)
	c := r.dial("chat")
	c.send("echo here")
	c.expect("here")
	link := r.hub.newest().(*conn)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range messages {
			c.send(fmt.Sprintf("echo %d %s", i, strings.Repeat("x", size)))
		}
	}()
	eventually(t, "the client is choked and parked", func() bool {
		return of(t, link, func(c *conn) bool { return c.in.holds.has(choked) && c.socket.where == parked })
	})
	for i := range messages {
		c.expect(fmt.Sprintf("%d %s", i, strings.Repeat("x", size)))
	}
	<-sent
}

// curt is the chat format that ends without a close frame.
type curt struct{ chat }

func (curt) Goodbye(core.Reason) (uint16, string) { return 0, "" }

func TestGoodbyeWithoutCloseFrame(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) { ep.Format = curt{} })
	c := r.dial("chat")
	c.send("goodbye")
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read %d bytes, %v; want EOF", n, err)
	}
}

// eager is the chat format whose connections are subscribed from the start.
type eager struct{ chat }

func (e eager) NewCodec() core.Codec { return e }

func (eager) Open(_ uint64, to core.Sink) { to.Do(core.Command{Verb: core.Subscribe}) }

// TestConnectedMeansSubscribed: a client that has read the answer to its upgrade misses no
// message of its first subscriptions.
func TestConnectedMeansSubscribed(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) { ep.Format = eager{} })
	for range 100 {
		c := r.dial("chat")
		r.hub.publish([]byte("hello"), nil)
		c.expect("ok")
		c.expect("hello")
		_ = c.Close()
	}
}
