package main

import (
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// TestLoad plays the load against the real peers, in both modes of waiting.
func TestLoad(t *testing.T) {
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, "./peers/...").CombinedOutput(); err != nil {
		t.Fatalf("building peers: %v\n%s", err, out)
	}
	free, err := cores()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range contenders("", bin)[:2] {
		t.Run(c.name, func(t *testing.T) {
			p, addr, err := c.start(t.Context(), t.TempDir(), free[0])
			if err != nil {
				t.Fatal(err)
			}
			defer p.stop()
			l, err := newLoad(addr, c.dialect, 50, c.name == reference)
			if err != nil {
				t.Fatal(err)
			}
			defer l.close()
			for _, inFlight := range []int{1, 16} {
				before := l.done
				f, err := window(p, l, free[0], inFlight, 50*time.Millisecond)
				if err != nil {
					t.Fatalf("%d in flight: %v", inFlight, err)
				}
				if l.done == before || l.done != l.next {
					t.Errorf("%d in flight: %d of %d messages are done", inFlight, l.done-before, l.next-before)
				}
				if l.latency.total != (l.done-before)*50 {
					t.Errorf("%d in flight: %d latencies for %d messages", inFlight, l.latency.total, l.done-before)
				}
				if f.CPU <= 0 || f.Rate <= 0 || f.P99 < f.P50 || f.LoadBusy <= 0 || f.LoadBusy >= 1 {
					t.Errorf("%d in flight: impossible figure %+v", inFlight, f)
				}
			}
			if rss, err := p.resident(); err != nil || rss < 1<<20 {
				t.Errorf("resident memory is %d, %v", rss, err)
			}
		})
	}
}

// TestLoadNotices shows that a server that delivers wrongly is found out.
func TestLoadNotices(t *testing.T) {
	tests := []struct {
		name string
		// deliver returns what a faulty server sends instead of a message.
		deliver func(message string) []string
		want    string
	}{
		{"changed", func(m string) []string { return []string{strings.Replace(m, "x", "y", 1)} }, "message 1: got"},
		{"twice", func(m string) []string { return []string{m, m} }, "reading subscriber 0"},
		{"shorter", func(m string) []string { return []string{m[:100]} }, "message 1: got"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			addr := faultyHub(t, test.deliver)
			l, err := newLoad(addr, plainHub(), 1, false)
			if err != nil {
				t.Fatal(err)
			}
			defer l.close()
			_, _, err = l.run(1, time.Second)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// faultyHub serves one subscriber and one publisher. It hands the first message
// on as it is, so that the load settles, and any other as deliver says.
func faultyHub(t *testing.T, deliver func(string) []string) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	joined := make(chan *websocket.Conn, 1)
	var upgrader websocket.Upgrader
	mux := http.NewServeMux()
	mux.HandleFunc("/sub", func(w http.ResponseWriter, r *http.Request) {
		if conn, err := upgrader.Upgrade(w, r, nil); err == nil {
			joined <- conn
		}
	})
	mux.HandleFunc("/pub", func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		subscriber := <-joined
		defer subscriber.Close()
		for first := true; ; first = false {
			_, message, err := conn.ReadMessage()
			if err != nil {
				return
			}
			texts := []string{string(message)}
			if !first {
				texts = deliver(string(message))
			}
			for _, text := range texts {
				if err := subscriber.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
					return
				}
			}
		}
	})
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	return netip.MustParseAddrPort(ln.Addr().String())
}

// TestStartFails checks that a server that does not come up is an error, not a wait for ever.
func TestStartFails(t *testing.T) {
	free, err := cores()
	if err != nil {
		t.Fatal(err)
	}
	c := contender{name: "missing", command: peer(filepath.Join(t.TempDir(), "nothing"))}
	if _, _, err := c.start(t.Context(), t.TempDir(), free[0]); err == nil {
		t.Error("started a program that does not exist")
	}
	c = contender{name: "mute", command: peer("true")}
	if _, _, err := c.start(t.Context(), t.TempDir(), free[0]); err == nil || !strings.Contains(err.Error(), "reading address of mute") {
		t.Errorf("got %v, want an error about the missing address", err)
	}
}
