package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/sessions"
)

// elsewhere sends one message and waits until what it began off the loop is back.
func (l *link) elsewhere(c core.Command) string {
	l.message(c)
	return l.settled()
}

var (
	openSession  = core.Command{Verb: core.OpenSession, Ref: b("o"), Payload: core.Payload{Kind: core.JSON, Data: b(`{"u":1}`)}}
	closeSession = core.Command{Verb: core.CloseSession, Ref: b("c")}
)

func restore(key string) core.Command {
	return core.Command{Verb: core.RestoreSession, Ref: b("r"), Key: b(key)}
}

// open opens a session and returns its key.
func (l *link) open() string {
	l.message(openSession)
	l.settle()
	s := l.heard[0].Session
	if string(s.Info) != `{"u":1}` {
		l.site.w.t.Errorf("info is %q", s.Info)
	}
	wants(l.site.w.t, "open", l.said(), "session_opened open_session #o")
	return s.Key
}

func TestSessions(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{Sessions: sessions.NewMemory(), MaxSessionConnections: 2})
	x, y, z := s.connect(0), s.connect(0), s.connect(0)
	wants(t, "close without one", x.elsewhere(closeSession), "done close_session #c")
	key := x.open()
	wants(t, "a second", x.elsewhere(openSession), "failed open_session #o session_exists")
	wants(t, "join", y.elsewhere(restore(key)), "session_opened restore_session #r")
	wants(t, "one too many", z.elsewhere(restore(key)), "failed restore_session #r session_full")
	wants(t, "restore what it has", y.elsewhere(restore(key)), "session_opened restore_session #r")
	wants(t, "unknown", y.elsewhere(restore("no")), "failed restore_session #r session_unknown")
	wants(t, "no key", y.elsewhere(restore("")), "failed restore_session #r session_unknown")
	other := z.open()
	wants(t, "restoring replaces", y.elsewhere(restore(other)), "session_opened restore_session #r")
	wants(t, "room again, and a session of its own left", z.elsewhere(restore(key)), "session_opened restore_session #r")
	wants(t, "a session may be left by all", y.elsewhere(restore(key)), "failed restore_session #r session_full")

	wants(t, "close, not the last", x.elsewhere(closeSession), "done close_session #c")
	wants(t, "the others are told nothing", z.said(), "")
	z.gone(false)
	wants(t, "disconnecting does not end it", x.elsewhere(restore(key)), "session_opened restore_session #r")
	wants(t, "close, the last", x.elsewhere(closeSession), "done close_session #c")
	wants(t, "it is deleted", x.elsewhere(restore(key)), "failed restore_session #r session_unknown")
	y.gone(false)
	wants(t, "still there", x.elsewhere(restore(other)), "session_opened restore_session #r")
	x.gone(false)
	wantEmpty(t, w.engine)

	wantCount(t, &s.Stats.Refused, core.ReasonTaken, 1)
	wantCount(t, &s.Stats.Refused, core.ReasonOverload, 2)
	wantCount(t, &s.Stats.Refused, core.ReasonDenied, 3)
}

func TestSessionsOff(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x := s.connect(0)
	for _, c := range []core.Command{openSession, restore("k"), closeSession} {
		wants(t, "off", x.elsewhere(c), fmt.Sprintf("failed %v #%s sessions_off", c.Verb, c.Ref))
	}
	wantCount(t, &s.Stats.Refused, core.ReasonDenied, 3)
}

// gate is a session store whose every call waits until it is let through.
type gate struct {
	core.SessionStore
	entered chan string
	let     chan error
}

func newGate() *gate {
	return &gate{sessions.NewMemory(), make(chan string), make(chan error)}
}

func (g *gate) Create(ctx context.Context, key string, info []byte) (core.Session, error) {
	g.entered <- "create"
	if err := <-g.let; err != nil {
		return core.Session{}, err
	}
	return g.SessionStore.Create(ctx, key, info)
}

func (g *gate) Lookup(ctx context.Context, key []byte) (core.Session, error) {
	g.entered <- "lookup"
	if err := <-g.let; err != nil {
		return core.Session{}, err
	}
	return g.SessionStore.Lookup(ctx, key)
}

func (g *gate) Delete(ctx context.Context, key string) error {
	g.entered <- "delete"
	if err := <-g.let; err != nil {
		return err
	}
	return g.SessionStore.Delete(ctx, key)
}

// through lets the call that is waiting go on with err, and waits for l.
func (g *gate) through(l *link, err error) string {
	<-g.entered
	g.let <- err
	return l.settled()
}

// Two connections that restore at once do not pass the bound together, and a session
// is not deleted under one that is about to join.
func TestSessionRaces(t *testing.T) {
	w := newWorld(t, 3)
	g := newGate()
	s := w.site(core.Endpoint{Sessions: g, MaxSessionConnections: 2})
	x, y, z := s.connect(0), s.connect(1), s.connect(2)
	x.message(openSession)
	<-g.entered
	g.let <- nil
	x.loop.await()
	w.pump()
	key := x.heard[0].Session.Key
	x.said()

	y.message(restore(key))
	z.message(restore(key))
	wants(t, "the second at once", z.said(), "failed restore_session #r session_full")
	x.message(closeSession)
	wants(t, "not the last: another is joining", x.said(), "done close_session #c")
	wants(t, "the first", g.through(y, nil), "session_opened restore_session #r")

	y.message(closeSession)
	<-g.entered
	z.message(restore(key))
	wants(t, "while it is deleted", z.said(), "failed restore_session #r session_unknown")
	y.gone(false)
	g.let <- nil
	y.loop.await()
	w.pump()
	wants(t, "the closer is gone", y.said(), "")
	wantEmpty(t, w.engine)

	z.message(restore(key))
	wants(t, "deleted", g.through(z, nil), "failed restore_session #r session_unknown")

	z.message(restore("k"))
	<-g.entered
	z.gone(true)
	wantEmpty(t, w.engine)
	g.let <- nil
}

// A session whose connection leaves before it has it is deleted again, whether the
// network still runs what is posted or not.
func TestOrphanSession(t *testing.T) {
	for _, c := range []struct {
		name    string
		created bool // before the connection leaves
		ended   bool
	}{
		{"while it is made", false, false},
		{"while it is made, posts are not run any more", false, true},
		{"when it is made", true, false},
		{"when it is made, posts are not run any more", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 1)
			g := newGate()
			s := w.site(core.Endpoint{Sessions: g})
			x := s.connect(0)
			x.message(openSession)
			wants(t, "the store", <-g.entered, "create")
			if c.created {
				g.let <- nil
				x.loop.await()
				x.gone(c.ended)
			} else {
				x.gone(c.ended)
				g.let <- nil
			}
			wants(t, "the store", <-g.entered, "delete")
			g.let <- nil
			w.pump()
			wants(t, "told nothing", x.said(), "")
			wantEmpty(t, w.engine)
		})
	}
}

func TestSessionStoreFails(t *testing.T) {
	w := newWorld(t, 1)
	g := newGate()
	s := w.site(core.Endpoint{Sessions: g})
	x := s.connect(0)
	x.message(openSession)
	wants(t, "create", g.through(x, errors.New("secret")), "failed open_session #o internal")
	x.message(openSession)
	wants(t, "a failure is told", g.through(x, core.Failure{Code: core.Overloaded}), "failed open_session #o overloaded")
	x.message(restore("k"))
	wants(t, "lookup", g.through(x, errors.New("secret")), "failed restore_session #r internal")
	x.message(openSession)
	g.through(x, nil)
	x.message(closeSession)
	wants(t, "delete", g.through(x, errors.New("secret")), "failed close_session #c internal")
	wantCount(t, &s.Stats.Refused, core.ReasonInternal, 3)
	wantCount(t, &s.Stats.Refused, core.ReasonOverload, 1)
	wantEmpty(t, w.engine)
}

// slowStore is a store whose Delete waits.
type slowStore struct {
	core.SessionStore
	asked   chan struct{}
	proceed chan struct{}
}

func (s slowStore) Delete(ctx context.Context, key string) error {
	s.asked <- struct{}{}
	select {
	case <-s.proceed:
		return s.SessionStore.Delete(ctx, key)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A session that a client closed as its last word is forgotten by its store, although the
// client is gone and the engine is about to end.
func TestClosedSessionsAreAwaited(t *testing.T) {
	w := newWorld(t, 1)
	store := slowStore{sessions.NewMemory(), make(chan struct{}), make(chan struct{})}
	s := w.site(core.Endpoint{Sessions: store})
	x := s.connect(0)
	key := x.open()
	x.message(closeSession)
	<-store.asked
	w.engine.EndCalls()
	x.gone(true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.engine.AwaitSessions(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("while the store is asked: %v", err)
	}
	close(store.proceed)
	if err := w.engine.AwaitSessions(t.Context()); err != nil {
		t.Error(err)
	}
	w.engine.Close()
	if _, err := store.Lookup(t.Context(), []byte(key)); err == nil {
		t.Error("the session is there still")
	}
	w.pump()
	wantEmpty(t, w.engine)
}
