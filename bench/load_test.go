package main

import (
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"
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
			l, err := newLoad(addr, c, 50, c.name == reference)
			if err != nil {
				t.Fatal(err)
			}
			defer l.close()
			for _, inFlight := range []int{1, 16} {
				before := l.done
				f, err := window(p, free[0], func() (tally, error) { return l.run(inFlight, 50*time.Millisecond) })
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
					t.Errorf("%d in flight: impossible cost %+v", inFlight, f)
				}
			}
			if rss, err := p.resident(); err != nil || rss < 1<<20 {
				t.Errorf("resident memory is %d, %v", rss, err)
			}
		})
	}
}

// TestLoadNotices checks that a server that delivers wrongly is detected.
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
			hub := sized(plainHub)
			addr := faultyHub(t, test.deliver)
			l, err := newLoad(addr, contender{speaker: hub, listeners: []dialect{hub}}, 1, false)
			if err != nil {
				t.Fatal(err)
			}
			defer l.close()
			_, err = l.run(1, time.Second)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// faultyHub serves one subscriber and one publisher. It delivers the first message unchanged, so
// that the load settles, and any other as deliver says.
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

// TestMixedDialects checks that one content reads differently in every format,
// and has the wanted size on average.
func TestMixedDialects(t *testing.T) {
	speaker, listeners := mixedDialects(formats())
	var sum int
	frames := make(map[string]bool)
	for _, d := range listeners {
		frame := d.serverFrame(write(d.receive, 7))
		frames[string(frame)] = true
		sum += len(write(d.receive, 7))
	}
	if mean := sum / len(listeners); mean != delivered || len(frames) != len(formats()) {
		t.Errorf("%d different messages of %d bytes on average, want %d of %d", len(frames), mean, len(formats()), delivered)
	}
	if !slices.ContainsFunc(listeners, func(d dialect) bool { return d.receive == speaker.receive }) {
		t.Error("nobody listens in the speaker's format")
	}
}

// buildBroker builds the broker of this tree into a folder, as broker.
func buildBroker(t *testing.T, folder string) {
	t.Helper()
	build := exec.Command("go", "build", "-o", folder, "./cmd/broker")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building broker: %v\n%s", err, out)
	}
}

// TestBroker plays the load against the broker, in each format and mixed.
func TestBroker(t *testing.T) {
	bin := t.TempDir()
	buildBroker(t, bin)
	free, err := cores()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range contenders(filepath.Join(bin, "broker"), bin)[2:] {
		t.Run(c.name, func(t *testing.T) {
			p, addr, err := c.start(t.Context(), t.TempDir(), free[0])
			if err != nil {
				t.Fatal(err)
			}
			defer p.stop()
			l, err := newLoad(addr, c, 50, false)
			if err != nil {
				t.Fatal(err)
			}
			defer l.close()
			for _, inFlight := range []int{1, 16} {
				counted, err := l.run(inFlight, 50*time.Millisecond)
				if err != nil || counted.count == 0 {
					t.Fatalf("%d in flight: %d deliveries, %v", inFlight, counted.count, err)
				}
			}
		})
	}
}

// TestOpening checks that a server that greets or answers wrongly is detected.
func TestOpening(t *testing.T) {
	var d dialect
	tests := []struct {
		name string
		// sent is what the server writes after its upgrade.
		sent string
		want string
	}{
		{"right", "\x81\x01hi", ""},
		{"another greeting", "\x81\x01i", "reading greeting: got"},
		{"another answer", "\x81\x01hj", "reading answer to first message: got"},
		{"the end", "\x81\x01h", "reading answer to first message: unexpected EOF"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(pair[0])
			defer unix.Close(pair[1])
			if err := writeAll(pair[1], []byte(test.sent)); err != nil {
				t.Fatal(err)
			}
			if err := unix.Shutdown(pair[1], unix.SHUT_WR); err != nil {
				t.Fatal(err)
			}
			o := d.opening("subscribe", "")
			o.greeting, o.answer = d.serverFrame("h"), []byte("i")
			err = o.play(pair[0])
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// TestStartFails checks that a server that does not start is an error, not a wait for ever.
func TestStartFails(t *testing.T) {
	free, err := cores()
	if err != nil {
		t.Fatal(err)
	}
	s := server{"missing", peer(filepath.Join(t.TempDir(), "nothing"))}
	if _, _, err := s.start(t.Context(), t.TempDir(), free[0]); err == nil {
		t.Error("started a program that does not exist")
	}
	s = server{"mute", peer("true")}
	if _, _, err := s.start(t.Context(), t.TempDir(), free[0]); err == nil || !strings.Contains(err.Error(), "reading address of mute") {
		t.Errorf("got %v, want an error about the missing address", err)
	}
}
