package engine

import (
	"context"
	"fmt"

	"github.com/polywire/polywire/core"
)

// handlerCaller is core.Caller: the connection whose call a Go handler answers.
type handlerCaller struct {
	peer *peer
	ctx  context.Context // ends with the call
}

var _ core.Caller = handlerCaller{}

// Client is the connection as hooks know it. Any goroutine.
func (c handlerCaller) Client() core.Client { return c.peer.client() }

// OpenSession makes a session and gives it to the connection. Off the loop.
func (c handlerCaller) OpenSession(info []byte) (core.Session, error) {
	return c.peer.openFor(c.ctx, info, refusedEnded)
}

// CloseSession ends the session of the connection. Off the loop.
func (c handlerCaller) CloseSession() error { return c.peer.closeFor(c.ctx, refusedEnded) }

// nobody is core.Caller where no connection calls: what a program or an HTTP client
// publishes is heard of.
type nobody struct{}

var _ core.Caller = nobody{}

func (nobody) Client() core.Client { return core.Client{} }

func (nobody) OpenSession([]byte) (core.Session, error) {
	return core.Session{}, refusedNobody.Failure
}

func (nobody) CloseSession() error { return refusedNobody.Failure }

// openFor makes a session in the name of the application and gives it to the connection.
// late is the refusal when ctx has ended. Off the loop.
func (p *peer) openFor(ctx context.Context, info []byte, late refusal) (core.Session, error) {
	if p.endpoint.Sessions == nil {
		return core.Session{}, refusedSessionsOff.Failure
	}
	switch {
	case ctx.Err() != nil:
		return core.Session{}, late.Failure
	case p.sessionKey() != "":
		return core.Session{}, refusedSessionExists.Failure
	}
	s, err := p.endpoint.newSession(ctx, info)
	if err != nil {
		return core.Session{}, fmt.Errorf("creating session: %w", err)
	}
	r := late
	p.onLoop(func() {
		if ctx.Err() != nil || p.leaving {
			return
		}
		if r = p.attach(s); !r.Failed() {
			p.visit.begin()
			p.noteSession(s, false)
			p.link.Tell(core.Event{Kind: core.SessionOpened, Verb: core.OpenSession, Session: s})
		}
	})
	if r.Failed() {
		p.discard(s.Key)
		return core.Session{}, r.Failure
	}
	defer p.visit.end()
	p.engine.created().tell(ctx, p, s)
	return s, nil
}

// closeFor ends the session of the connection in the name of the application. late is the
// refusal when ctx has ended. Off the loop.
func (p *peer) closeFor(ctx context.Context, late refusal) error {
	if p.endpoint.Sessions == nil {
		return refusedSessionsOff.Failure
	}
	r, key := late, ""
	p.onLoop(func() {
		if ctx.Err() != nil || p.leaving {
			return
		}
		if r, key = (refusal{}), p.endSession(); key != "" {
			p.engine.deleting.Add(1)
		}
	})
	if r.Failed() {
		return r.Failure
	}
	if key == "" {
		return nil
	}
	// The session has ended even if nobody waits for the answer any more.
	if err := p.deleteSession(key); err != nil {
		return fmt.Errorf("deleting session: %w", err)
	}
	return nil
}
