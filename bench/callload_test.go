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

// TestCalls plays the load of calls against the broker and nats-server, and beside
// outstanding calls.
func TestCalls(t *testing.T) {
	bin := t.TempDir()
	for _, build := range []struct{ dir, pkg, out string }{
		{"..", "./cmd/broker", "broker"}, {".", "./peers/nats", "nats"},
	} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(bin, build.out), build.pkg)
		cmd.Dir = build.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", build.out, err, out)
		}
	}
	free, err := cores()
	if err != nil {
		t.Fatal(err)
	}
	b := bench{
		plan: plan{rounds: 1, warmUp: 10 * time.Millisecond, window: 50 * time.Millisecond, outstanding: 2 * outstandingPerCaller},
		core: free[0], dir: t.TempDir(), callServers: callContenders(filepath.Join(bin, "broker"), bin),
	}
	for _, c := range b.callServers {
		t.Run(c.name, func(t *testing.T) {
			windows, err := b.calls(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			want := 1
			if c.beside {
				want = 2
			}
			if len(windows) != want {
				t.Errorf("%d windows, want %d", len(windows), want)
			}
			for i, w := range windows {
				if w.Server != c.name || (w.Outstanding > 0) != (i > 0) || w.CPU <= 0 || w.Rate <= 0 || w.P50 <= 0 || w.P99 < w.P50 {
					t.Errorf("impossible figure %+v", w)
				}
			}
		})
	}
}

// TestCallLoadNotices checks that a server that answers wrongly is detected.
func TestCallLoadNotices(t *testing.T) {
	const calls = 3
	tests := []struct {
		name string
		// answer returns what a faulty server sends instead of the answer, after it has been asked
		// some times.
		answer func(message string) []string
		want   string
	}{
		{"changed", func(m string) []string { return []string{strings.Replace(m, "x", "y", 1)} }, "got"},
		{"twice", func(m string) []string { return []string{m, m} }, errNotAsked.Error()},
		{"another's", func(m string) []string { return []string{strings.Replace(m, "seq0", "seq1", 1)} }, errNotAsked.Error()},
		{"the end", func(string) []string { return nil }, "unexpected EOF"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			addr := faultyEcho(t, calls, test.answer)
			l, err := newCallLoad(addr, callContender{caller: echoCaller(text(delivered))}, 1, false)
			if err != nil {
				t.Fatal(err)
			}
			defer l.close()
			_, err = l.run(time.Minute)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			if l.seq != calls && l.seq != calls+1 {
				t.Errorf("noticed at call %d, want %d", l.seq, calls)
			}
		})
	}
}

// faultyEcho echoes messages, except message number, which it answers as answer says; an empty
// answer ends the connection.
func faultyEcho(t *testing.T, number int, answer func(string) []string) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var upgrader websocket.Upgrader
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		for n := 1; ; n++ {
			_, message, err := conn.ReadMessage()
			if err != nil {
				return
			}
			texts := []string{string(message)}
			if n == number {
				texts = answer(texts[0])
			}
			if len(texts) == 0 {
				return
			}
			for _, text := range texts {
				if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
					return
				}
			}
		}
	})}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	return netip.MustParseAddrPort(ln.Addr().String())
}

// TestAnswerer checks the answers to several requests of one WebSocket message.
func TestAnswerer(t *testing.T) {
	for _, joined := range []bool{false, true} {
		a := answerer{
			wire: &wire{}, request: newPattern("ask SEQ."), answer: newPattern("got SEQ."), joined: joined,
		}
		err := a.take([]byte("ask 0000000001.ask 0000000002."))
		if joined != (err == nil) {
			t.Errorf("joined %v: %v", joined, err)
		}
		if joined {
			a.flush()
			if want := (dialect{}).clientFrame("got 0000000001.got 0000000002."); string(a.out) != string(want) {
				t.Errorf("answered %q, want %q", a.out, want)
			}
		}
	}
}

// TestOutstandingNotices checks that the end of an outstanding call is detected.
func TestOutstandingNotices(t *testing.T) {
	w, peer := pipe(t, 64)
	o := outstanding{callers: []*wire{w}}
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	if err := writeAll(peer, dialect{}.serverFrame("an error")); err != nil {
		t.Fatal(err)
	}
	if err := o.check(); err == nil || !strings.Contains(err.Error(), "an error") {
		t.Errorf("got %v", err)
	}
}
