package engine

import (
	"context"
	"fmt"

	"github.com/polywire/polywire/core"
)

// caller is core.Caller: the connection whose call a Go handler answers.
type caller struct {
	peer *peer
	ctx  context.Context // ends with the call
}

var _ core.Caller = caller{}

// Client is the connection as hooks know it. Any goroutine.
func (c caller) Client() core.Client { return core.NewClient(c.peer.link) }

// OpenSession makes a session and gives it to the connection. Off the loop.
func (c caller) OpenSession(info []byte) (core.Session, error) {
	p := c.peer
	if p.endpoint.Sessions == nil {
		return core.Session{}, refusedSessionsOff.Failure
	}
	s, err := p.endpoint.newSession(c.ctx, info)
	if err != nil {
		return core.Session{}, fmt.Errorf("creating session: %w", err)
	}
	r := refusedEnded
	p.onLoop(func() {
		if c.ctx.Err() != nil {
			return
		}
		if r = p.attach(s); !r.Failed() {
			p.visit.begin()
			p.link.Tell(core.Event{Kind: core.SessionOpened, Verb: core.OpenSession, Session: s})
		}
	})
	if r.Failed() {
		p.discard(s.Key)
		return core.Session{}, r.Failure
	}
	defer p.visit.end()
	p.engine.created().tell(c.ctx, p, s)
	return s, nil
}

// CloseSession ends the session of the connection. Off the loop.
func (c caller) CloseSession() error {
	p := c.peer
	if p.endpoint.Sessions == nil {
		return refusedSessionsOff.Failure
	}
	r, key := refusedEnded, ""
	p.onLoop(func() {
		if c.ctx.Err() == nil {
			r, key = refusal{}, p.endSession()
		}
	})
	if r.Failed() {
		return r.Failure
	}
	if key == "" {
		return nil
	}
	// That nobody waits for the answer does not take back that the session ended.
	if err := p.forgetSession(key); err != nil {
		return fmt.Errorf("deleting session: %w", err)
	}
	return nil
}
