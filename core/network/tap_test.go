package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// tapReader reads a tap as a test does.
type tapReader struct {
	t       testing.TB
	tap     *Tap
	numbers map[uint64]int // of connections, in the order in which they appear
	batch   []core.TapEvent
	waiting []core.TapEvent // read, not asked for
}

func (r *rig) tap(endpoint string, limit int) *tapReader {
	r.t.Helper()
	tap, err := r.Tap(endpoint, core.TapOptions{MaxMessage: limit})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(tap.Close)
	return &tapReader{t: r.t, tap: tap, numbers: map[uint64]int{0: 0}}
}

// next returns the next event.
func (r *tapReader) next() core.TapEvent {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), coretest.Patience)
	defer cancel()
	if len(r.waiting) == 0 {
		var err error
		if r.batch, err = r.tap.Next(ctx, r.batch); err != nil {
			r.t.Fatalf("no event: %v", err)
		}
		r.waiting = r.batch
	}
	ev := r.waiting[0]
	r.waiting = r.waiting[1:]
	return ev
}

// line returns an event as text: the connection, > if the client has said it or < if the server has, the
// kind, and what was said.
func (r *tapReader) line(ev core.TapEvent) string {
	if _, ok := r.numbers[ev.Connection]; !ok {
		r.numbers[ev.Connection] = len(r.numbers)
	}
	arrow := ">"
	if ev.FromServer {
		arrow = "<"
	}
	text := string(ev.Data)
	if len(text) != ev.Size {
		text = fmt.Sprintf("%q of %d bytes", text, ev.Size)
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s %s %s", r.numbers[ev.Connection], arrow, ev.Kind, text))
}

// expect reads events and compares them. Of a head, only the first line counts.
func (r *tapReader) expect(lines ...string) {
	r.t.Helper()
	for _, want := range lines {
		if got, _, _ := strings.Cut(r.line(r.next()), "\r\n"); got != want {
			r.t.Fatalf("got %.200q, want %q", got, want)
		}
	}
}

// deflating is the chat format with compression.
type deflating struct{ chat }

func (deflating) NewCodec() core.Codec  { return deflating{} }
func (deflating) Profile() core.Profile { return core.Profile{Deflate: true} }

// A tap reports what clients and server say, as it was before fragmentation and compression, and
// nothing of connections that were open before.
func TestTap(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) { ep.Format = deflating{} })
	before := r.subscriber()
	tap := r.tap("chat", 1000)
	squeezer := newCompressor(1 << 15)

	c := r.dialTCP("chat")
	request := upgradeRequest("Sec-WebSocket-Extensions: permessage-deflate\r\n", "Authorization: Bearer x\r\n")
	c.write([]byte(request))
	response := c.readResponse("HTTP/1.1 101 ")
	for _, want := range []string{"1 > request " + request, "1 < response " + response} {
		if got := tap.line(tap.next()); got != strings.TrimSpace(want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}

	c.write(slices.Concat(masked(ws.OpText, false, "ec"), masked(ws.OpPing, true, "p"), masked(ws.OpContinuation, true, "ho one")))
	tap.expect("1 > text echo one", "1 < text one")
	long := "two" + strings.Repeat("!", 200)
	c.write(squeezer.frame(ws.OpBinary, []byte("echo "+long)))
	tap.expect("1 > binary echo "+long, "1 < text "+long)
	c.write(squeezer.frame(ws.OpText, []byte("sub")))
	tap.expect("1 > text sub", "1 < text ok")
	c.send("echo " + strings.Repeat("x", 2000))
	tap.expect(`1 > text "" of 2005 bytes`, `1 < text "" of 2000 bytes`)

	before.send("pub hello")
	before.expect("hello")
	tap.expect("1 < text hello")
	other := r.dial("echo") // of another endpoint
	other.send("not seen")
	other.expect("not seen")

	c.write(masked(ws.OpClose, true, "\x03\xe8bye"))
	tap.expect("1 > close \x03\xe8bye", "1 < close \x03\xe8bye")
	_ = c.Close()
	tap.expect("1 < end")
}

// How connections end is reported, and before what follows from it.
func TestTapEnds(t *testing.T) {
	r := start(t, nil)
	tap := r.tap("chat", 1000)
	opened := func(n int) {
		t.Helper()
		tap.expect(fmt.Sprintf("%d > request GET / HTTP/1.1", n), fmt.Sprintf("%d < response HTTP/1.1 101 Switching Protocols", n))
	}

	cut := r.dial("chat")
	opened(1)
	_ = cut.Close()
	tap.expect("1 > end")

	left := r.dial("chat")
	opened(2)
	left.send("goodbye")
	tap.expect("2 > text goodbye", "2 < close \x03\xe8normal")
	left.write(masked(ws.OpClose, true, "\x03\xe8"))
	tap.expect("2 > close \x03\xe8")
	_ = left.Close()
	tap.expect("2 < end")

	fault := r.dial("chat")
	opened(3)
	fault.write([]byte{0x81, 1, 'x'})
	tap.expect("3 > fault frames from client to server must be masked", "3 < close \x03\xeaprotocol")
	_ = fault.Close()
	tap.expect("3 < end")

	refused := r.dialTCP("chat")
	refused.write([]byte(strings.Replace(upgradeRequest(), "Version: 13", "Version: 12", 1)))
	tap.expect("4 > request GET / HTTP/1.1", "4 < response HTTP/1.1 426 Upgrade Required", "4 < end")
}

// HTTP requests that are no upgrades are reported, each with its answer, and before what they cause.
func TestTapHTTP(t *testing.T) {
	var r *rig
	heard := make(chan struct{}, 1)
	r = start(t, func(_ *Options, ep *Endpoint) {
		ep.Path = "/ws"
		ep.HTTP = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			body, err := io.ReadAll(q.Body)
			if err != nil {
				t.Error(err)
			}
			if r.hub.publish(body, nil); len(body) < 100 {
				<-heard
			}
			w.Header().Set("X-Answer", "yes")
			w.WriteHeader(http.StatusAccepted)
			_, _ = w.Write(append([]byte("got "), body...))
		})
	})
	tap := r.tap("chat", 100)
	sub := r.dialTCP("chat")
	sub.write([]byte(strings.Replace(upgradeRequest(), "GET /", "GET /ws", 1)))
	sub.readResponse("HTTP/1.1 101 ")
	sub.send("sub")
	sub.expect("ok")
	tap.expect("1 > request GET /ws HTTP/1.1", "1 < response HTTP/1.1 101 Switching Protocols", "1 > text sub", "1 < text ok")

	c := r.dialTCP("chat")
	for i, request := range []string{
		"POST /b?key=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX-Key: z\r\n\r\nhello",
		"POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
	} {
		c.write([]byte(request))
		sub.expect("hello")
		heard <- struct{}{}
		asked, said, answered := tap.next(), tap.next(), tap.next()
		if got := tap.line(asked); !strings.HasPrefix(got, fmt.Sprintf("%d > request POST /b", i+2)) || !strings.HasSuffix(got, "\r\n\r\nhello") ||
			strings.Contains(request, "X-Key") != strings.Contains(got, "X-Key: z\r\n") {
			t.Errorf("got %q", got)
		}
		if got := tap.line(said); got != "1 < text hello" {
			t.Errorf("got %q", got)
		}
		if got := tap.line(answered); !strings.HasPrefix(got, fmt.Sprintf("%d < response HTTP/1.1 202 Accepted\r\n", i+2)) ||
			!strings.HasSuffix(got, "\r\n\r\ngot hello") || !strings.Contains(got, "X-Answer: yes\r\n") {
			t.Errorf("got %q", got)
		}
		tap.expect(fmt.Sprintf("%d < end", i+2))
		c.readResponse("HTTP/1.1 202 ")
		if _, err := io.ReadFull(c, make([]byte, len("got hello"))); err != nil {
			t.Fatal(err)
		}
	}
	c.write([]byte("GET /ws HTTP/1.1\r\nHost: a\r\n\r\n"))
	tap.expect("4 > request GET /ws HTTP/1.1", "4 < response HTTP/1.1 400 Bad Request", "4 < end")

	// Of a long body as much as the tap was to report.
	c = r.dialTCP("chat")
	c.write([]byte("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n" + strings.Repeat("x", 500)))
	asked := tap.next()
	if head, body, _ := strings.Cut(string(asked.Data), "\r\n\r\n"); body != strings.Repeat("x", 100) || asked.Size != len(head)+4+500 {
		t.Errorf("%d bytes, body %q", asked.Size, body)
	}
}

// Nobody waits for a reader that does not read. What is missing is counted, at its place.
func TestTapWithoutReader(t *testing.T) {
	const messages = 2000
	r := start(t, func(o *Options, _ *Endpoint) { o.tapBytes = 20_000 })
	tap := r.tap("chat", 1000)
	sub := r.subscriber()
	pub := r.dial("chat")
	for i := range messages {
		pub.send(fmt.Sprintf("pub %d", i))
	}
	for i := range messages {
		sub.expect(fmt.Sprint(i))
	}
	if n := tap.tap.bytes.Load(); n > 20_000 {
		t.Errorf("%d bytes wait", n)
	}
	filled := int64(0)
	for tap.tap.reserve(1) {
		filled++
	}
	// One that opens while the tap is full is not reported: not even its end.
	for range 50 {
		late := r.dial("chat")
		late.send("echo late")
		late.expect("late")
		_ = late.Close()
	}
	pub.write(masked(ws.OpClose, true, "\x03\xe8"))
	pub.expectClose(1000)
	_ = pub.Close()
	eventually(t, "the publisher and the late ones are gone", func() bool { return r.stats.Open.Load() == 1 })

	// What is missing is told behind what was reported, for each connection.
	count, lost, ended := map[int]int{}, map[int]bool{}, false
	for !lost[0] || !lost[1] || !lost[2] || !ended {
		ev := tap.next()
		_ = tap.line(ev)
		n := tap.numbers[ev.Connection]
		switch {
		case ev.Kind == core.TapLost:
			if ev.Lost == 0 || ev.Size == 0 || lost[n] {
				t.Errorf("%+v", ev)
			}
			lost[n] = true
			count[n] += int(ev.Lost)
		case ev.Kind == core.TapEnd:
			if ended = n == 2 && lost[2]; !ended {
				t.Errorf("connection %d ends", n)
			}
		case lost[n]:
			t.Errorf("connection %d goes on within the gap: %+v", n, ev)
		default:
			count[n]++
		}
	}
	// Request and response, the subscription and its answer, the messages, and the close frames.
	if count[1] != 4+messages || count[2] != 2+messages+2 || count[0] < 50*5 {
		t.Errorf("reported and lost: %v", count)
	}
	tap.tap.bytes.Add(-filled)
	sub.send("echo again")
	sub.expect("again")
	tap.expect("1 > text echo again", "1 < text again")
	_ = sub.Close()
	tap.expect("1 > end")
	eventually(t, "the tap owes nothing", func() bool { return tap.tap.bytes.Load() == 0 })
}

// That a slow client loses messages is reported.
func TestTapOfSlowClient(t *testing.T) {
	r := start(t, func(o *Options, ep *Endpoint) {
		o.SendBuffer = 64 << 10
		ep.Settings.OutboundLimit, ep.Settings.SlowConsumer = 64<<10, DropNewest
	})
	tap := r.tap("chat", 10)
	_, link := r.sleeper()
	for r.stats.Dropped[core.ReasonSlow].Load() == 0 {
		r.hub.publish([]byte(strings.Repeat("x", 8<<10)), nil)
		on(t, link, func(*conn) {})
	}
	for ev := tap.next(); ev.Kind != core.TapDropped; ev = tap.next() {
		if ev.Kind == core.TapEnd || ev.Kind == core.TapOver {
			t.Fatal(tap.line(ev))
		}
	}
}

// A tap ends with its endpoint and with the server, after the goodbyes of the clients, and there are not many.
func TestTapOver(t *testing.T) {
	r := start(t, nil)
	if _, err := r.Tap("chit", core.TapOptions{MaxMessage: 1}); !errors.Is(err, core.ErrNoEndpoint) {
		t.Errorf("no such endpoint: %v", err)
	}
	tap := r.tap("chat", 1000)
	if _, err := r.Tap("chat", core.TapOptions{MaxMessage: 1}); !errors.Is(err, errTapped) {
		t.Errorf("a second tap: %v", err)
	}
	var others []Endpoint
	for i := range maxTaps {
		others = append(others, another(fmt.Sprint(i), "127.0.0.1:0", ""))
	}
	d, err := r.Exchange(nil, others)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Run(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for i := range maxTaps {
		other, err := r.Tap(fmt.Sprint(i), core.TapOptions{MaxMessage: 1})
		if i == maxTaps-1 {
			if !errors.Is(err, errManyTaps) {
				t.Errorf("one too many: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
	}
	second := r.tap // for the echo endpoint, when there is room

	c := r.dial("chat")
	if d, err = r.Exchange([]string{"chat"}, nil); err != nil {
		t.Fatal(err)
	}
	left := make(chan error, 1)
	go func() { left <- d.Run(t.Context(), 0) }()
	c.expectClose(1001)
	c.write(masked(ws.OpClose, true, "\x03\xe9"))
	_ = c.Close()
	if err := coretest.Receive(t, "the end of the endpoint", left); err != nil {
		t.Error(err)
	}
	tap.expect("1 > request GET / HTTP/1.1", "1 < response HTTP/1.1 101 Switching Protocols",
		"1 < close \x03\xe9drain", "1 > close \x03\xe9", "1 < end", "0 < over the endpoint was closed or reopened by a reload")
	if _, err := tap.tap.Next(t.Context(), nil); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}

	last := second("echo", 1000)
	e := r.dial("echo")
	ctx, cancel := context.WithTimeout(context.Background(), coretest.Patience)
	defer cancel()
	down := make(chan error, 1)
	go func() { down <- r.Shutdown(ctx, 0) }()
	e.expectClose(1001)
	_ = e.Close()
	if err := coretest.Receive(t, "the end of the server", down); err != nil {
		t.Error(err)
	}
	lines := []string{}
	for ev := last.next(); ; ev = last.next() {
		lines = append(lines, last.line(ev))
		if ev.Kind == core.TapOver {
			break
		}
	}
	if got := lines[len(lines)-1]; got != "0 < over the broker shuts down" || !slices.Contains(lines, "1 < end") {
		t.Errorf("got %q", lines)
	}
	if _, err := r.Tap("echo", core.TapOptions{MaxMessage: 1}); err == nil {
		t.Error("a server that is down can be tapped")
	}
}

// A tap that is closed lets go, of who waits for it, too, and its connections go on.
func TestTapClosed(t *testing.T) {
	r := start(t, nil)
	tap := r.tap("chat", 1000)
	c := r.dial("chat")
	tap.tap.Close()
	again := r.tap("chat", 1000)
	c.send("echo hello")
	c.expect("hello")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if events, err := again.tap.Next(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", events, err)
	}
	if len(tap.tap.events) > 0 {
		t.Error("a closed tap keeps events")
	}
	synctest.Test(t, func(t *testing.T) {
		tap := &Tap{ep: &endpoint{server: new(Server)}, wake: make(chan struct{}, 1)}
		waiting := make(chan error, 1)
		go func() {
			_, err := tap.Next(context.Background(), nil)
			waiting <- err
		}()
		synctest.Wait()
		tap.Close()
		synctest.Wait()
		select {
		case err := <-waiting:
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
		default:
			t.Error("Next still waits")
			tap.wakeReader()
		}
	})
}

// mourning is a hub that tells the first client when another one leaves.
type mourning struct{ *chatHub }

type mourner struct {
	*chatPeer
	of mourning
}

func (h mourning) Connect(l core.Link) core.Peer { return mourner{h.chatHub.Connect(l).(*chatPeer), h} }

func (m mourner) Leaving() {
	if first := m.of.links[0]; first != m.link {
		first.Tell(core.Event{Kind: core.Pong, Ref: []byte("somebody left")})
	}
}

// That a client leaves is reported before what follows from it.
func TestTapTellsCausesFirst(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.Loops, o.Hub = 1, mourning{o.Hub.(*chatHub)} })
	tap := r.tap("chat", 1000)
	r.dial("chat")
	tap.expect("1 > request GET / HTTP/1.1", "1 < response HTTP/1.1 101 Switching Protocols")
	for n, end := range []func(*client) string{
		func(c *client) string { _ = c.Close(); return "end" },
		func(c *client) string { c.write(masked(ws.OpClose, true, "\x03\xe8")); return "close \x03\xe8" },
	} {
		c := r.dial("chat")
		tap.expect(fmt.Sprintf("%d > request GET / HTTP/1.1", n+2), fmt.Sprintf("%d < response HTTP/1.1 101 Switching Protocols", n+2))
		tap.expect(fmt.Sprintf("%d > %s", n+2, end(c)), "1 < text somebody left")
	}
}
