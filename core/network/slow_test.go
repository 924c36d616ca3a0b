package network

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/panjf2000/gnet/v2"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// sleeper is a subscriber with small buffers: its socket is soon full if it does
// not read.
func (r *rig) sleeper() (*client, core.Link) {
	r.t.Helper()
	c := r.dialTCP("chat")
	_ = c.Conn.(*net.TCPConn).SetReadBuffer(32 << 10)
	c.write([]byte(upgradeRequest()))
	c.readResponse("HTTP/1.1 101 ")
	c.send("sub")
	c.expect("ok")
	return c, r.hub.newest()
}

// subscriber is a subscriber that reads.
func (r *rig) subscriber() *client {
	r.t.Helper()
	c := r.dial("chat")
	c.send("sub")
	c.expect("ok")
	return c
}

// on runs f on the loop of a connection, which must not have ended, and waits for it.
func on(t testing.TB, l core.Link, f func(c *conn)) {
	t.Helper()
	of(t, l, func(c *conn) struct{} { f(c); return struct{}{} })
}

// of returns the result of f on the loop of a connection, which must not have ended.
func of[T any](t testing.TB, l core.Link, f func(c *conn) T) T {
	t.Helper()
	c := l.(*conn)
	found := make(chan T, 1)
	end := make(chan core.Reason, 1)
	c.Later(func() {
		if c.state == ended {
			end <- c.reason
			return
		}
		found <- f(c)
	})
	select {
	case v := <-found:
		return v
	case r := <-end:
		t.Fatalf("the connection has ended, as %v", r)
	case <-time.After(coretest.Patience):
		t.Fatal("the loop does not answer")
	}
	panic("unreachable")
}

// TestConflate: a slow client gets the newest message of each topic, those of a topic
// in order, and everything that it is owed; a client that reads gets everything. Broken
// versions: conflating frames without a key (the answers are missing), without
// index.left (the stream is garbled or the loop panics), conflating while the socket
// is not full (the healthy one misses messages).
func TestConflate(t *testing.T) {
	const topics, rounds, size, limit = 20, 150, 4 << 10, 1 << 20
	r := start(t, func(o *Options, ep *Endpoint) {
		o.SendBuffer = 64 << 10
		ep.Settings.OutboundLimit = limit
		ep.Settings.SlowConsumer = Conflate
	})
	stalled, link := r.sleeper()
	healthy := r.subscriber()
	pub := r.dial("chat")
	fill := strings.Repeat("x", size)
	for round := range rounds {
		for topic := range topics {
			pub.send(fmt.Sprintf("pub %d:%d:%s", topic, round, fill[:size-round*topic]))
		}
		for topic := range topics {
			healthy.expect(fmt.Sprintf("%d:%d:%s", topic, round, fill[:size-round*topic]))
		}
		link.Send(core.Event{Kind: core.Pong, Ref: fmt.Appendf(nil, "answer:%d:", round)})
	}
	on(t, link, func(c *conn) {
		// Those that filled the socket, and one of each topic: not thousands.
		if c.waiting() > limit/2 {
			t.Errorf("%d bytes wait for the stalled client", c.waiting())
		}
		if n := len(c.out.newest.places); n != topics {
			t.Errorf("%d topics are remembered, want %d", n, topics)
		}
	})
	if n := r.stats.Dropped[core.ReasonSlow].Load(); n != 0 {
		t.Errorf("%d messages were dropped for want of room", n)
	}
	pub.send("pub end:0:")
	last, count := map[string]int{}, 0
	for last["end"] == 0 {
		topic, rest, _ := bytes.Cut(stalled.read().Payload, []byte(":"))
		number, _, _ := bytes.Cut(rest, []byte(":"))
		round, err := strconv.Atoi(string(number))
		if err != nil || round+1 <= last[string(topic)] {
			t.Fatalf("topic %s: round %q (%v) after %d", topic, number, err, last[string(topic)]-1)
		}
		if string(topic) == "answer" && round != last["answer"] {
			t.Fatalf("answer %d after %d", round, last["answer"]-1)
		}
		last[string(topic)] = round + 1
		count++
	}
	for topic := range topics {
		if got := last[strconv.Itoa(topic)]; got != rounds {
			t.Errorf("the last message of topic %d is of round %d, want %d", topic, got-1, rounds-1)
		}
	}
	conflated := int(r.stats.Dropped[core.ReasonConflated].Load())
	if want := topics*rounds + rounds + 1; count+conflated != want || conflated == 0 {
		t.Errorf("%d messages came and %d were conflated, of %d", count, conflated, want)
	}
	if r.stats.DroppedBytes[core.ReasonConflated].Load() == 0 {
		t.Error("no bytes were counted")
	}
	on(t, link, func(c *conn) {
		if c.out.newest != nil {
			t.Error("topics are remembered for a client that has read all")
		}
	})
}

// TestIndex: two topics whose keys have the same hash stay separate. Broken version: find
// without the check of the key.
func TestIndex(t *testing.T) {
	make := func(key string) *frame { return &frame{key: []byte(key), hash: 1} }
	queue := []*frame{make("a"), {}, make("b")}
	o := output{frames: queue}
	o.conflate()
	x := o.newest
	if at, ok := x.find(queue, make("b")); at != 2 || !ok {
		t.Errorf("b is at %d, %v; want 2", at, ok)
	}
	if _, ok := x.find(queue, make("a")); ok {
		t.Error("a was found in the place of b")
	}
	x.left(queue[:1])
	if at, ok := x.find(queue[1:], make("b")); at != 1 || !ok {
		t.Errorf("b is at %d, %v; want 1", at, ok)
	}
	x.leave(queue[2], 1)
	if _, ok := x.find(nil, make("b")); ok || len(x.places) != 0 {
		t.Error("b was found although it left")
	}
}

// TestCompressedFrameIsTheSameMessage: the policies and the budget treat a compressed
// frame like its original. Broken version: deflated without inherit.
func TestCompressedFrameIsTheSameMessage(t *testing.T) {
	b := budget{limit: 1 << 20}
	f := newFrame()
	f.seal(append(f.room(), strings.Repeat("x", 4<<10)...), ws.OpText)
	plain := bytes.Clone(f.bytes)
	f.purpose = published
	f.setKey(maphash.MakeSeed(), core.Event{Topic: []byte("topic"), As: 7})
	f.charge(&b)
	alone := b.used.Load()
	z := f.deflated(maxWindow)
	if !bytes.Equal(f.bytes, plain) {
		t.Error("the key has changed the frame")
	}
	if string(f.key) != "\x00\x00\x00\x07topic" || !bytes.Equal(z.key, f.key) || z.hash != f.hash || z.purpose != published {
		t.Errorf("key %q, compressed %q", f.key, z.key)
	}
	if text, err := inflated(z.bytes[len(z.bytes)-z.payload:], 1<<20); err != nil || len(text) != 4<<10 {
		t.Errorf("%d bytes compressed, %v", len(text), err)
	}
	if b.used.Load() <= alone {
		t.Error("the compressed frame is not counted")
	}
	f.release()
	if n := b.used.Load(); n != 0 {
		t.Errorf("%d bytes are left", n)
	}
}

// TestOwedIsNotDropped: no policy drops an answer, and messages do not keep answers out; if
// answers alone are too much, the connection ends. Broken version: dropMessage without the
// check of frame.purpose.
func TestOwedIsNotDropped(t *testing.T) {
	for name, policy := range map[string]SlowConsumer{"drop_oldest": DropOldest, "drop_newest": DropNewest, "conflate": Conflate} {
		t.Run(name, func(t *testing.T) {
			const answers, size, limit = 40, 4 << 10, 256 << 10
			r := start(t, func(o *Options, ep *Endpoint) {
				unhurried(o)
				o.SendBuffer = 64 << 10
				ep.Settings.OutboundLimit = limit
				ep.Settings.SlowConsumer = policy
			})
			stalled, link := r.sleeper()
			text := strings.Repeat("x", size)
			flood := func(n int) {
				for i := range n {
					r.hub.publish(fmt.Appendf(nil, "%d:%s", i, text), nil)
				}
				// When this returns, everything posted to the loop before it is queued.
				on(t, link, func(*conn) {})
			}
			flood(1000)
			for i := range answers {
				link.Send(core.Event{Kind: core.Pong, Ref: fmt.Appendf(nil, "answer %d%s", i, text)})
			}
			flood(1000)
			on(t, link, func(c *conn) {
				if n := c.backlog(); n > limit {
					t.Errorf("%d bytes wait, the bound is %d", n, limit)
				}
			})
			for i := range answers {
				want := fmt.Sprintf("answer %d%s", i, text)
				for {
					got := string(stalled.read().Payload)
					if got == want {
						break
					}
					if strings.HasPrefix(got, "answer") {
						t.Fatalf("got %.12q, want answer %d", got, i)
					}
				}
			}

			asleep, link := r.sleeper()
			for range 2 * (limit + 512<<10) / size {
				link.Send(core.Event{Kind: core.Pong, Ref: []byte(text)})
			}
			// It reads only when all of them were too many.
			eventually(t, "the client is told to leave", func() bool { return r.stats.Closed[core.ReasonSlow].Load() > 0 })
			for {
				if f := asleep.read(); f.Header.OpCode == ws.OpClose {
					if code, _ := ws.ParseCloseFrameData(f.Payload); code != 1013 {
						t.Errorf("close code %d, want 1013", code)
					}
					break
				}
			}
		})
	}
}

// TestOutboundBudget: whatever the bounds of single connections are, their total backlog
// stays under the budget, the slowest pay for it, and clients that read miss nothing.
// Broken versions: without relieve; with release that does not uncharge.
func TestOutboundBudget(t *testing.T) {
	const sleepers, messages, size, budget = 5, 800, 16 << 10, 4 << 20
	for name, policy := range map[string]SlowConsumer{
		"disconnect": Disconnect, "drop_oldest": DropOldest, "drop_newest": DropNewest, "conflate": Conflate,
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(o *Options, ep *Endpoint) {
				o.SendBuffer = 64 << 10
				o.OutboundBudget = budget
				ep.Settings.OutboundLimit = 1 << 30
				ep.Settings.SlowConsumer = policy
			})
			for range sleepers {
				r.sleeper()
			}
			healthy := r.subscriber()
			pub := r.dial("chat")
			most := int64(0)
			for i := range messages {
				text := fmt.Sprintf("%d:%s", i, strings.Repeat("x", size))
				pub.send("pub " + text)
				healthy.expect(text)
				most = max(most, r.Outbound())
			}
			if most > budget+budget/8 {
				t.Errorf("%d bytes waited, the budget is %d", most, budget)
			}
			if most < budget/2 {
				t.Errorf("%d bytes waited at most: nothing was tested", most)
			}
			slow := r.stats.Closed[core.ReasonSlow].Load()
			if policy == Disconnect && slow != sleepers || policy != Disconnect && slow != 0 {
				t.Errorf("%d of %d connections closed as slow", slow, sleepers)
			}
			if r.stats.Dropped[core.ReasonSlow].Load() == 0 || r.stats.DroppedBytes[core.ReasonSlow].Load() == 0 {
				t.Error("no drop was counted")
			}
			if n := r.stats.Dropped[core.ReasonOverload].Load(); n != 0 {
				t.Errorf("%d messages found no room in a mailbox", n)
			}
			r.hub.mu.Lock()
			links := r.hub.links
			r.hub.mu.Unlock()
			for _, l := range links {
				l.Post(func() { l.(*conn).cut() })
			}
			eventually(t, "all memory is given back", func() bool { return r.Outbound() == 0 })
		})
	}
}

// TestBudgetTakesTheSlowest: over the budget, the clients with the largest backlog pay, on
// whatever loop they are. Broken versions: relieve that considers only its own loop, or no
// backlog at all.
func TestBudgetTakesTheSlowest(t *testing.T) {
	const size, budget = 16 << 10, 8 << 20
	r := start(t, func(o *Options, ep *Endpoint) {
		o.SendBuffer = 64 << 10
		o.OutboundBudget = budget
		ep.Settings.OutboundLimit = 1 << 30
	})
	text := bytes.Repeat([]byte("x"), size)
	fill := func(l core.Link, bytes int) {
		for waiting := 0; waiting < bytes; {
			l.Send(core.Event{Kind: core.Pong, Ref: text})
			on(t, l, func(c *conn) { waiting = c.waiting() })
		}
	}
	var links []core.Link
	for range 6 {
		_, link := r.sleeper()
		fill(link, budget/40)
		links = append(links, link)
	}
	slowest := links[0]
	fill(slowest, budget/4) // the frames have more room than bytes
	loop := r.loopAt(slowest.Loop())
	// Its socket may take a little more of it yet.
	eventually(t, "the largest backlog is known", func() bool { return loop.largest.Load() >= budget/8 })

	// While the slowest client's loop is busy, the others see that the budget is spent.
	release := make(chan struct{})
	slowest.Post(func() { <-release })
	r.budget.add(budget)
	other := r.loopAt(1 - slowest.Loop())
	retries := func() uint64 { return ask(other, func() uint64 { return other.retries }) }
	before := retries()
	eventually(t, "the other loop has looked at its full sockets", func() bool { return retries() > before+1 })
	if n := r.stats.Closed[core.ReasonSlow].Load(); n != 0 {
		t.Errorf("%d connections closed in the place of the slowest", n)
	}
	close(release)
	eventually(t, "a connection is closed", func() bool { return r.stats.Closed[core.ReasonSlow].Load() > 0 })
	r.budget.add(-budget)
	if ask(loop, func() state { return slowest.(*conn).state }) == open {
		t.Error("another connection was closed")
	}
}

// ask returns what f does on a loop.
func ask[T any](l *loop, f func() T) T {
	answer := make(chan T, 1)
	l.post(mail{fn: func() { answer <- f() }})
	return <-answer
}

// TestSlowClientIsLogged: one line when a client begins to lose messages, and one with its
// losses when it is gone.
func TestSlowClientIsLogged(t *testing.T) {
	var log logBuffer
	r := start(t, func(o *Options, ep *Endpoint) {
		o.SendBuffer = 64 << 10
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		ep.Settings.OutboundLimit = 64 << 10
		ep.Settings.SlowConsumer = DropOldest
	})
	stalled, _ := r.sleeper()
	for range 1000 {
		r.hub.publish(bytes.Repeat([]byte("x"), 4<<10), nil)
	}
	eventually(t, "messages are dropped", func() bool { return r.stats.Dropped[core.ReasonSlow].Load() > 10 })
	remote := stalled.LocalAddr().String()
	_ = stalled.Close()
	<-r.hub.gone
	eventually(t, "the connection is gone", func() bool { return r.stats.Open.Load() == 0 })
	text := log.String()
	for _, want := range []string{"loses messages", "slow client left"} {
		if n := strings.Count(text, want); n != 1 {
			t.Errorf("%d lines have %q", n, want)
		}
	}
	lost := fmt.Sprintf("endpoint=chat reason=lost conn=1 remote=%s user=\"\" lost_messages=%d lost_bytes=%d", remote,
		r.stats.Dropped[core.ReasonSlow].Load(), r.stats.DroppedBytes[core.ReasonSlow].Load())
	if !strings.Contains(text, lost) {
		t.Errorf("no line has %s in\n%s", lost, text)
	}
}

// logBuffer keeps a log.
type logBuffer struct {
	// Guarded by mu.
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestLargeAudience: a message to more members than a turn may write to goes out in
// several turns, and all members get all messages in order. Broken version: an endTurn that
// writes all of dirty.
func TestLargeAudience(t *testing.T) {
	const receivers, messages = turnWrites + 100, 20
	r := start(t, func(o *Options, _ *Endpoint) { o.Loops = 1 })
	all := make([]*client, receivers)
	for i := range all {
		all[i] = r.subscriber()
	}
	l := r.loopAt(0)
	left := make(chan int, 1)
	l.post(mail{fn: func() {
		r.hub.publish([]byte("first"), nil)
		// gnet runs this after the turn.
		_ = l.el.Execute(t.Context(), gnet.RunnableFunc(func(context.Context) error {
			left <- len(l.unwritten)
			return nil
		}))
	}})
	if n := <-left; n != receivers-turnWrites {
		t.Errorf("%d connections are left to a later turn, want %d", n, receivers-turnWrites)
	}
	for i := range messages {
		r.hub.publish([]byte(strconv.Itoa(i)), nil)
	}
	for _, c := range all {
		c.expect("first")
		for i := range messages {
			c.expect(strconv.Itoa(i))
		}
	}
}

// TestCorkOfAnEarlierTurn: frames that come out of the pool again with other bytes
// are not mistaken for those that an earlier turn has joined. Broken version:
// loop.corked that outlives its turn.
func TestCorkOfAnEarlierTurn(t *testing.T) {
	r := start(t, func(o *Options, ep *Endpoint) {
		o.Loops = 1
		ep.Settings.OutboundLimit = 10 // two frames
	})
	c := r.subscriber()
	link := r.hub.newest()
	say := func(text string) { link.Tell(core.Event{Kind: core.Pong, Ref: []byte(text)}) }
	for range 200 {
		on(t, link, func(*conn) { say("aa"); say("bb") })
		on(t, link, func(*conn) { say("cc"); say("dd"); say("ee") })
		for _, want := range []string{"aa", "bb", "cc", "dd", "ee"} {
			c.expect(want)
		}
	}
}

// TestSlowClientIsNamed: a client that loses messages is named in the log at once, and not only
// at its end.
func TestSlowClientIsNamed(t *testing.T) {
	for _, c := range []struct {
		policy SlowConsumer
		want   string
	}{
		{Conflate, "gets only the newest message of each topic"},
		{Disconnect, "is disconnected: what waits for all clients is over network.outbound_budget"},
	} {
		t.Run(c.want, func(t *testing.T) {
			var log logBuffer
			r := start(t, func(o *Options, ep *Endpoint) {
				o.SendBuffer, o.OutboundBudget = 64<<10, 8<<20
				o.Logger = slog.New(slog.NewTextHandler(&log, nil))
				ep.Settings.OutboundLimit = 1 << 30
				ep.Settings.SlowConsumer = c.policy
			})
			stalled, _ := r.sleeper()
			for i := range 2000 {
				r.hub.publish(bytes.Repeat([]byte("x"), 8<<10), nil)
				if i%16 == 0 && r.stats.Open.Load() == 0 {
					break
				}
			}
			eventually(t, "it is named", func() bool { return strings.Count(log.String(), c.want) == 1 })
			if !strings.Contains(log.String(), "remote="+stalled.LocalAddr().String()) {
				t.Errorf("not by its address: %s", log.String())
			}
		})
	}
}

// TestBudgetWeighsTinyFrames: a client that fills the memory with unread answers to its pings
// is choked, and it is relieved before a client that reads something big. Broken version: choke
// and relieve that count the waiting bytes.
func TestBudgetWeighsTinyFrames(t *testing.T) {
	const limit, budget, big = 8 << 20, 32 << 20, 1 << 20
	r := start(t, func(o *Options, ep *Endpoint) {
		o.Loops = 1
		o.SendBuffer = 64 << 10
		o.OutboundBudget = budget
		ep.MaxMessage = 2 * big
		ep.Settings.OutboundLimit = limit
	})
	pub := r.dial("chat")
	slow, link := r.sleeper()
	links := []core.Link{link}
	var pinging []*client
	for range 3 {
		c, link := r.sleeper()
		pinging, links = append(pinging, c), append(links, link)
	}
	// Behind a big message: in a socket that is full of tiny ones TCP itself stops, as acknowledgements
	// come with what there is no room for.
	pub.send("pub " + strings.Repeat("x", big))
	for _, link := range links {
		eventually(t, "the big message waits", func() bool {
			return of(t, link, func(c *conn) bool { return c.out.list == stuck })
		})
	}
	flood := bytes.Repeat(masked(ws.OpPing, true, ""), 10_000)
	for i, c := range pinging {
		go func() {
			for {
				if _, err := c.Write(flood); err != nil {
					return
				}
			}
		}()
		eventually(t, "it is not heard any more", func() bool {
			return r.stats.Closed[core.ReasonSlow].Load() > 0 || of(t, links[i+1], func(c *conn) bool { return c.in.holds.has(choked) })
		})
	}
	if n := r.stats.Closed[core.ReasonSlow].Load(); n > 0 {
		t.Errorf("%d clients were disconnected, with %d bytes of the budget", n, r.Outbound())
	}
	slow.expect(strings.Repeat("x", big))
}

// hastyHub finds every connection too slow as soon as it is there.
type hastyHub struct{ *chatHub }

func (h hastyHub) Connect(l core.Link) core.Peer {
	p := h.chatHub.Connect(l)
	l.(*conn).sayGoodbye(core.ReasonSlow)
	return p
}

// TestSlowAtOnce: a client that is disconnected as slow before the response to its upgrade is
// written reads that response before the close frame.
func TestSlowAtOnce(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.Hub = hastyHub{o.Hub.(*chatHub)} })
	r.dial("chat").expectClose(1013)
}
