package nats

import (
	"bytes"
	"net"
	"sync"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/cluster/clustertest"
)

// holder passes connections on to a server. While it holds back what the first client says, that may
// leave: the server gets it later, as from a server or a network that stood still.
type holder struct {
	ln     net.Listener
	client chan net.Conn // takes the first one
	server net.Conn      // for the first one

	mu   sync.Mutex
	hold bool
	held []byte
}

func newHolder(t *testing.T, to string) *holder {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &holder{ln: ln, client: make(chan net.Conn, 1)}
	if h.server, err = net.Dial("tcp", to); err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	pass := func(conn, server net.Conn, say func([]byte) (int, error)) {
		t.Cleanup(func() {
			_ = conn.Close()
			_ = server.Close()
		})
		serving.Go(func() { copyTo(server, conn.Write) })
		serving.Go(func() { copyTo(conn, say) })
	}
	t.Cleanup(serving.Wait)
	t.Cleanup(func() {
		_ = ln.Close()
		_ = h.server.Close()
	})
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for first := true; ; first = false {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if first {
				h.client <- conn
				pass(conn, h.server, h.say)
				continue
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = conn.Close()
				continue
			}
			pass(conn, server, server.Write)
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-accepted
	})
	return h
}

// copyTo reads until the connection ends.
func copyTo(from net.Conn, write func([]byte) (int, error)) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		_, _ = write(buf[:n])
	}
}

func (h *holder) say(text []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hold {
		h.held = append(h.held, text...)
		return len(text), nil
	}
	return h.server.Write(text)
}

// stop begins to hold back, and goOn passes that on, and then more.
func (h *holder) stop() {
	h.mu.Lock()
	h.hold = true
	h.mu.Unlock()
}

func (h *holder) goOn(more string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hold = false
	_, err := h.server.Write(append(h.held, more...))
	return err
}

// holds returns how often it holds something.
func (h *holder) holds(text string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return bytes.Count(h.held, []byte(text))
}

// What a node has published by a connection that is lost does not come behind what it has published by
// the next one, and not to itself.
func TestLateMessages(t *testing.T) {
	srv := startExternal(t, nil)
	b, stub, stats := join(t, srv, "b")
	b.Hear(append(hear1("sync"), hear1("late")[0], hear1("end")[0]))
	h := newHolder(t, srv.Addr().String())
	own := clustertest.NewRecorder("a")
	a, ownStats := startNode(t, Options{Node: "a", URL: "nats://" + h.ln.Addr().String()}, own)
	defer a.Close()
	a.Hear(append(hear1("late"), hear1("end")[0]))
	healthy(t, a)
	reaches(t, a, stub)

	text := func(text string) core.Payload { return core.Payload{Kind: core.Text, Data: []byte(text)} }
	if err := a.out.written(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.conn.Load().Flush(); err != nil {
		t.Fatal(err)
	}
	h.stop()
	a.Publish([]byte("late"), text("x"), nil)
	a.Publish([]byte("late"), core.Payload{Kind: core.Binary, Data: []byte("y")}, []byte("headers"))
	coretest.Eventually(t, "both are held back", func() bool { return h.holds("pw.t.late ") == 2 })
	_ = (<-h.client).Close()
	reaches(t, a, stub)
	if err := h.goOn("PUB pw.t.end 1\r\nx\r\n"); err != nil {
		t.Fatal(err)
	}
	coretest.Eventually(t, "the server goes on", func() bool { return len(stub.Got("end")) > 0 && len(own.Got("end")) > 0 })
	for who, s := range map[string]*clustertest.Recorder{"b": stub, "itself": own} {
		if late := s.Got("late"); len(late) > 0 {
			t.Errorf("%d messages came late to %s", len(late), who)
		}
	}
	if n, mine := stats.Dropped[core.ReasonUnavailable].Load(), ownStats.Dropped[core.ReasonUnavailable].Load(); n != 2 || mine < 2 {
		t.Errorf("%d and %d were dropped", n, mine)
	}
}

func TestOrigins(t *testing.T) {
	s := subjects{"pw"}
	o := newOrigins(s, "n-own-1")
	for _, step := range []struct {
		origin string
		late   bool
	}{
		{"", false},
		{"pw.c.n-a-1.1", false},
		{"pw.c.n-a-1.1", false},
		{"pw.c.n-b-1.7", false},
		{"pw.c.n-a-1.2", false},
		{"pw.c.n-a-1.1", true},
		{"pw.c.n-b-1.7", false},
		{"pw.c.n-a-2.1", false},
		{"pw.c.n-a-1.1", true},
		{"pw.c.n-own-1.1", true},
		// Those of programs that are no nodes.
		{"_INBOX.x.1", false},
		{"pw.c.n-a-1", false},
		{"pw.c.n-a-1.x", false},
		{"pw.c.>.1", false},
		{"other.c.n-a-1.1", false},
	} {
		if late := o.late(step.origin); late != step.late {
			t.Errorf("%q is late: %v", step.origin, late)
		}
	}
	if node, n, ok := s.originOf(s.origin("n-a-1.12")); node != "n-a-1" || n != 12 || !ok {
		t.Errorf("the origin is read as %q, %d, %v", node, n, ok)
	}
}
