package engine

import (
	"context"
	"errors"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/sessions"
)

// guard is an authorizer that says what the test says.
type guard struct {
	asked chan core.Command
	say   chan core.Verdict
	ended chan error // gets the ctx's error if it ends first
}

func newGuard() *guard {
	return &guard{make(chan core.Command), make(chan core.Verdict), make(chan error, 1)}
}

func (g *guard) AuthorizeConnect(context.Context, core.Handshake) core.Verdict { return core.Allow }

func (g *guard) AuthorizeCommand(ctx context.Context, _ *core.Identity, c core.Command) core.Verdict {
	g.asked <- c
	select {
	case v := <-g.say:
		return v
	case <-ctx.Done():
		g.ended <- ctx.Err()
		return core.Unavailable
	}
}

// says lets the guard say v about the command of this topic.
func (g *guard) says(l *link, topic string, v core.Verdict) {
	l.site.w.t.Helper()
	wants(l.site.w.t, "asked about", string((<-g.asked).Topic), topic)
	wants(l.site.w.t, "told nothing yet", l.said(), "")
	g.say <- v
	l.loop.await()
	l.site.w.pump()
}

func TestAuthorize(t *testing.T) {
	w := newWorld(t, 1)
	g := newGuard()
	s := w.site(core.Endpoint{Authorizer: g, Sessions: sessions.NewMemory()})
	x := s.connect(0)

	x.message(core.Command{Verb: core.Subscribe, Topic: b("a"), As: 2, Ref: b("1")})
	x.direct(sub("b"))
	x.direct(core.Command{Verb: core.Ping, Ref: b("p")})
	x.message(sub("c"))
	g.says(x, "a", core.Allow)
	wants(t, "allowed", x.said(), "done subscribe a@2 #1")
	g.says(x, "b", core.Deny)
	wants(t, "denied, and what came behind", x.said(), "failed subscribe b denied; pong #p")
	wantCount(t, &s.Stats.Refused, core.ReasonDenied, 1)
	if x.held != 1 {
		t.Errorf("held %d times while a command is off the loop", x.held)
	}
	g.says(x, "c", core.Allow)
	wants(t, "the next message", x.said(), "done subscribe c")

	wants(t, "not asked", x.do(core.Command{Verb: core.Ping, As: 4}), "pong@4")
	x.message(openSession)
	g.says(x, "", core.Allow)
	x.settle()
	wants(t, "allowed, then the store", x.said(), "session_opened open_session #o")

	x.message(core.Command{Verb: core.None, Topic: b("n"), Source: b("s")})
	g.says(x, "n", core.Allow)
	wants(t, "nothing", x.said(), "")
	if x.held != 0 {
		t.Errorf("held %d times at the end", x.held)
	}
}

func TestAuthorizerUnavailable(t *testing.T) {
	w := newWorld(t, 1)
	g := newGuard()
	s := w.site(core.Endpoint{Authorizer: g})
	x := s.connect(0)
	x.message(sub("a"))
	x.direct(sub("b"))
	x.message(sub("c"))
	g.says(x, "a", core.Unavailable)
	wants(t, "told nothing", x.said(), "")
	if len(x.closed) != 1 || x.closed[0] != core.ReasonUnavailable {
		t.Errorf("closed: %v", x.closed)
	}
	if x.held == 0 || w.engine.Topics() != 0 {
		t.Errorf("held %d times, %d topics: a connection that is being closed does nothing more", x.held, w.engine.Topics())
	}
	x.gone(false)
	wantEmpty(t, w.engine)
}

// A connection that is gone is not asked about any more, and nothing is carried out
// for it, even if the network still runs what is posted.
func TestAuthorizeGone(t *testing.T) {
	w := newWorld(t, 1)
	g := newGuard()
	x := w.site(core.Endpoint{Authorizer: g}).connect(0)
	x.message(sub("a"))
	<-g.asked
	x.gone(false)
	if err := <-g.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ctx ended with %v", err)
	}
	x.loop.await()
	w.pump()
	wants(t, "told nothing", x.said(), "")
	wantEmpty(t, w.engine)
}

type panicky struct{ guard }

func (panicky) AuthorizeCommand(context.Context, *core.Identity, core.Command) core.Verdict {
	panic("secret")
}

func TestAuthorizerPanics(t *testing.T) {
	w := newWorld(t, 1)
	x := w.site(core.Endpoint{Authorizer: &panicky{}}).connect(0)
	x.message(sub("a"))
	x.loop.await()
	w.pump()
	if len(x.closed) != 1 || x.closed[0] != core.ReasonInternal {
		t.Errorf("closed: %v", x.closed)
	}
}

func TestLeave(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x := s.connect(0)
	wants(t, "an unknown verb", x.do(core.Command{Verb: core.Leave + 1}), "failed unknown invalid")
	wantCount(t, &s.Stats.Refused, core.ReasonUnknownType, 1)
	wants(t, "leave", x.do(core.Command{Verb: core.Leave}, sub("a")), "")
	if len(x.closed) != 1 || x.closed[0] != core.ReasonNormal || w.engine.Topics() != 0 {
		t.Errorf("closed %v, %d topics", x.closed, w.engine.Topics())
	}
}
