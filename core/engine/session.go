package engine

import (
	"context"
	"errors"
	"sync"

	"github.com/polywire/polywire/core"
)

// attachments counts the connections of each session. Sessions are told apart by
// their keys alone, so that endpoints may share a store; a place is taken before the
// store is asked, so that the bound cannot be passed and a session is not deleted
// under a connection that is about to join it. Any goroutine.
type attachments struct {
	// Guarded by mu.
	mu    sync.Mutex
	byKey map[string]*attached
}

// attached is a session that has connections, or is being deleted.
type attached struct {
	connections int
	ending      bool
}

func (t *attachments) init() { t.byKey = make(map[string]*attached) }

// join takes a place; limit 0 is no bound.
func (t *attachments) join(key string, limit int) refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.byKey[key]
	switch {
	case a == nil:
		a = new(attached)
		t.byKey[key] = a
	case a.ending:
		return refusedNoSession
	case limit > 0 && a.connections >= limit:
		return refusedSessionFull
	}
	a.connections++
	return refusal{}
}

// leave gives a place back. The session goes on.
func (t *attachments) leave(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.byKey[key]
	if a.connections--; a.connections == 0 {
		delete(t.byKey, key)
	}
}

// close gives a place back. It reports whether it was the last: then nobody can join
// until ended is called.
func (t *attachments) close(key string) (last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.byKey[key]
	a.connections--
	a.ending = a.connections == 0
	return a.ending
}

// ended forgets a session whose last place was closed.
func (t *attachments) ended(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byKey, key)
}

// openSession makes a session. One whose connection leaves before it is made stays in
// the store, as any session outlives its connections, though nobody knows its key.
func (p *peer) openSession(c core.Command) {
	store := p.endpoint.Sessions
	switch {
	case store == nil:
		p.refuse(c, refusedSessionsOff)
		return
	case p.more().session != "":
		p.refuse(c, refusedSessionExists)
		return
	}
	c = c.Clone()
	p.away(func(ctx context.Context) func() {
		s, err := store.Create(ctx, c.Payload.Data)
		return func() {
			if err != nil {
				p.refuse(c, p.storeFailed("creating session", err))
				return
			}
			if r := p.engine.sessions.join(s.Key, p.endpoint.MaxSessionConnections); r.Failed() {
				p.refuse(c, r)
				return
			}
			p.opened(c, s)
		}
	})
}

func (p *peer) restoreSession(c core.Command) {
	store := p.endpoint.Sessions
	if store == nil {
		p.refuse(c, refusedSessionsOff)
		return
	}
	c = c.Clone()
	x := p.more()
	key := string(c.Key)
	if key == "" {
		p.refuse(c, refusedNoSession)
		return
	}
	if key != x.session {
		if r := p.engine.sessions.join(key, p.endpoint.MaxSessionConnections); r.Failed() {
			p.refuse(c, r)
			return
		}
		x.joining = key
	}
	p.away(func(ctx context.Context) func() {
		s, err := store.Lookup(ctx, c.Key)
		return func() {
			if err != nil {
				if x.joining != "" {
					p.engine.sessions.leave(x.joining)
					x.joining = ""
				}
				p.refuse(c, p.storeFailed("looking up session", err))
				return
			}
			if x.joining != "" {
				if x.session != "" {
					p.engine.sessions.leave(x.session)
				}
				x.joining = ""
			}
			s.Key = key
			p.opened(c, s)
		}
	})
}

// opened notes and tells that the connection has the session, in which it has a place.
func (p *peer) opened(c core.Command, s core.Session) {
	p.extra.session = s.Key
	p.link.Tell(core.Event{Kind: core.SessionOpened, Verb: c.Verb, Ref: c.Ref, Session: s})
}

func (p *peer) closeSession(c core.Command) {
	store := p.endpoint.Sessions
	if store == nil {
		p.refuse(c, refusedSessionsOff)
		return
	}
	x := p.more()
	key := x.session
	x.session = ""
	if key == "" || !p.engine.sessions.close(key) {
		p.tellDone(c)
		return
	}
	c = c.Clone()
	p.away(func(context.Context) func() {
		defer p.engine.sessions.ended(key)
		// The client's leaving does not take back that it closed its session.
		err := store.Delete(p.engine.ctx, key)
		return func() {
			if err != nil {
				p.refuse(c, p.storeFailed("deleting session", err))
				return
			}
			p.tellDone(c)
		}
	})
}

// leaveSessions gives the places of a connection back that is gone.
func (p *peer) leaveSessions() {
	for _, key := range []string{p.extra.session, p.extra.joining} {
		if key != "" {
			p.engine.sessions.leave(key)
		}
	}
}

// storeFailed returns what a client is told of an error of its session store: the
// store's Failure, or no details.
func (p *peer) storeFailed(doing string, err error) refusal {
	if f, ok := errors.AsType[core.Failure](err); ok && f.Failed() {
		return refusalOf(f)
	}
	p.engine.log.Error("session store failed", "doing", doing, "endpoint", p.endpoint.Name, "conn", p.link.ID(), "error", err)
	return refusedInternal
}
