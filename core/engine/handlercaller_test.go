package engine

import (
	"context"
	"errors"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/sessions"
)

// errCode returns the code of a Failure, or the text of another error.
func errCode(err error) string {
	var f core.Failure
	switch {
	case err == nil:
		return "nil"
	case errors.As(err, &f):
		return string(f.Code)
	}
	return err.Error()
}

// signing registers "in", which opens a session, and "out", which closes it. Both
// answer with the code of what came of it; keys gets those of the sessions.
func signing(w *world) (keys chan string) {
	keys = make(chan string, 10)
	w.engine.Handle("in", func(_ context.Context, c core.Invocation) (core.Payload, error) {
		s, err := c.Caller.OpenSession(b(`{"u":1}`))
		keys <- s.Key
		return text(errCode(err)), nil
	})
	w.engine.Handle("out", func(_ context.Context, c core.Invocation) (core.Payload, error) {
		return text(errCode(c.Caller.CloseSession())), nil
	})
	return keys
}

// outcome calls a service and waits until the caller has heard the end of it. Unlike
// answered it lets the loops run while the handler does.
func (l *link) outcome(service string) string {
	l.message(ask(service, "q"))
	for {
		l.site.w.pump()
		for _, ev := range l.heard {
			if ev.Kind == core.Answer || ev.Kind == core.Failed {
				return l.said()
			}
		}
		l.loop.await()
	}
}

// A handler signs its caller in and out, and the client hears of it before the answer.
func TestHandlerSessions(t *testing.T) {
	w := newWorld(t, 2)
	store := sessions.NewMemory()
	s := w.site(core.Endpoint{Sessions: store, MaxSessionConnections: 2})
	keys := signing(w)
	x, y := s.connect(0), s.connect(1)
	wants(t, "out without one", x.outcome("out"), "done call out@7 #r; answer out@7 #r =nil")
	wants(t, "in", x.outcome("in"), "done call in@7 #r; session_opened open_session; answer in@7 #r =nil")
	key := <-keys
	wants(t, "in again", x.outcome("in"), "done call in@7 #r; answer in@7 #r =session_exists")
	<-keys
	if n := store.Len(); n != 1 {
		t.Errorf("%d sessions in the store, want 1", n)
	}
	wants(t, "it can be joined", y.elsewhere(restore(key)), "session_opened restore_session #r")
	wants(t, "out", x.outcome("out"), "done call out@7 #r; session_closed; answer out@7 #r =nil")
	w.pump()
	wants(t, "out, on all connections", y.said(), "session_closed")
	wants(t, "it cannot be joined", y.elsewhere(restore(key)), "failed restore_session #r session_unknown")
	wants(t, "there is none", y.elsewhere(closeSession), "done close_session #c")
	if store.Len() != 0 {
		t.Error("the session is still in the store")
	}
	wants(t, "room for another", y.outcome("in"), "done call in@7 #r; session_opened open_session; answer in@7 #r =nil")
	x.gone(false)
	y.gone(false)
	wantEmpty(t, w.engine)
}

func TestHandlerSessionsOff(t *testing.T) {
	w := newWorld(t, 1)
	signing(w)
	x := w.site(core.Endpoint{}).connect(0)
	wants(t, "in", x.outcome("in"), "done call in@7 #r; answer in@7 #r =sessions_off")
	wants(t, "out", x.outcome("out"), "done call out@7 #r; answer out@7 #r =sessions_off")
}

func TestHandlerSessionStoreFails(t *testing.T) {
	w := newWorld(t, 1)
	g := newGate()
	keys := signing(w)
	x := w.site(core.Endpoint{Sessions: g}).connect(0)
	stored := make(chan string)
	do := func(service string, err error, want string) {
		t.Helper()
		go func() { <-g.entered; g.let <- err; stored <- "" }()
		wants(t, service, x.outcome(service), want)
		<-stored
	}
	do("in", errors.New("secret"), "done call in@7 #r; answer in@7 #r =creating session: secret")
	do("in", nil, "done call in@7 #r; session_opened open_session; answer in@7 #r =nil")
	do("out", errors.New("secret"), "done call out@7 #r; session_closed; answer out@7 #r =deleting session: secret")
	if first := <-keys; first != "" {
		t.Errorf("a session %q that could not be made", first)
	}
	x.gone(false)
	wantEmpty(t, w.engine)
}

// A session whose connection left, or whose call has ended, before it had it is
// deleted again.
func TestHandlerSessionTooLate(t *testing.T) {
	for _, c := range []struct {
		name   string
		oneWay bool
		end    func(w *world, x *link)
		want   string
	}{
		{"the caller left", false, func(_ *world, x *link) { x.gone(false) }, ""},
		{"the caller left, posts are not run any more", false, func(_ *world, x *link) { x.gone(true) }, ""},
		{"one way, the caller left", true, func(_ *world, x *link) { x.gone(true) }, ""},
		{"timeout", false, func(w *world, _ *link) { w.pass(2 * defaultTimeout) }, "failed call in@7 #r timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 1)
			g := newGate()
			x := w.site(core.Endpoint{Sessions: g}).connect(0)
			outcome := make(chan error, 2)
			w.engine.Handle("in", func(_ context.Context, c core.Invocation) (core.Payload, error) {
				_, err := c.Caller.OpenSession(nil)
				outcome <- err
				outcome <- c.Caller.CloseSession()
				return core.Payload{}, nil
			})
			command := ask("in", "q")
			command.OneWay = c.oneWay
			x.do(command)
			x.said()
			wants(t, "the store", <-g.entered, "create")
			c.end(w, x)
			g.let <- nil
			// The loop runs while the goroutine waits for it.
			stop := make(chan struct{})
			go func() {
				wants(t, "the store", <-g.entered, "delete")
				g.let <- nil
				close(stop)
			}()
			for done := false; !done; {
				w.pump()
				select {
				case <-stop:
					done = true
				default:
				}
			}
			wants(t, "opening", errCode(<-outcome), "gone")
			for len(outcome) == 0 {
				w.pump()
			}
			wants(t, "closing", errCode(<-outcome), "gone")
			w.pump()
			wants(t, "told", x.said(), c.want)
			if n := g.SessionStore.(*sessions.Memory).Len(); n != 0 {
				t.Errorf("%d sessions are left in the store", n)
			}
			wantEmpty(t, w.engine)
		})
	}
}

// What the client and a handler do to the session of a connection at the same time.
func TestSessionOfTwoMinds(t *testing.T) {
	setup := func(t *testing.T) (*world, *gate, *link, *peer) {
		w := newWorld(t, 1)
		g := newGate()
		x := w.site(core.Endpoint{Sessions: g}).connect(0)
		x.message(openSession)
		g.through(x, nil)
		return w, g, x, x.peer.(*peer)
	}
	end := func(w *world, p *peer) {
		if key := p.endSession(); key != "" {
			w.engine.sessions.ended(key)
		}
	}
	t.Run("restored what is ended", func(t *testing.T) {
		w, g, x, p := setup(t)
		key := p.sessionKey()
		x.message(restore(key))
		<-g.entered
		end(w, p)
		g.let <- nil
		x.loop.await()
		w.pump()
		wants(t, "ended", x.said(), "session_closed; failed restore_session #r session_unknown")
		x.gone(false)
		wantEmpty(t, w.engine)
	})
	t.Run("joined what is ended", func(t *testing.T) {
		w, g, x, p := setup(t)
		y := x.site.connect(0)
		y.message(restore(p.sessionKey()))
		<-g.entered
		end(w, p)
		g.let <- nil
		y.loop.await()
		for y.held > 0 {
			w.pump()
		}
		wants(t, "ended", y.said(), "failed restore_session #r session_unknown")
		wants(t, "ended", x.said(), "session_closed")
		wantEmpty(t, w.engine)
	})
	t.Run("joined while it is deleted", func(t *testing.T) {
		w, _, x, p := setup(t)
		key := p.endSession()
		wants(t, "ended", x.said(), "session_closed")
		wants(t, "too late", x.do(restore(key)), "failed restore_session #r session_unknown")
		w.engine.sessions.ended(key)
		wantEmpty(t, w.engine)
	})
	t.Run("opened twice", func(t *testing.T) {
		w := newWorld(t, 1)
		g := newGate()
		x := w.site(core.Endpoint{Sessions: g}).connect(0)
		x.message(openSession)
		<-g.entered
		if r := x.peer.(*peer).attach(core.Session{Key: "handler's"}); r.Failed() {
			t.Fatal(r)
		}
		g.let <- nil
		x.settle()
		wants(t, "the second", x.said(), "failed open_session #o session_exists")
		wants(t, "the second is discarded", <-g.entered, "delete")
		g.let <- nil
		x.gone(false)
		wantEmpty(t, w.engine)
	})
	t.Run("ended twice", func(t *testing.T) {
		w, g, x, p := setup(t)
		y := x.site.connect(0)
		y.message(restore(p.sessionKey()))
		wants(t, "join", g.through(y, nil), "session_opened restore_session #r")
		end(w, p)
		// y has not heard of it yet.
		if key := y.peer.(*peer).endSession(); key != "" {
			t.Error("ended twice")
		}
		w.pump()
		wants(t, "once", y.said(), "session_closed")
		wants(t, "closed by the client then", y.elsewhere(closeSession), "done close_session #c")
		wantEmpty(t, w.engine)
	})
	t.Run("closed by the client before it heard", func(t *testing.T) {
		w, g, x, p := setup(t)
		y := x.site.connect(0)
		y.message(restore(p.sessionKey()))
		g.through(y, nil)
		end(w, p)
		y.peer.Do(closeSession)
		w.pump()
		wants(t, "done", y.said(), "done close_session #c")
		x.gone(false)
		y.gone(false)
		wantEmpty(t, w.engine)
	})
}
