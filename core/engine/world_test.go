package engine

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// world is an engine with loops, endpoints and connections that do what the ports
// of core promise, without sockets. A test either is all its loops itself (pump), so
// that everything happens in a known order, or lets them run on goroutines (start).
type world struct {
	t      testing.TB
	engine *Engine
	loops  []*loop
	ids    atomic.Uint64
	links  sync.WaitGroup
	strict bool // whatever the engine calls looks whether its lock is free

	mu  sync.Mutex
	now time.Time
}

func newWorld(t testing.TB, loops int) *world { return newWorldOf(t, loops, nil) }

// newWorldOf is newWorld, as a node of a cluster.
func newWorldOf(t testing.TB, loops int, b core.Backplane) *world {
	w := &world{t: t, now: time.Unix(1_700_000_000, 0)}
	w.engine = newEngine(Options{Logger: slog.New(slog.DiscardHandler), Backplane: b}, w.clock)
	for i := range loops {
		l := &loop{index: i}
		l.posted.L = &l.mu
		w.loops = append(w.loops, l)
	}
	t.Cleanup(w.engine.Close)
	return w
}

// outside fails a strict test if the engine holds its lock.
func (w *world) outside(what string) {
	if !w.strict {
		return
	}
	w.t.Helper()
	if !w.engine.mu.TryLock() {
		w.t.Errorf("%s is called under the lock of the engine", what)
		return
	}
	w.engine.mu.Unlock()
}

func (w *world) clock() time.Time {
	w.outside("the clock")
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// pass lets time pass, with a look at the clock now and then.
func (w *world) pass(d time.Duration) {
	for d > 0 {
		step := min(d, time.Second)
		w.stand(step)
		d -= step
	}
	w.pump()
}

// stand lets time pass in which nobody looks at the clock.
func (w *world) stand(d time.Duration) {
	w.mu.Lock()
	w.now = w.now.Add(d)
	w.mu.Unlock()
	w.engine.expire()
}

// pump does what the loops have to do, until they have nothing left.
func (w *world) pump() {
	for again := true; again; {
		again = false
		for _, l := range w.loops {
			again = l.turn() || again
		}
	}
}

// loop is an event loop.
type loop struct {
	index int

	mu     sync.Mutex
	posted sync.Cond
	queue  []func()
	count  uint64 // how many were posted
	stop   bool
}

func (l *loop) post(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	l.queue = append(l.queue, f)
	l.posted.Broadcast()
}

// turn does what is posted. It reports whether there was something.
func (l *loop) turn() bool {
	l.mu.Lock()
	batch := l.queue
	l.queue = nil
	l.mu.Unlock()
	for _, f := range batch {
		f()
	}
	return len(batch) > 0
}

// await waits until something is posted.
func (l *loop) await() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.stop {
		l.posted.Wait()
	}
}

// run is the goroutine of a loop, until stop.
func (l *loop) run() {
	for {
		l.await()
		if !l.turn() {
			return
		}
	}
}

// site is an endpoint: core.Outlet and the endpoint's settings.
type site struct {
	*core.Endpoint
	w        *world
	stamps   atomic.Uint64
	delivers atomic.Int64
}

func (w *world) site(settings core.Endpoint) *site {
	settings.Stats = new(core.Stats)
	return &site{Endpoint: &settings, w: w}
}

func (s *site) Writable(core.Event) error { return nil }

func (s *site) NewAudience(loop int, as uint32) core.Audience {
	s.w.outside("Outlet.NewAudience")
	return &crowd{site: s, loop: s.w.loops[loop], as: as}
}

func (s *site) Deliver(ev core.Event, to []core.Audience, except core.Link) {
	s.w.outside("Outlet.Deliver")
	s.delivers.Add(1)
	ev = ev.Clone()
	stamp := s.stamps.Add(1)
	for _, a := range to {
		c := a.(*crowd)
		if c.site != s || c.as != ev.As {
			panic("delivered to an audience of another outlet or As")
		}
		c.loop.mu.Lock()
		c.loop.count++
		at := c.loop.count
		c.loop.queue = append(c.loop.queue, func() {
			for _, m := range c.members {
				if m.since < at && !same(m.link, except) && m.link.stamp != stamp {
					m.link.stamp = stamp
					m.link.Tell(ev)
				}
			}
		})
		c.loop.posted.Broadcast()
		c.loop.mu.Unlock()
	}
}

func same(l *link, except core.Link) bool { return except != nil && l.ID() == except.ID() }

// crowd is core.Audience.
type crowd struct {
	site    *site
	loop    *loop
	as      uint32
	members []crowdMember
}

type crowdMember struct {
	link  *link
	at    *core.Member
	since uint64
}

func (c *crowd) Add(l core.Link, m *core.Member) {
	c.site.w.outside("Audience.Add")
	own := asLink(l)
	if len(c.members) < 100 && slices.ContainsFunc(c.members, func(o crowdMember) bool { return o.link == own }) {
		panic("added twice")
	}
	c.loop.mu.Lock()
	since := c.loop.count
	c.loop.mu.Unlock()
	m.Index = len(c.members)
	c.members = append(c.members, crowdMember{own, m, since})
}

func asLink(l core.Link) *link {
	if s, ok := l.(silentLink); ok {
		return s.link
	}
	return l.(*link)
}

func (c *crowd) Remove(m *core.Member) {
	c.site.w.outside("Audience.Remove")
	last := len(c.members) - 1
	if c.members[m.Index].at != m {
		panic("removed what is not a member")
	}
	c.members[m.Index] = c.members[last]
	c.members[m.Index].at.Index = m.Index
	c.members = c.members[:last]
}

// link is a connection.
type link struct {
	id   uint64
	site *site
	loop *loop
	user *core.Identity
	peer core.Peer

	trace core.Trace

	// Owned by the loop.
	heard  []core.Event
	quiet  bool // hears, but does not remember
	onTell func(core.Event)
	held   int
	inbox  []core.Command
	closed []core.Reason
	room   int  // for requests; 0 is no bound
	ended  bool // posted functions are not run any more
	stamp  uint64
}

func (s *site) connect(loop int) *link {
	l := &link{id: s.w.ids.Add(1), site: s, loop: s.w.loops[loop]}
	l.peer = s.w.engine.Connect(l)
	return l
}

func (l *link) called(method string) *link {
	if l.site.w.strict {
		l.site.w.outside("Link." + method)
	}
	return l
}

func (l *link) ID() uint64               { return l.called("ID").id }
func (l *link) Endpoint() *core.Endpoint { return l.called("Endpoint").site.Endpoint }
func (l *link) Identity() *core.Identity { return l.called("Identity").user }
func (l *link) Outlet() core.Outlet      { return l.called("Outlet").site }
func (l *link) Trace() core.Trace        { return l.called("Trace").trace }
func (l *link) Info() any                { l.called("Info"); return nil }
func (l *link) OpenedAt() time.Time      { l.called("OpenedAt"); return time.Time{} }
func (l *link) Remote() string           { l.called("Remote"); return "192.0.2.1:9" }
func (l *link) Loop() int                { return l.called("Loop").loop.index }

func (l *link) Tell(ev core.Event) {
	l.called("Tell")
	if l.onTell != nil {
		l.onTell(ev)
	}
	if !l.quiet {
		l.heard = append(l.heard, ev.Clone())
	}
}

func (l *link) Hold() { l.called("Hold").held++ }

func (l *link) Release() {
	l.called("Release")
	l.held--
	for l.held == 0 && len(l.inbox) > 0 {
		c := l.inbox[0]
		l.inbox = l.inbox[1:]
		l.peer.Do(c)
	}
}

func (l *link) Send(ev core.Event) {
	ev = ev.Clone()
	l.Post(func() { l.Tell(ev) })
}

func (l *link) Admits(n int) bool { return l.called("Admits").room == 0 || n <= l.room }

func (l *link) Post(f func()) {
	l.called("Post")
	l.loop.post(func() {
		if !l.ended {
			f()
		}
	})
}

// Later does not wait for the loop: who calls it must not depend on when f runs.
func (l *link) Later(f func()) { go f() }

func (l *link) Close(r core.Reason) { l.Post(func() { l.closed = append(l.closed, r) }) }

// message is one client message with some commands, usually one. The bytes are
// overwritten afterwards, as the network does.
func (l *link) message(commands ...core.Command) {
	for _, c := range commands {
		if l.held > 0 {
			l.inbox = append(l.inbox, c.Clone())
			continue
		}
		l.direct(c)
	}
}

// direct is a command in the same message as the one before.
func (l *link) direct(c core.Command) {
	c = c.Clone()
	l.peer.Do(c)
	for _, b := range [][]byte{c.Ref, c.Topic, c.Channel, c.Payload.Data, c.Key} {
		for i := range b {
			b[i] = '!'
		}
	}
	for _, s := range c.Services {
		for i := range s {
			s[i] = '!'
		}
	}
}

// gone ends the connection. Nothing posted earlier is run any more if ended.
func (l *link) gone(ended bool) {
	l.ended = ended
	l.peer.Gone(core.ReasonLost)
}

// do sends one message, lets everything happen, and returns what the connection heard.
func (l *link) do(commands ...core.Command) string {
	l.message(commands...)
	l.site.w.pump()
	return l.said()
}

// settle lets the loops run until nothing holds l.
func (l *link) settle() {
	for l.site.w.pump(); l.held > 0; l.site.w.pump() {
		l.loop.await()
	}
}

// settled is settle, and returns what was heard since the last time.
func (l *link) settled() string {
	l.settle()
	return l.said()
}

// said returns what was heard since the last time.
func (l *link) said() string {
	var all []string
	for _, ev := range l.heard {
		all = append(all, describe(ev))
	}
	l.heard = nil
	return strings.Join(all, "; ")
}

// describe writes an event in a line, without call ids.
func describe(ev core.Event) string {
	var b strings.Builder
	b.WriteString(ev.Kind.String())
	switch ev.Kind {
	case core.Done, core.Failed, core.SessionOpened:
		b.WriteString(" " + ev.Verb.String())
	}
	if len(ev.Topic) > 0 {
		fmt.Fprintf(&b, " %s", ev.Topic)
	}
	if ev.As != 0 {
		fmt.Fprintf(&b, "@%d", ev.As)
	}
	if ev.Ref != nil {
		fmt.Fprintf(&b, " #%s", ev.Ref)
	}
	if ev.Payload.Kind != core.Absent {
		fmt.Fprintf(&b, " =%s", ev.Payload.Data)
	}
	if ev.Headers != nil {
		fmt.Fprintf(&b, " headers %s", ev.Headers)
	}
	if ev.Failure.Failed() {
		b.WriteString(" " + string(ev.Failure.Code))
	}
	if ev.OneWay {
		b.WriteString(" one-way")
	}
	if ev.Unheard {
		b.WriteString(" unheard")
	}
	return b.String()
}

// wants fails the test if got is not want.
func wants(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// wantCount fails the test if a counter is not as it should be.
func wantCount(t testing.TB, c *core.Counters, r core.Reason, want uint64) {
	t.Helper()
	if got := c[r].Load(); got != want {
		t.Errorf("counted %d of %s, want %d", got, r, want)
	}
}

// wantEmpty fails the test if the engine remembers anything.
func wantEmpty(t testing.TB, e *Engine) {
	t.Helper()
	e.mu.RLock()
	defer e.mu.RUnlock()
	if len(e.topics)+len(e.channels.byHash)+len(e.services) > 0 {
		t.Errorf("left: %d topics, %d channels, %d services", len(e.topics), len(e.channels.byHash), len(e.services))
	}
	if e.claims.root != nil {
		t.Error("left: claims")
	}
	for id, n := range e.nodes {
		if len(n.channels)+len(n.offers) > 0 {
			t.Errorf("left: %d channels and %d offers of node %s", len(n.channels), len(n.offers), id)
		}
	}
	if len(e.endpoints) == 0 && len(e.tries) > 0 {
		t.Errorf("left: %d tries without endpoints", len(e.tries))
	}
	for _, tr := range e.tries {
		if tr.size > 0 || !tr.root.empty() {
			t.Errorf("left: %d patterns under %q, root empty: %v", tr.size, tr.prefix, tr.root.empty())
		}
	}
	if n := e.calls.size(); n > 0 {
		t.Errorf("left: %d calls", n)
	}
	if n := e.calls.wheel.Len(); n > 0 {
		t.Errorf("left: the timers of %d calls", n)
	}
	if n := e.sessions.size(); n > 0 {
		t.Errorf("left: %d sessions with connections", n)
	}
}

func b(s string) []byte { return []byte(s) }

func text(s string) core.Payload { return core.Payload{Kind: core.Text, Data: b(s)} }

func sub(topic string) core.Command {
	return core.Command{Verb: core.Subscribe, Topic: b(topic)}
}

func subAs(topic string, as uint32) core.Command {
	return core.Command{Verb: core.Subscribe, Topic: b(topic), As: as}
}

func subPattern(pattern string) core.Command {
	return core.Command{Verb: core.Subscribe, Topic: b(pattern), Pattern: true}
}

func pub(topic, payload string) core.Command {
	return core.Command{Verb: core.Publish, Topic: b(topic), Payload: text(payload)}
}
