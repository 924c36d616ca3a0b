package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/sessions"
)

// notes are what hooks were told, in order.
type notes struct {
	mu   sync.Mutex
	all  []string
	more chan struct{}
}

func newNotes() *notes { return &notes{more: make(chan struct{}, 1000)} }

func (n *notes) add(format string, args ...any) {
	n.mu.Lock()
	n.all = append(n.all, fmt.Sprintf(format, args...))
	n.mu.Unlock()
	n.more <- struct{}{}
}

// await waits until something is noted, and lets the loops run in the meantime.
func (n *notes) await(w *world) { pumpUntil(w, n.more) }

// pumpUntil lets the loops run until something comes.
func pumpUntil(w *world, c <-chan struct{}) {
	coretest.Eventually(w.t, "what is awaited", func() bool {
		w.pump()
		select {
		case <-c:
			return true
		default:
			return false
		}
	})
}

// taken returns the notes since the last time.
func (n *notes) taken() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := strings.Join(n.all, "; ")
	n.all = nil
	return all
}

// allHooks note what they are told.
func allHooks(n *notes) core.Hooks {
	return core.Hooks{
		Connected:    func(_ context.Context, c core.Client) { n.add("connected %d", c.Connection) },
		Disconnected: func(c core.Client, r core.Reason) { n.add("disconnected %d %s", c.Connection, r) },
		SessionCreated: func(_ context.Context, c core.Client, s core.Session) {
			n.add("created %d %s", c.Connection, s.Info)
		},
		SessionRestored: func(_ context.Context, c core.Client, s core.Session) {
			n.add("restored %d %s", c.Connection, s.Info)
		},
		SessionClosed: func(context.Context, string) { n.add("closed") },
	}
}

func hooked(t *testing.T, loops int, h core.Hooks) *world {
	w := newWorld(t, loops)
	w.engine.hooks = h
	return w
}

func TestHooks(t *testing.T) {
	n := newNotes()
	w := hooked(t, 1, allHooks(n))
	keys := signing(w)
	s := w.site(core.Endpoint{Sessions: sessions.NewMemory()})
	x, y := s.connect(0), s.connect(0)
	x.settled()
	y.settled()
	got := strings.Split(n.taken(), "; ")
	slices.Sort(got)
	wants(t, "connect", strings.Join(got, "; "), "connected 1; connected 2")

	key := x.open()
	wants(t, "open", n.taken(), `created 1 {"u":1}`)
	x.elsewhere(openSession)
	x.elsewhere(restore("unknown"))
	wants(t, "what fails", n.taken(), "")
	wants(t, "join", y.elsewhere(restore(key)), "session_opened restore_session #r")
	wants(t, "join", n.taken(), `restored 2 {"u":1}`)
	y.elsewhere(closeSession)
	wants(t, "one leaves", n.taken(), "")
	x.elsewhere(closeSession)
	wants(t, "the last leaves", n.taken(), "closed")

	x.outcome("in")
	<-keys
	wants(t, "a handler opens", n.taken(), `created 1 {"u":1}`)
	x.outcome("out")
	wants(t, "a handler closes", n.taken(), "closed")

	n.drain()
	x.gone(false)
	n.await(w)
	wants(t, "leave", n.taken(), "disconnected 1 lost")
	y.gone(true)
	n.await(w)
	wants(t, "leave", n.taken(), "disconnected 2 lost")
	if err := w.engine.AwaitHooks(t.Context()); err != nil {
		t.Error(err)
	}
	wantEmpty(t, w.engine)
}

// drain forgets that something was noted.
func (n *notes) drain() {
	for len(n.more) > 0 {
		<-n.more
	}
}

// No message is carried out before Connected has returned, and Disconnected waits for
// it.
func TestConnectedHoldsTheConnection(t *testing.T) {
	n := newNotes()
	h := allHooks(n)
	entered, let := make(chan core.Client), make(chan struct{})
	h.Connected = func(ctx context.Context, c core.Client) {
		entered <- c
		<-let
		n.add("connected %d, left: %v", c.Connection, ctx.Err() != nil)
	}
	w := hooked(t, 1, h)
	s := w.site(core.Endpoint{Name: "e", Protocol: "p"})
	x := s.connect(0)
	x.direct(sub("of the endpoint"))
	c := <-entered
	if c.Connection != 1 || c.Endpoint != "e" || c.Protocol != "p" || c.Remote != x.Remote() {
		t.Errorf("told of %+v", c)
	}
	if err := c.Send("greeting", text("hello")); err != nil {
		t.Error(err)
	}
	wants(t, "while the hook runs", x.do(sub("a")), "message greeting =hello")
	let <- struct{}{}
	wants(t, "then", x.settled(), "done subscribe of the endpoint; done subscribe a")
	wants(t, "told", n.taken(), "connected 1, left: false")

	y := s.connect(0)
	<-entered
	n.drain()
	y.gone(false)
	select {
	case <-n.more:
		t.Errorf("told while Connected runs: %s", n.taken())
	case <-time.After(20 * time.Millisecond):
	}
	let <- struct{}{}
	n.await(w)
	n.await(w)
	wants(t, "told", n.taken(), "connected 2, left: true; disconnected 2 lost")
}

// While hooks do not get on, further connections wait, and those that leave are not
// told of.
func TestHooksAreBounded(t *testing.T) {
	n := newNotes()
	let := make(chan struct{})
	w := hooked(t, 1, core.Hooks{Disconnected: func(c core.Client, _ core.Reason) { <-let; n.add("%d", c.Connection) }})
	s := w.site(core.Endpoint{})
	for range maxHooks {
		x := s.connect(0)
		x.settled()
		x.gone(false)
	}
	coretest.Eventually(t, "all hooks block", func() bool { return len(w.engine.hooking) == maxHooks })
	waiting, leaving := s.connect(0), s.connect(0)
	wants(t, "while all hooks block", waiting.do(sub("a")), "")
	leaving.gone(false)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := w.engine.AwaitHooks(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("AwaitHooks: %v", err)
	}
	close(let)
	wants(t, "then", waiting.settled(), "done subscribe a")
	waiting.gone(false)
	if err := w.engine.AwaitHooks(t.Context()); err != nil {
		t.Error(err)
	}
	if told := strings.Split(n.taken(), "; "); len(told) != maxHooks+1 || slices.Contains(told, fmt.Sprint(leaving.id)) {
		t.Errorf("told of %d connections, %q", len(told), told)
	}
}

func TestHooksPanic(t *testing.T) {
	w := hooked(t, 1, core.Hooks{
		Connected:       func(context.Context, core.Client) { panic("connected") },
		Disconnected:    func(core.Client, core.Reason) { panic("disconnected") },
		SessionCreated:  func(context.Context, core.Client, core.Session) { panic("created") },
		SessionRestored: func(context.Context, core.Client, core.Session) { panic("restored") },
		SessionClosed:   func(context.Context, string) { panic("closed") },
	})
	x := w.site(core.Endpoint{Sessions: sessions.NewMemory()}).connect(0)
	wants(t, "after the panic", x.do(sub("a"))+x.settled(), "done subscribe a")
	x.elsewhere(restore(x.open()))
	wants(t, "after the panic", x.elsewhere(closeSession), "done close_session #c")
	x.gone(false)
	if err := w.engine.AwaitHooks(t.Context()); err != nil {
		t.Error(err)
	}
	if n := w.engine.Panics(); n != 5 || len(x.closed) > 0 {
		t.Errorf("counted %d panics, want 5; closed with %v", n, x.closed)
	}
}

func TestHear(t *testing.T) {
	w := newWorld(t, 1)
	n := newNotes()
	entered, let := make(chan struct{}), make(chan struct{})
	w.engine.Hear("chat/+", func(_ context.Context, c core.Invocation) (core.Payload, error) {
		n.add("%s %s from %d, one way: %v", c.Service, c.Payload.Data, c.Connection, c.OneWay)
		entered <- struct{}{}
		<-let
		_, err := c.Caller.OpenSession(nil)
		return text("ignored"), err
	})
	w.engine.Hear("fails", func(context.Context, core.Invocation) (core.Payload, error) { return core.Payload{}, errors.New("no") })
	w.engine.Hear("panics", func(context.Context, core.Invocation) (core.Payload, error) { panic("no") })
	s := w.site(core.Endpoint{TopicPrefix: "t/", Sessions: sessions.NewMemory()})
	x, y := s.connect(0), s.connect(0)
	wants(t, "subscribe", y.do(sub("chat/a")), "done subscribe chat/a")
	x.message(pub("chat/a", "1"))
	x.message(pub("chat/a", "2"))
	<-entered
	w.pump()
	wants(t, "it has gone out", y.said(), "message chat/a =1")
	wants(t, "it was told", x.said(), "done publish chat/a")
	let <- struct{}{}
	pumpUntil(w, entered)
	wants(t, "one after the other", n.taken(), "chat/a 1 from 1, one way: true; chat/a 2 from 1, one way: true")
	wants(t, "the session comes between", x.said(), "session_opened open_session; done publish chat/a")
	close(let)
	wants(t, "a second session", x.settled(), "")
	x.gone(false)

	z := s.connect(0)
	wants(t, "an error, a panic, and nobody", z.elsewhere(pub("fails", ""))+"; "+z.elsewhere(pub("panics", ""))+"; "+z.do(pub("else", "")),
		"done publish fails; done publish panics; done publish else unheard")
}

func TestCloseSession(t *testing.T) {
	n := newNotes()
	w := hooked(t, 2, core.Hooks{SessionClosed: func(_ context.Context, key string) { n.add("closed %s", key) }})
	store := sessions.NewMemory()
	s := w.site(core.Endpoint{Sessions: store})
	x, y := s.connect(0), s.connect(1)
	key := x.open()
	y.elsewhere(restore(key))
	if clients := w.engine.SessionClients(key); len(clients) != 2 || w.engine.ActiveSessions() != 1 {
		t.Errorf("the session has %d connections, there are %d sessions", len(clients), w.engine.ActiveSessions())
	}
	closeIt := func(what, key string, store core.SessionStore, want string) {
		t.Helper()
		wants(t, what, errCode(w.engine.CloseSession(t.Context(), key, sessions.NewMemory(), store)), want)
	}
	closeIt("close", key, store, "nil")
	w.pump()
	wants(t, "told", x.said()+"; "+y.said(), "session_closed; session_closed")
	wants(t, "told", n.taken(), "closed "+key)
	wants(t, "it cannot be joined", y.elsewhere(restore(key)), "failed restore_session #r session_unknown")
	closeIt("again", key, store, "session_unknown")
	closeIt("unknown", "", store, "session_unknown")
	wants(t, "told nothing", n.taken(), "")

	key = x.open()
	x.gone(false)
	closeIt("a session without connections", key, store, "nil")
	wants(t, "told", n.taken(), "closed "+key)

	key = y.open()
	closeIt("the store fails", key, failing{store}, "deleting session: disk")
	w.pump()
	wants(t, "told all the same", y.said(), "session_closed")
	if w.engine.SessionClients(key) != nil || w.engine.ActiveSessions() != 0 {
		t.Error("the session still has connections")
	}
	wants(t, "told nothing", n.taken(), "")
}

// failing is a store that cannot forget.
type failing struct{ core.SessionStore }

func (failing) Delete(context.Context, string) error { return errors.New("disk") }

func TestSessionKeys(t *testing.T) {
	w := newWorld(t, 1)
	keys := signing(w)
	next := func() (string, error) { return "fixed", nil }
	s := w.site(core.Endpoint{Sessions: sessions.NewMemory(), SessionKeys: func() (string, error) { return next() }})
	x, y := s.connect(0), s.connect(0)
	x.outcome("in")
	if key := <-keys; key != "fixed" {
		t.Errorf("the key is %q", key)
	}
	wants(t, "a key twice", y.outcome("in"), "done call in@7 #r; answer in@7 #r =creating session: "+core.ErrSessionTaken.Error())
	wants(t, "a key twice", y.elsewhere(openSession), "failed open_session #o internal")
	wants(t, "the first has its session", x.elsewhere(restore("fixed")), "session_opened restore_session #r")
	next = func() (string, error) { return "", nil }
	wants(t, "no key", y.elsewhere(openSession), "failed open_session #o internal")
	next = func() (string, error) { panic("no") }
	wants(t, "a panic", y.outcome("in"), "done call in@7 #r; failed call in@7 #r internal")
	wantCount(t, &s.Stats.Refused, core.ReasonInternal, 2)
}
