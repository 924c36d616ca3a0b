package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/timers"
)

// connectSilently returns a connection whose outlet delivers to nobody.
func connectSilently(w *world, s *silent, loop int) *link {
	l := &link{site: s.site, loop: w.loops[loop], quiet: true}
	l.peer = w.engine.Connect(silentLink{l, s})
	return l
}

// BenchmarkPublish is a publish to 1000 subscribers of one topic, on four loops of
// two outlets: what it costs the engine, without the network.
func BenchmarkPublish(b *testing.B) {
	w := newWorld(b, 4)
	sites := []*silent{{w.site(core.Endpoint{})}, {w.site(core.Endpoint{})}}
	for i := range 1000 {
		connectSilently(w, sites[i%2], i/2%4).peer.Do(sub("a/b"))
	}
	p := connectSilently(w, sites[0], 0).peer
	c := pub("a/b", "m")
	b.ReportAllocs()
	for b.Loop() {
		p.Do(c)
	}
}

// unrelated subscribes to n patterns that do not match a/b/c: some share its first
// levels, some begin with named wildcards.
func unrelated(l *link, n int) {
	for i := range n {
		p := [...]string{"a/b/%d/#", "+x%[1]d/other%[1]d", "x%d/+/c", "a/+/%d", "/%d/+", "#/%d"}[i%6]
		l.peer.Do(subPattern(fmt.Sprintf(p, i)))
	}
}

// BenchmarkMatch is a publish to one subscriber by pattern among many others: the
// figures for 100 and for 100,000 unrelated patterns are to be within a factor of two.
func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWorld(b, 1)
			s := &silent{w.site(core.Endpoint{})}
			unrelated(connectSilently(w, s, 0), n)
			l := connectSilently(w, s, 0)
			l.peer.Do(subPattern("a/+/c"))
			c := pub("a/b/c", "m")
			b.ReportAllocs()
			for b.Loop() {
				l.peer.Do(c)
			}
		})
	}
}

// lean is a link whose Send costs as little as may be, so that what is measured is the
// engine. All lean links of a benchmark share one queue, which is their loop.
type lean struct {
	*link
	queue *leanQueue
}

type leanQueue struct {
	mail   []leanMail
	memory []byte
}

type leanMail struct {
	to *link
	ev core.Event
}

func (s *site) lean(q *leanQueue) *link {
	l := &link{id: s.w.ids.Add(1), site: s, loop: s.w.loops[0], quiet: true}
	l.peer = s.w.engine.Connect(lean{l, q})
	return l
}

func (l lean) Send(ev core.Event) {
	q := l.queue
	ev.Ref, ev.Topic, ev.Payload.Data = q.keep(ev.Ref), q.keep(ev.Topic), q.keep(ev.Payload.Data)
	q.mail = append(q.mail, leanMail{l.link, ev})
}

func (q *leanQueue) keep(b []byte) []byte {
	from := len(q.memory)
	q.memory = append(q.memory, b...)
	return q.memory[from:]
}

func (q *leanQueue) pump() {
	for i := 0; i < len(q.mail); i++ {
		q.mail[i].to.Tell(q.mail[i].ev)
	}
	q.mail, q.memory = q.mail[:0], q.memory[:0]
}

// calling is a world in which x asks y, while so many calls wait beside theirs.
func calling(t testing.TB, outstanding int) (x *link, q *leanQueue, answers *int) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{Limits: core.NewLiveLimits(core.Limits{CallTimeout: time.Hour, Calls: maxAsked})})
	q, answers = new(leanQueue), new(int)
	for range outstanding / 1000 {
		idle, busy := s.lean(q), s.lean(q)
		idle.peer.Do(share("idle"))
		for range 1000 {
			busy.peer.Do(ask("idle", "q"))
		}
		q.pump()
	}
	x, y := s.lean(q), s.lean(q)
	y.peer.Do(share("s"))
	x.onTell = func(ev core.Event) {
		if ev.Kind == core.Answer {
			*answers++
		}
	}
	y.onTell = func(ev core.Event) {
		if ev.Kind == core.Request {
			y.peer.Do(core.Command{Verb: core.Reply, Call: ev.Call, Payload: ev.Payload})
		}
	}
	return x, q, answers
}

// BenchmarkCall is a call and its answer between two connections: what it costs the
// engine, without the network, and with many calls outstanding beside it.
func BenchmarkCall(b *testing.B) {
	for _, outstanding := range []int{0, 100_000} {
		b.Run(fmt.Sprint(outstanding), func(b *testing.B) {
			x, q, answers := calling(b, outstanding)
			c := ask("s", "q")
			b.ReportAllocs()
			for b.Loop() {
				x.peer.Do(c)
				q.pump()
			}
			if *answers != b.N {
				b.Errorf("%d answers to %d calls", *answers, b.N)
			}
		})
	}
}

// BenchmarkHandler is a call that a Go handler answers, with its goroutine, alone and
// among others of the same turn.
func BenchmarkHandler(b *testing.B) {
	w := newWorld(b, 1)
	w.engine.Handle("s", func(_ context.Context, c core.Invocation) (core.Payload, error) { return c.Payload, nil })
	c := ask("s", "q")
	for _, atOnce := range []int{1, 64} {
		b.Run(fmt.Sprint(atOnce), func(b *testing.B) {
			x := w.site(core.Endpoint{}).connect(0)
			waiting := 0
			x.quiet, x.onTell = true, func(ev core.Event) {
				if ev.Kind == core.Answer {
					waiting--
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if waiting++; waiting%atOnce != 0 {
					x.peer.Do(c)
					continue
				}
				for x.peer.Do(c); waiting > 0; w.pump() {
					x.loop.await()
				}
			}
		})
	}
}

// BenchmarkExpire is a tick of the wheel while very many calls wait.
func BenchmarkExpire(b *testing.B) {
	w := newWorld(b, 1)
	s := w.site(core.Endpoint{Limits: core.NewLiveLimits(core.Limits{Calls: maxAsked, CallTimeout: maxTimeout})})
	x, y := s.connect(0), s.connect(0)
	x.quiet, y.quiet = true, true
	y.peer.Do(share("s"))
	for range maxAsked {
		x.peer.Do(ask("s", "q"))
	}
	w.pump()
	for b.Loop() {
		w.now = w.now.Add(timers.Tick)
		w.engine.expire()
	}
}

// Matching does not pay for what does not match.
func TestMatchIgnoresUnrelated(t *testing.T) {
	w := newWorld(t, 1)
	s := &silent{w.site(core.Endpoint{})}
	unrelated(connectSilently(w, s, 0), 6000)
	tr := w.engine.tries[0]
	if hits := tr.match([]byte("a/b/c"), nil); len(hits) != 0 {
		t.Fatalf("%q matches", hits[0].address.name)
	}
	if n := visits(&tr.root, "a", "b", "c"); n > 20 {
		t.Errorf("a match visits %d nodes of 6000 patterns", n)
	}
}

// visits counts the nodes that a match of the levels can reach.
func visits(n *trieNode, levels ...string) int {
	count := 1
	if len(levels) == 0 {
		return count
	}
	for _, c := range []*trieNode{n.literal[levels[0]], n.plus, n.any} {
		if c != nil {
			count += visits(c, levels[1:]...)
		}
	}
	return count
}

// BenchmarkIdleConnection: the bytes of an op are what a connection with one
// subscription costs in the engine; the audience is the network's and not counted.
func BenchmarkIdleConnection(b *testing.B) {
	w := newWorld(b, 1)
	s := &silent{w.site(core.Endpoint{})}
	link := silentLink{&link{site: s.site, loop: w.loops[0], quiet: true}, s}
	c := sub("a/b")
	ep := w.engine.enlist(link)
	b.ReportAllocs()
	for b.Loop() {
		p := &peer{engine: w.engine, link: link, endpoint: ep}
		p.subscriptions = append(p.subscriptions, &subscription{audience: w.engine.join(p.keyOf(&c), ep, 0)})
	}
}

// BenchmarkMatchLongLevel matches a topic of one long level with patterns that differ before it,
// as many as one connection may have.
func BenchmarkMatchLongLevel(b *testing.B) {
	tr := newTrie("")
	for i := range 512 {
		before := make([]byte, 0, 32)
		for bit := range 9 {
			if i>>bit&1 == 0 {
				before = append(before, "a/"...)
			} else {
				before = append(before, "+/"...)
			}
		}
		tr.add(string(before) + "x/+")
	}
	topic := []byte(strings.Repeat("a/", 9) + strings.Repeat("x", 60_000))
	b.ReportAllocs()
	for b.Loop() {
		tr.match(topic, nil)
	}
}
