package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// loop is an event loop with one guest, of which a test says what its socket takes, and what comes when.
type loop struct {
	guest core.Guest

	mu     sync.Mutex // held in a turn
	conn   net.Conn
	room   int // how many bytes the socket takes
	due    bool
	paused bool
	ended  bool
	panics int
	free   sync.Cond // of mu: something has changed
}

func newLoop(room int) *loop {
	l := &loop{room: room}
	l.free.L = &l.mu
	return l
}

// host is client.Options.Host.
func (l *loop) host(conn net.Conn, g core.Guest) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.guest, l.conn = g, conn
	l.due, l.paused, l.ended = false, false, false
	g.Seated(l)
	go l.turns()
	go l.read(conn)
	return nil
}

// turns gives the guest its turns.
func (l *loop) turns() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.ended {
		if l.due {
			l.due = false
			l.guard(l.guest.Turn)
			continue
		}
		l.free.Wait()
	}
}

// read reads for the guest.
func (l *loop) read(conn net.Conn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := conn.Read(buf)
		l.mu.Lock()
		for l.paused && !l.ended {
			l.free.Wait()
		}
		if l.ended {
			l.mu.Unlock()
			return
		}
		if n > 0 {
			l.guard(func() { l.guest.Received(buf[:n]) })
		}
		if err != nil {
			l.end(err)
		}
		l.mu.Unlock()
	}
}

// guard runs f, which is the guest's. If it panics, its connection ends. The caller holds mu.
func (l *loop) guard(f func()) {
	defer func() {
		if fault := recover(); fault != nil {
			l.panics++
			l.end(fmt.Errorf("a fault: %v", fault))
		}
	}()
	f()
}

// end ends the connection. The caller holds mu.
func (l *loop) end(err error) {
	if l.ended {
		return
	}
	l.ended = true
	_ = l.conn.Close()
	l.guest.Unseated(err)
	l.free.Broadcast()
}

// untilEnded waits until the connection has ended.
func (l *loop) untilEnded() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.ended {
		l.free.Wait()
	}
}

// Ask is called in turns of the loop too.
func (l *loop) Ask() {
	go func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.due = true
		l.free.Broadcast()
	}()
}

func (l *loop) Write(b []byte) (int, error) {
	n := min(len(b), l.room)
	l.room -= n
	return l.conn.Write(b[:n])
}

func (l *loop) Pause() { l.paused = true }

func (l *loop) Resume() {
	l.paused = false
	l.free.Broadcast()
}

func (l *loop) Close() { l.end(nil) }

// of returns something of the loop.
func of[T any](l *loop, get func() T) T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return get()
}

// textOf returns the number of the message that a frame of the client publishes.
func textOf(f ws.Frame) string {
	ws.Cipher(f.Payload, f.Header.Mask, 0)
	_, rest, _ := strings.Cut(string(f.Payload), `"message `)
	text, _, _ := strings.Cut(rest, `"`)
	return text
}

// publish posts a message, and sends its outcome.
func publish(c *client.Client, number int, outcome chan<- error) error {
	return c.Post(core.Command{Verb: core.Publish, Topic: []byte("t"), Payload: text(fmt.Sprintf("message %d", number))}, func(_ core.Event, err error) { outcome <- err })
}

// While a socket on an event loop is full, messages wait within the bound of the queue, and nothing blocks; of the
// pings of the server the last one is answered. Then everything is said, in order, and what is said without an
// outcome has one when it is written.
func TestHostedSocketIsFull(t *testing.T) {
	l := newLoop(1)
	got, pongs := make(chan string, 1000), make(chan string, 10)
	full, pinged := make(chan struct{}), make(chan struct{})
	url := upgraded(t, func(conn net.Conn) {
		_ = ws.WriteFrame(conn, ws.NewPingFrame([]byte("one")))
		<-full
		for _, body := range []string{"two", "three", "four"} {
			_ = ws.WriteFrame(conn, ws.NewPingFrame([]byte(body)))
		}
		_ = ws.WriteFrame(conn, ws.NewTextFrame([]byte(`"pinged"`)))
		for {
			f, err := ws.ReadFrame(conn)
			if err != nil {
				return
			}
			switch f.Header.OpCode {
			case ws.OpText:
				got <- textOf(f)
			case ws.OpPong:
				ws.Cipher(f.Payload, f.Header.Mask, 0)
				pongs <- string(f.Payload)
			}
		}
	})
	up := make(chan error, 10)
	var once sync.Once
	c := at(t, client.Options{
		URL: url, Codec: codecOf(t, "wsify"), Timeout: coretest.Patience, Host: l.host, QueueBytes: 64 << 10,
		Changed: func(err error) { up <- err },
		Heard:   func(core.Event) { once.Do(func() { close(pinged) }) },
	})
	if err := coretest.Receive(t, "it connects", up); err != nil {
		t.Fatal(err)
	}
	coretest.Eventually(t, "the socket is full", func() bool { return of(l, func() bool { return l.room == 0 }) })
	close(full)
	coretest.Receive(t, "the pings were heard", pinged)
	outcomes := make(chan error, 1000)
	n := 0
	for ; ; n++ {
		err := publish(c, n, outcomes)
		if f, ok := errors.AsType[core.Failure](err); ok && f.Code == core.Overloaded {
			break
		}
		if err != nil || n == 1000 {
			t.Fatalf("message %d: %v", n, err)
		}
	}
	if n < 100 || len(outcomes) > 0 {
		t.Errorf("%d messages wait, %d have an outcome", n, len(outcomes))
	}
	l.mu.Lock()
	l.room = 1 << 30
	l.mu.Unlock()
	for i := range n {
		if text := coretest.Receive(t, "a message", got); text != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, text)
		}
		if err := coretest.Receive(t, "an outcome", outcomes); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	if one, last := coretest.Receive(t, "a pong", pongs), coretest.Receive(t, "a pong", pongs); one != "one" || last != "four" {
		t.Errorf("the pings %q and %q are answered", one, last)
	}
}

// What was not written when a connection on an event loop ends is lost, and what waits too if there is nothing to
// wait for.
func TestHostedIsLost(t *testing.T) {
	l := newLoop(100)
	cut := make(chan struct{})
	url := upgraded(t, func(net.Conn) { <-cut })
	changed := make(chan error, 10)
	c := at(t, client.Options{
		URL: url, Codec: codecOf(t, "wsify"), Timeout: coretest.Patience, Host: l.host, FailAway: true, FirstPause: time.Hour, MaxPause: time.Hour,
		Changed: func(err error) { changed <- err },
	})
	if err := coretest.Receive(t, "it connects", changed); err != nil {
		t.Fatal(err)
	}
	const n = 20
	outcomes := make(chan error, 2*n)
	for i := range n {
		if err := publish(c, i, outcomes); err != nil {
			t.Fatal(err)
		}
	}
	coretest.Eventually(t, "the socket is full", func() bool { return of(l, func() bool { return l.room == 0 }) })
	close(cut)
	if err := coretest.Receive(t, "it is cut", changed); err == nil {
		t.Error("it was cut without an error")
	}
	lost := 0
	for range n {
		if err := coretest.Receive(t, "an outcome", outcomes); errors.Is(err, client.ErrLost) {
			lost++
		} else if err != nil {
			t.Error(err)
		}
	}
	if lost < n-1 {
		t.Errorf("%d of %d messages are lost, of which one or none was written", lost, n)
	}
	if err := publish(c, n, outcomes); !errors.Is(err, client.ErrAway) {
		t.Errorf("then: %v", err)
	}
}

// A connection that has ended before Host returns was made, and is lost: an event loop may have heard all that the
// server had to say by then.
func TestHostedEndsAtOnce(t *testing.T) {
	url := upgraded(t, func(conn net.Conn) { _ = ws.WriteFrame(conn, ws.NewTextFrame([]byte(`"hello"`))) })
	heard, changed := make(chan string, 1), make(chan error, 2)
	for range 20 {
		l := newLoop(1 << 30)
		c := at(t, client.Options{
			URL: url, Codec: codecOf(t, "wsify"), Timeout: coretest.Patience, FirstPause: time.Hour, MaxPause: time.Hour,
			Host: func(conn net.Conn, g core.Guest) error {
				defer l.untilEnded()
				return l.host(conn, g)
			},
			Heard:   func(ev core.Event) { heard <- string(ev.Payload.Data) },
			Changed: func(err error) { changed <- err },
		})
		coretest.Receive(t, "what the server says", heard)
		if err := coretest.Receive(t, "it is made", changed); err != nil {
			t.Fatalf("it was not made: %v", err)
		}
		if err := coretest.Receive(t, "it is lost", changed); err == nil || !strings.Contains(err.Error(), "without a goodbye") {
			t.Errorf("it is lost: %v", err)
		}
		c.Close(deadline(t))
	}
}

// While something is waited for, nothing is heard on an event loop; reading ends when much has come. Then
// everything is heard, in order, before the end of the connection is told.
func TestHostedWaits(t *testing.T) {
	for name, n := range map[string]int{"little comes meanwhile": 10, "much comes meanwhile": 20_000} {
		for end, last := range map[string][]byte{"goodbye": {0x88, 0}, "cut": nil, "a fault": {0x83, 0}} {
			t.Run(name+", then "+end, func(t *testing.T) {
				l := newLoop(1 << 30)
				waiting, wait := make(chan struct{}), make(chan struct{})
				url := upgraded(t, func(conn net.Conn) {
					_ = ws.WriteFrame(conn, ws.NewTextFrame([]byte(`"0"`)))
					<-waiting
					var rest bytes.Buffer
					for i := 1; i < n; i++ {
						_ = ws.WriteFrame(&rest, ws.NewTextFrame(fmt.Appendf(nil, `"%d %s"`, i, strings.Repeat("x", 20))))
					}
					_, _ = conn.Write(append(rest.Bytes(), last...))
				})
				var heard []string // guarded by the loop
				var once sync.Once
				changed := make(chan int, 10)
				at(t, client.Options{
					URL: url, Codec: codecOf(t, "wsify"), Timeout: coretest.Patience, Host: l.host, FirstPause: time.Hour, MaxPause: time.Hour,
					Heard: func(ev core.Event) {
						first, _, _ := strings.Cut(strings.Trim(string(ev.Payload.Data), `"`), " ")
						heard = append(heard, first)
					},
					Lull: func() (f func()) {
						if len(heard) == 1 {
							once.Do(func() { close(waiting); f = func() { <-wait } })
						}
						return f
					},
					Changed: func(err error) {
						if err != nil {
							changed <- len(heard)
						}
					},
				})
				coretest.Receive(t, "it waits", waiting)
				if n > 1000 {
					coretest.Eventually(t, "reading ends", func() bool { return of(l, func() bool { return l.paused }) })
				} else if end == "cut" {
					coretest.Eventually(t, "the end is noticed", func() bool { return of(l, func() bool { return l.ended }) })
				}
				if got := of(l, func() int { return len(heard) }); got != 1 || len(changed) > 0 {
					t.Errorf("%d messages are heard, and %d ends told, while something is waited for", got, len(changed))
				}
				close(wait)
				if got := coretest.Receive(t, "the end", changed); got != n {
					t.Errorf("%d of %d messages are heard before the end", got, n)
				}
				if !slices.IsSortedFunc(heard, func(a, b string) int { return len(a) - len(b) }) {
					t.Error("they are out of order")
				}
			})
		}
	}
}

// A client on an event loop says what waits and a goodbye before it closes the connection.
func TestHostedCloses(t *testing.T) {
	l := newLoop(1)
	all := make(chan []string, 1)
	url := upgraded(t, func(conn net.Conn) {
		var got []string
		for {
			f, err := ws.ReadFrame(conn)
			if err != nil {
				return
			}
			switch f.Header.OpCode {
			case ws.OpText:
				got = append(got, textOf(f))
			case ws.OpClose:
				_ = ws.WriteFrame(conn, ws.NewCloseFrame(nil))
				all <- got
				return
			}
		}
	})
	up := make(chan error, 10)
	c := at(t, client.Options{
		URL: url, Codec: codecOf(t, "wsify"), Timeout: coretest.Patience, Host: l.host, Changed: func(err error) { up <- err },
	})
	if err := coretest.Receive(t, "it connects", up); err != nil {
		t.Fatal(err)
	}
	const n = 1000
	outcomes := make(chan error, n)
	for i := range n {
		if err := publish(c, i, outcomes); err != nil {
			t.Fatal(err)
		}
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		c.Close(deadline(t))
	}()
	l.mu.Lock()
	l.room = 1 << 30
	l.mu.Unlock()
	if got := coretest.Receive(t, "the goodbye", all); len(got) != n || got[n-1] != fmt.Sprint(n-1) {
		t.Errorf("%d messages come before the goodbye, want %d", len(got), n)
	}
	coretest.Receive(t, "it is closed", closed)
	for range n {
		if err := coretest.Receive(t, "an outcome", outcomes); err != nil {
			t.Fatal(err)
		}
	}
}
