package network

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

func TestShutdownSaysGoodbye(t *testing.T) {
	r := start(t, nil)
	c := r.dial("chat")
	go func() { _ = r.Shutdown(t.Context(), 0) }()
	c.expectClose(1001)
	c.write(masked(ws.OpClose, true, "\x03\xe9"))
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
}

// While the server drains it still answers: 503, when to retry, and why.
func TestDrainingServerTurnsClientsAway(t *testing.T) {
	r := start(t, nil)
	old := r.dial("echo")
	r.StopAdmitting()
	if r.Ready() {
		t.Error("ready while draining")
	}
	c := r.dialTCP("chat")
	c.write([]byte(upgradeRequest()))
	head := c.readResponse("HTTP/1.1 503 ")
	text, _ := io.ReadAll(c)
	if !strings.Contains(head, "Retry-After: 1\r\n") || string(text) != "shutting down" {
		t.Errorf("answer %q, %q", head, text)
	}
	plain := r.dialTCP("chat")
	plain.write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	if head := plain.readResponse("HTTP/1.1 503 "); !strings.Contains(head, "Retry-After: 1\r\n") {
		t.Errorf("plain HTTP is answered %q", head)
	}
	if ws, plain := r.stats.Rejected[core.ReasonDrain].Load(), r.Stats().Rejected[core.ReasonDrain].Load(); ws != 1 || plain != 1 {
		t.Errorf("%d refused upgrades and %d refused requests counted", ws, plain)
	}
	old.send("still here")
	old.expect("still here")
}

// Connections are closed one after the other, at the given pace: while the first are
// closed, the last still talk.
func TestPacedGoodbyes(t *testing.T) {
	const n, perSecond = 20, 50
	r := start(t, nil)
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = r.dial("echo")
	}
	began := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- r.Shutdown(t.Context(), perSecond) }()
	for _, c := range clients {
		f := c.read()
		if f.Header.OpCode != ws.OpClose {
			t.Fatalf("got %v", f.Header.OpCode)
		}
		c.write(masked(ws.OpClose, true, "\x03\xe9"))
		_ = c.Close()
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < (n-2)*time.Second/perSecond {
		t.Errorf("%d connections were closed in %s, at %d a second", n, took, perSecond)
	}
}

func TestPace(t *testing.T) {
	now := time.Now()
	within := func(d time.Duration) context.Context {
		ctx, cancel := context.WithDeadline(t.Context(), now.Add(d))
		t.Cleanup(cancel)
		return ctx
	}
	for _, c := range []struct {
		name string
		ctx  context.Context
		rate float64
		n    int
		want float64
	}{
		{"all at once", within(time.Minute), 0, 1000, 0},
		{"no hurry", t.Context(), 10, 1000, 10},
		{"enough time", within(30 * time.Second), 500, 10000, 500},
		{"more than there is time for", within(30 * time.Second), 500, 25000, 1000},
		{"little time", within(4 * time.Second), 1, 30, 10},
	} {
		if got := pace(c.ctx, c.rate, c.n, now); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestShutdownEndsHandshakes: a client whose request is incomplete is told that its time is
// up, and nothing of it still runs when Shutdown has returned.
func TestShutdownEndsHandshakes(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.HandshakeTimeout = coretest.Patience })
	nc := r.dialTCP("chat")
	if _, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: h\r\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its handshake is counted", func() bool { return r.admission.handshakes.Load() == 1 })
	if err := r.Shutdown(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if n := r.admission.handshakes.Load(); n != 0 {
		t.Errorf("%d handshakes go on", n)
	}
	answer, err := io.ReadAll(nc)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") {
		t.Errorf("it was told %q, %v", answer, err)
	}
}
