package shadow_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/conversations"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/shadow"
	"github.com/polywire/polywire/polywiretest"
)

// all is the configuration of a broker with an endpoint of each format.
const all = `
admin: {listen: ""}
endpoints:
  - {name: wubsub, protocol: wubsub, listen: "127.0.0.1:0"}
  - {name: wsify, protocol: wsify, listen: "127.0.0.1:0", options: {broadcasting_key: "wsify-key-7f3a9"}}
  - {name: stocking, protocol: stocking, listen: "127.0.0.1:0"}
  - {name: vws, protocol: vws, listen: "127.0.0.1:0", options: {allow_send: true}}
  - {name: webwire, protocol: webwire, listen: "127.0.0.1:0", options: {subscribe: ["news"]}}
services:
  - {match: echo, builtin: echo}
`

// broker runs a broker until the test ends, and returns the addresses of its endpoints.
func broker(t testing.TB, yaml string) map[string]string {
	t.Helper()
	cfg, err := polywire.Load(config.Source{Text: yaml}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b, err := polywire.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	polywiretest.Run(t, b)
	addresses := make(map[string]string)
	for _, ep := range b.Endpoints() {
		addresses[ep.Name] = ep.URL
	}
	return addresses
}

// comparison is a shadow that runs.
type comparison struct {
	address string
	path    string
	end     func() (shadow.Summary, error) // may be called again

	mu    sync.Mutex
	out   bytes.Buffer // guarded by mu
	now   shadow.Summary
	notes []string
}

func (c *comparison) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(b)
}

func (c *comparison) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.String()
}

func (c *comparison) seen() shadow.Summary {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// compare lets clients speak to the server at old, and compares what it says with what the one at fresh says.
func compare(t testing.TB, protocol, old, fresh string, change func(*shadow.Options)) *comparison {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	reach := func(address string) func(context.Context) (net.Conn, error) {
		return func(ctx context.Context) (net.Conn, error) { return client.Reach(ctx, address, nil) }
	}
	c := &comparison{address: l.Addr().String(), path: client.Path(old)}
	o := shadow.Options{
		Old: reach(old), New: reach(fresh), Server: old, Endpoint: protocol, Path: c.path, Out: c,
		// An equal is waited for as long as it takes on a slow machine, and seen at once.
		Window: coretest.Patience, Lag: coretest.Patience, Farewell: time.Hour, Interval: 5 * time.Millisecond,
		Seen: func(s shadow.Summary) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.now = s
		},
		Note: func(s string) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.notes = append(c.notes, s)
		},
	}
	for _, p := range polywire.Protocols() {
		if p.Name == protocol {
			format, err := p.Default()
			if err != nil {
				t.Fatal(err)
			}
			o.Dissector, _ = format.(core.Dissector)
		}
	}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	type outcome struct {
		seen shadow.Summary
		err  error
	}
	ended := make(chan outcome, 1)
	go func() {
		seen, err := shadow.New(o).Serve(ctx, l)
		ended <- outcome{seen, err}
	}()
	c.end = sync.OnceValues(func() (shadow.Summary, error) {
		cancel()
		end := coretest.Receive(t, "the end of the comparison", ended)
		return end.seen, end.err
	})
	t.Cleanup(func() { _, _ = c.end() })
	return c
}

// until waits until a summary shows something.
func (c *comparison) until(t testing.TB, what string, shows func(shadow.Summary) bool) {
	t.Helper()
	coretest.Eventually(t, what, func() bool { return shows(c.seen()) })
}

// equal waits until n messages of both servers were equal.
func (c *comparison) equal(t testing.TB, n int) {
	t.Helper()
	c.until(t, fmt.Sprintf("%d messages are equal", n), func(s shadow.Summary) bool { return s.Equal >= n })
}

// peer is a client.
type peer struct {
	t    testing.TB
	conn net.Conn
	op   ws.OpCode
}

// connect opens a WebSocket through the relay. Text is said unless op is another.
func (c *comparison) connect(t testing.TB, op ws.OpCode) *peer {
	t.Helper()
	conn, early, _, err := ws.Dial(t.Context(), "ws://"+c.address+c.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if early != nil {
		conn = &begun{conn, early}
	}
	_ = conn.SetDeadline(coretest.Deadline())
	return &peer{t: t, conn: conn, op: op}
}

// begun is a connection of which something was read already.
type begun struct {
	net.Conn
	early interface{ Read([]byte) (int, error) }
}

func (b *begun) Read(p []byte) (int, error) {
	if b.early != nil {
		if n, err := b.early.Read(p); n > 0 || err == nil {
			return n, nil
		}
		b.early = nil
	}
	return b.Conn.Read(p)
}

func (p *peer) says(text string) {
	p.t.Helper()
	if err := wsutil.WriteClientMessage(p.conn, p.op, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// hears expects a message with all parts, and returns it.
func (p *peer) hears(parts ...string) string {
	p.t.Helper()
	data, op, err := wsutil.ReadServerData(p.conn)
	if err != nil || op != p.op {
		p.t.Fatalf("got %q, opcode %d, %v", data, op, err)
	}
	for _, part := range parts {
		if !strings.Contains(string(data), part) {
			p.t.Fatalf("got %q, want %q", data, part)
		}
	}
	return string(data)
}

// leaves closes in order.
func (p *peer) leaves() {
	p.t.Helper()
	if err := ws.WriteFrame(p.conn, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "")))); err != nil {
		p.t.Fatal(err)
	}
	if data, _, err := wsutil.ReadServerData(p.conn); err == nil {
		p.t.Fatalf("got %q, not a close frame", data)
	}
}

// parses checks that samples are a conversation.
func parses(t *testing.T, text string) {
	t.Helper()
	if _, err := conversations.Parse("samples.txt", []byte(text)); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

// between returns what stands between two texts.
func between(t *testing.T, s, before, after string) string {
	t.Helper()
	_, s, ok := strings.Cut(s, before)
	part, _, found := strings.Cut(s, after)
	if !ok || !found {
		t.Fatalf("no %q and %q in %q", before, after, s)
	}
	return part
}
