package bridge_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/codecs/vws"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// oldServer is a server of wsify, more or less, at which a bridge is connected.
type oldServer struct {
	url string

	mu    sync.Mutex
	times []time.Time // when connections were made
}

// listens runs a server that answers each upgrade, with the fields that more returns, and then does what serve
// does with the connection and its number, the first of which is 1.
func listens(t *testing.T, more func() http.Header, serve func(n int, conn net.Conn)) *oldServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &oldServer{url: "ws://" + l.Addr().String() + "/ws"}
	var serving sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(func() {
		stop()
		_ = l.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.times = append(s.times, time.Now())
			n := len(s.times)
			s.mu.Unlock()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			serving.Go(func() {
				defer func() { _ = conn.Close() }()
				u := ws.Upgrader{OnBeforeUpgrade: func() (ws.HandshakeHeader, error) { return ws.HandshakeHeaderHTTP(more()), nil }}
				if _, err := u.Upgrade(conn); err == nil {
					serve(n, conn)
				}
			})
		}
	})
	return s
}

func noFields() http.Header { return nil }

// connections returns when the connections were made.
func (s *oldServer) connections() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.times...)
}

// broker is one with a bridge to an old server, and its log.
type broker struct {
	t          *testing.T
	url, admin string
	urls       map[string]string // by endpoint
	stop       func()

	mu  sync.Mutex
	log bytes.Buffer
}

func (b *broker) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(p)
}

// logged reports whether the log has a line with all the words.
func (b *broker) logged(words ...string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.log.String()) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return true
		}
	}
	return false
}

// joins runs a broker whose bridge leads to an old server.
func joins(t *testing.T, old *oldServer, more string) *broker {
	t.Helper()
	return bridged(t, fmt.Sprintf("protocol: wsify, url: %q, hear: [chat/a], tell: [chat/b], %s", old.url, more))
}

// bridged runs a broker with a bridge called old. more are other settings.
func bridged(t *testing.T, bridge string, more ...string) *broker {
	t.Helper()
	b := &broker{t: t, urls: make(map[string]string)}
	text := fmt.Sprintf(`
endpoints:
  - {name: web, protocol: vws, listen: "127.0.0.1:0", path: /ws, max_message_size: 1MiB, options: {allow_send: true}}
  - {name: bots, protocol: wubsub, listen: "127.0.0.1:0", path: /ws}
  - {name: apps, protocol: webwire, listen: "127.0.0.1:0", path: /ws}
admin: {listen: "127.0.0.1:0"}
bridges: [{name: old, %s}]
%s`, bridge, strings.Join(more, "\n"))
	cfg, err := config.Load(config.Source{Text: text}, polywire.Protocols())
	if err != nil {
		t.Fatal(err)
	}
	one, err := polywire.New(cfg, slog.New(slog.NewTextHandler(b, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- one.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := coretest.Receive(t, "the end of the broker", ended); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(b.stop)
	coretest.Receive(t, "the broker is ready", one.Ready())
	b.admin = strings.TrimSuffix(one.AdminURL(), "/metrics")
	for _, e := range one.Endpoints() {
		b.urls[e.Name] = e.URL
	}
	b.url = b.urls["web"]
	return b
}

// page returns what the admin server says.
func (b *broker) page(path string) string {
	b.t.Helper()
	response, err := http.Get(b.admin + path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(body)
}

// dropped returns how many messages for the old server were dropped for a reason.
func (b *broker) dropped(reason core.Reason) int {
	b.t.Helper()
	return b.metric("messages_dropped_total", `,reason="`+reason.String()+`"`)
}

// metric returns a metric of the bridge, with the other labels; 0 if there is none.
func (b *broker) metric(name, labels string) int {
	b.t.Helper()
	found := regexp.MustCompile(`polywire_` + name + `\{endpoint="old",protocol="[a-z]+"` + labels + `\} (\S+)`).FindStringSubmatch(b.page("/metrics"))
	if found == nil {
		return 0
	}
	n, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		b.t.Fatal(err)
	}
	return int(n)
}

// hears returns what a client hears on a topic, and the client.
func (b *broker) hears(topic string) (<-chan string, *client.Client) {
	b.t.Helper()
	format, err := vws.Protocol().Default()
	if err != nil {
		b.t.Fatal(err)
	}
	heard, done := make(chan string), make(chan struct{})
	c, err := client.Dial(b.t.Context(), client.Options{URL: b.url, Codec: format.(core.ClientFormat).NewClientCodec, Heard: func(ev core.Event) {
		if ev.Kind != core.Message {
			return
		}
		select {
		case heard <- string(core.AppendText(nil, ev.Payload)):
		case <-done:
		}
	}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		close(done)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		c.Close(ctx)
	})
	if _, err := c.Do(b.t.Context(), core.Command{Verb: core.Subscribe, Topic: []byte(topic)}); err != nil {
		b.t.Fatal(err)
	}
	return heard, c
}

// say publishes.
func (b *broker) say(c *client.Client, topic, text string) {
	b.t.Helper()
	cmd := core.Command{Verb: core.Publish, Topic: []byte(topic), Payload: core.Payload{Kind: core.Text, Data: []byte(text)}}
	if _, err := c.Do(b.t.Context(), cmd); err != nil {
		b.t.Fatal(err)
	}
}

// untilGone waits until the other side ends a connection, or says that it will.
func untilGone(conn net.Conn) {
	for {
		if f, err := ws.ReadFrame(conn); err != nil || f.Header.OpCode == ws.OpClose {
			return
		}
	}
}

// A server that sends what is no WebSocket, or what it may not send, after a good start: the bridge publishes
// what came before, says what was wrong, and connects again.
func TestOldServerBreaks(t *testing.T) {
	for name, c := range map[string]struct {
		broken []byte
		said   string
	}{
		"an opcode that there is not": {[]byte{0x83, 1, 'x'}, "reserved op code"},
		"a masked frame":              {ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("x")))), "mask"},
		"text that is no UTF-8":       {[]byte{0x81, 2, 0xff, 0xfe}, "utf8"},
		"a frame that is too big":     {[]byte{0x81, 127, 0, 0, 1, 0, 0, 0, 0, 0}, "over the limit"},
		"a frame without its start":   {[]byte{0x80, 1, 'x'}, "continuation"},
		"half a frame":                {[]byte{0x81, 10, 'x'}, "without a goodbye"},
		"what is not of the format":   {[]byte{0x81, 1, 'x'}, "wsify"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := make(chan struct{})
			old := listens(t, noFields, func(n int, conn net.Conn) {
				<-begin
				for i := range 3 {
					_ = wsutil.WriteServerText(conn, []byte(fmt.Sprintf(`"%d of %d"`, i, n)))
				}
				if n == 1 {
					_, _ = conn.Write(c.broken)
					_ = conn.(*net.TCPConn).CloseWrite()
				}
				untilGone(conn)
			})
			b := joins(t, old, "")
			heard, _ := b.hears("chat/a")
			close(begin)
			for n := 1; n <= 2; n++ {
				for i := range 3 {
					if got := coretest.Receive(t, "a message", heard); got != fmt.Sprintf("%d of %d", i, n) {
						t.Fatalf("heard %q, want %d of %d", got, i, n)
					}
				}
			}
			coretest.Eventually(t, "the bridge says what was wrong", func() bool {
				return b.logged("the bridge has lost the old server", "bridge=old", c.said)
			})
			coretest.Eventually(t, "it is connected again", func() bool { return strings.TrimSpace(b.page("/readyz")) == "ok" })
		})
	}
}

// A server that ends each connection right after the upgrade is not asked without a pause: each is
// longer than the one before it, though each attempt succeeds.
func TestOldServerClosesAtOnce(t *testing.T) {
	for name, serve := range map[string]func(int, net.Conn){
		"cut": func(int, net.Conn) {},
		"closed": func(_ int, conn net.Conn) {
			_ = ws.WriteFrame(conn, ws.NewCloseFrame(ws.NewCloseFrameBody(1013, "later")))
			untilGone(conn)
		},
		"after a message": func(_ int, conn net.Conn) { _ = wsutil.WriteServerText(conn, []byte(`"hello"`)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := listens(t, noFields, serve)
			b := joins(t, old, "")
			const n = 6
			coretest.Eventually(t, "it was asked some times", func() bool { return len(old.connections()) >= n })
			// The pauses are at least half of 100 ms, 200 ms, 400 ms, 800 ms and 1.6 s.
			times := old.connections()
			if took := times[n-1].Sub(times[0]); took < 1500*time.Millisecond {
				t.Errorf("%d connections within %v", n, took)
			}
			if text := b.page("/readyz"); !strings.Contains(text, "ok, but for the bridge old: ") {
				t.Errorf("/readyz says %q", text)
			}
		})
	}
}

// A server that floods is read as fast as its messages find room; clients of the broker talk to each other
// meanwhile, and the broker ends when it is to end.
func TestOldServerFloods(t *testing.T) {
	frame := ws.MustCompileFrame(ws.NewTextFrame([]byte(`"` + strings.Repeat("x", 1000) + `"`)))
	flood := bytes.Repeat(frame, 100)
	old := listens(t, noFields, func(_ int, conn net.Conn) {
		for {
			if _, err := conn.Write(flood); err != nil {
				return
			}
		}
	})
	b := joins(t, old, "")
	flooded, _ := b.hears("chat/a")
	for range 1000 {
		coretest.Receive(t, "the flood", flooded)
	}
	// That client does not read any more.
	heard, _ := b.hears("chat/c")
	_, sayer := b.hears("chat/d")
	for i := range 100 {
		b.say(sayer, "chat/c", fmt.Sprint(i))
		if got := coretest.Receive(t, "a message", heard); got != fmt.Sprint(i) {
			t.Fatalf("heard %q as number %d", got, i)
		}
	}
	b.stop()
}

// A server that does not read costs what may wait for it, and then the messages for it, which are
// counted; clients of the broker do not wait for it.
func TestOldServerDoesNotRead(t *testing.T) {
	over := make(chan struct{})
	defer close(over)
	old := listens(t, noFields, func(int, net.Conn) { <-over })
	b := joins(t, old, "queue_limit: 64KiB")
	coretest.Eventually(t, "it is connected", func() bool { return strings.TrimSpace(b.page("/readyz")) == "ok" })
	heard, _ := b.hears("chat/b")
	_, sayer := b.hears("chat/d")
	big := strings.Repeat("x", 16<<10)
	// What the kernel holds comes before it.
	coretest.Eventually(t, "messages for it are dropped", func() bool {
		for range 100 {
			b.say(sayer, "chat/b", big)
			coretest.Receive(t, "the message", heard)
		}
		return b.dropped(core.ReasonOverload) > 0
	})
	b.stop()
}

// A server that reads more slowly than messages for it are said gets them in order, and what does not fit into the
// bound of what may wait for it is counted, and so is what waits. The event loop that serves the bridge's connection
// serves clients too, and they do not wait.
func TestOldServerReadsSlowly(t *testing.T) {
	const limit, size = 128 << 10, 16 << 10
	slowly := make(chan struct{}) // one element for some bytes that it may read
	soon := make(chan struct{})   // closed when it may read everything
	hurry := sync.OnceFunc(func() { close(soon) })
	read := make(chan int, 100_000)
	var connections atomic.Int32
	old := listens(t, noFields, func(_ int, conn net.Conn) {
		connections.Add(1)
		paced := pacedReader{conn, func() {
			select {
			case <-slowly:
			case <-soon:
			}
		}}
		number := regexp.MustCompile(`number (\d+) `)
		for {
			f, err := ws.ReadFrame(paced)
			if err != nil {
				return
			}
			switch f.Header.OpCode {
			case ws.OpClose:
				return
			case ws.OpPing:
				ws.Cipher(f.Payload, f.Header.Mask, 0)
				_ = ws.WriteFrame(conn, ws.NewPongFrame(f.Payload))
			case ws.OpText:
				ws.Cipher(f.Payload, f.Header.Mask, 0)
				if found := number.FindSubmatch(f.Payload); found != nil {
					n, _ := strconv.Atoi(string(found[1]))
					read <- n
				}
			}
		}
	})
	t.Cleanup(hurry) // before the server's end, which waits for who reads
	b := bridged(t, fmt.Sprintf("protocol: wsify, url: %q, tell: [chat/b], queue_limit: %d", old.url, limit), "network: {loops: 1}")
	coretest.Eventually(t, "it is connected", func() bool { return strings.TrimSpace(b.page("/readyz")) == "ok" })
	heard, _ := b.hears("chat/b")
	_, sayer := b.hears("chat/d")
	padding, said := strings.Repeat("x", size), 0
	waiting := regexp.MustCompile(`"queued_bytes":[1-9]`)
	coretest.Eventually(t, "messages for it are dropped", func() bool {
		for range 100 {
			text := fmt.Sprintf("number %d %s", said, padding)
			b.say(sayer, "chat/b", text)
			said++
			if got := coretest.Receive(t, "the message here", heard); got != text {
				t.Fatalf("message %d is heard as %.20q", said-1, got)
			}
			select {
			case slowly <- struct{}{}:
			default:
			}
		}
		if waits := b.metric("queue_bytes", ""); waits > limit {
			t.Fatalf("%d bytes wait, want at most %d", waits, limit)
		}
		// Messages are dropped too when they only come faster than a full socket is tried again.
		return b.dropped(core.ReasonOverload) > 0 && waiting.MatchString(b.page("/v1/endpoints?name=old"))
	})
	if most := b.metric("queue_peak_bytes", ""); most < limit-2*size || most > limit {
		t.Errorf("at most %d bytes have waited, want about %d", most, limit)
	}
	hurry()
	coretest.Eventually(t, "nothing waits", func() bool { return b.metric("queue_bytes", "") == 0 })
	b.say(sayer, "chat/b", "number 1000000 is the last one")
	got, before := 0, -1
	for n := 0; n != 1_000_000; got++ {
		if n = coretest.Receive(t, "what the old server reads", read); n <= before {
			t.Fatalf("it reads number %d behind %d", n, before)
		}
		before = n
	}
	said++
	lost := b.dropped(core.ReasonOverload) + b.dropped(core.ReasonGone)
	// If the machine stands still for the time that one write may take, there is a second connection, and
	// what was on its way is counted although it may have arrived.
	if got+lost < said || connections.Load() == 1 && got+lost != said {
		t.Errorf("of %d messages %d were read and %d are counted as dropped", said, got, lost)
	}
	b.stop()
}

// pacedReader calls wait before it reads a few bytes.
type pacedReader struct {
	from io.Reader
	wait func()
}

func (r pacedReader) Read(b []byte) (int, error) {
	r.wait()
	return r.from.Read(b[:min(len(b), 4<<10)])
}

// idOf returns the id of a broker with a mark.
func idOf(mark string) string {
	sum := sha256.Sum256([]byte(mark))
	return hex.EncodeToString(sum[:16])
}

// When both brokers connect to each other at once, the one whose id is greater ends its bridge, says so,
// and connects when the other one has left.
func TestOldServerLeadsHere(t *testing.T) {
	ask := func(url, mark string) (net.Conn, string) {
		t.Helper()
		var answer string
		d := ws.Dialer{
			Header: ws.HandshakeHeaderHTTP{core.BridgeHeader: {mark}},
			OnHeader: func(name, value []byte) error {
				if string(name) == core.BridgeHeader {
					answer = string(value)
				}
				return nil
			},
		}
		conn, _, _, err := d.Dial(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		return conn, answer
	}
	var shown string
	begin := make(chan struct{})
	// The upgrades wait until the bridge from there is connected, and then are answered.
	old := listens(t, func() http.Header {
		<-begin
		return http.Header{core.BridgeHeader: {shown}}
	}, func(_ int, conn net.Conn) { untilGone(conn) })
	b := joins(t, old, "")
	conn, own := ask(b.url, "anybody")
	_ = conn.Close()
	mark := ""
	for i := 0; mark == "" || idOf(mark) > own; i++ {
		mark = fmt.Sprint(i)
	}
	shown = idOf(mark)
	bridge, _ := ask(b.url, mark)
	close(begin)
	const why = "a bridge of the broker there leads here: one carries both ways, so remove one of the two"
	coretest.Eventually(t, "the bridge ends", func() bool { return strings.Contains(b.page("/readyz"), why) })
	coretest.Eventually(t, "the log says so", func() bool { return b.logged("bridge=old", why) })
	_ = bridge.Close()
	coretest.Eventually(t, "it connects", func() bool { return strings.TrimSpace(b.page("/readyz")) == "ok" })
	if _, _, _, err := (ws.Dialer{Header: ws.HandshakeHeaderHTTP{core.BridgeHeader: {mark}}}).Dial(t.Context(), b.url); err == nil || !strings.Contains(err.Error(), "508") {
		t.Errorf("the bridge from there, while the one to there is connected: %v", err)
	}
}
