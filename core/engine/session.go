package engine

import (
	"context"
	"errors"
	"log/slog"

	"github.com/polywire/polywire/core"
)

// openSession makes a session. If the connection leaves before it has the session, the
// session is deleted again, as nobody knows its key.
func (p *peer) openSession(c *core.Command) {
	switch {
	case p.endpoint.Sessions == nil:
		p.refuse(c, refusedSessionsOff)
		return
	case p.sessionKey() != "":
		p.refuse(c, refusedSessionExists)
		return
	}
	kept := c.Clone()
	p.offLoop(func(ctx context.Context, resume func(func()) bool) {
		s, err := p.endpoint.newSession(ctx, kept.Payload.Data)
		if err != nil {
			resume(func() { p.refuse(&kept, p.storeFailed("creating session", err)) })
			return
		}
		r := refusedEnded
		p.resumeWithHook(ctx, resume, p.engine.created(), s, func() bool {
			if r = p.attach(s); r.Failed() {
				p.refuse(&kept, r)
				return false
			}
			p.tellSession(&kept, s)
			return true
		})
		if r.Failed() {
			p.discard(s.Key)
		}
	})
}

// newSession makes a session in the endpoint's store. Off the loop.
func (ep *endpoint) newSession(ctx context.Context, info []byte) (core.Session, error) {
	if err := checkInfo(info); err != nil {
		return core.Session{}, err
	}
	key, err := ep.SessionKeys.New()
	if err != nil {
		return core.Session{}, err
	}
	s, err := ep.Sessions.Create(ctx, key, info)
	if err != nil {
		return core.Session{}, err
	}
	s.Key = key
	return s, nil
}

// checkInfo returns what is wrong with the information of a session.
func checkInfo(info []byte) error {
	if len(info) == 0 {
		return nil
	}
	return core.Payload{Kind: core.JSON, Data: info}.Check()
}

// attach gives the connection a session that was made for it. On the loop.
func (p *peer) attach(s core.Session) refusal {
	if p.leaving {
		return refusedLeaving
	}
	if p.sessionKey() != "" {
		return refusedSessionExists
	}
	if r := p.engine.sessions.join(s.Key, p, p.endpoint.MaxSessionConnections); r.Failed() {
		return r
	}
	p.session.Store(&s)
	return refusal{}
}

// discard deletes a session that was made for the connection and that it did not
// get. Off the loop.
func (p *peer) discard(key string) {
	// The connection's own context has ended, most likely.
	p.engine.deleting.Add(1)
	if err := p.engine.deleteFromStore(p.endpoint.Sessions, key); err != nil {
		p.engine.log.Error("deleting session that nobody got", append(p.attrs(), slog.Any("error", err))...)
	}
}

func (p *peer) restoreSession(c *core.Command) {
	store := p.endpoint.Sessions
	if store == nil {
		p.refuse(c, refusedSessionsOff)
		return
	}
	kept := c.Clone()
	x := p.ensureRare()
	key := string(kept.Key)
	if key == "" {
		p.refuse(&kept, refusedNoSession)
		return
	}
	// Before the application can find the connection by the session.
	p.watch()
	if key != p.sessionKey() {
		if r := p.engine.sessions.join(key, p, p.endpoint.MaxSessionConnections); r.Failed() {
			p.refuse(&kept, r)
			return
		}
		x.joining = key
	}
	joins := p.endpoint.shared != nil && x.joining != ""
	p.offLoop(func(ctx context.Context, resume func(func()) bool) {
		var s core.Session
		var err error
		if joins {
			s, err = p.endpoint.shared.Join(ctx, kept.Key, p.endpoint.MaxSessionConnections)
		} else {
			s, err = store.Lookup(ctx, kept.Key)
		}
		s.Key = key
		got := false
		p.resumeWithHook(ctx, resume, p.engine.restored(), s, func() bool {
			if r := p.restored(s, err); r.Failed() {
				p.refuse(&kept, r)
				return false
			}
			got = true
			p.tellSession(&kept, s)
			return true
		})
		if joins && err == nil && !got {
			p.endpoint.shared.Leave(key)
		}
	})
}

// restored gives the connection the session that was looked up, and in which it has a
// place, instead of the one it has. On the loop.
func (p *peer) restored(s core.Session, err error) refusal {
	x, key := p.rare, s.Key
	joined := x.joining != ""
	x.joining = ""
	if err == nil && p.engine.sessions.holds(key, p) {
		if has := p.sessionKey(); has != "" && has != key {
			p.leaveSession(has)
		}
		p.session.Store(&s)
		return refusal{}
	}
	if joined {
		p.engine.sessions.leave(key, p)
	}
	if err == nil {
		// A Go handler ended the session while it was looked up.
		return refusedNoSession
	}
	return p.storeFailed("looking up session", err)
}

// tellSession tells that the connection has the session.
func (p *peer) tellSession(c *core.Command, s core.Session) {
	p.noteSession(s, c.Verb == core.RestoreSession)
	p.link.Tell(core.Event{Kind: core.SessionOpened, Verb: c.Verb, Ref: c.Ref, Session: s})
}

func (p *peer) closeSession(c *core.Command) {
	if p.endpoint.Sessions == nil {
		p.refuse(c, refusedSessionsOff)
		return
	}
	key := p.sessionKey()
	p.session.Store(nil)
	if key == "" || !p.closePlace(key) {
		p.tellDone(c)
		return
	}
	kept := c.Clone()
	p.engine.deleting.Add(1)
	p.offLoop(func(_ context.Context, resume func(func()) bool) {
		// The session is closed even if the client leaves meanwhile.
		var err error
		if p.endpoint.shared != nil {
			err = p.closeShared(key)
		} else {
			err = p.deleteSession(key)
		}
		resume(func() {
			if err != nil {
				p.refuse(&kept, p.storeFailed("deleting session", err))
				return
			}
			p.tellDone(&kept)
		})
	})
}

// closePlace gives the place of the connection back, which closes its session. It reports whether
// the session may have to be deleted: it was the last place here, or others may be at other nodes.
func (p *peer) closePlace(key string) bool {
	if p.endpoint.shared != nil {
		return p.engine.sessions.leave(key, p)
	}
	return p.engine.sessions.close(key, p)
}

// closeShared gives the place in a session of all nodes back, and calls the hook if it was the last
// one. The caller has counted it in Engine.deleting. Off the loop.
func (p *peer) closeShared(key string) error {
	last, err := func() (bool, error) {
		defer p.engine.deleting.Add(-1)
		return p.endpoint.shared.Close(p.engine.ctx, key)
	}()
	if last {
		p.engine.noteSessionClosed(p, key)
		p.engine.sessionClosed(p.engine.ctx, key)
	}
	return err
}

// leaveSession gives the place of the connection in its session back.
func (p *peer) leaveSession(key string) {
	if p.engine.sessions.leave(key, p) && p.endpoint.shared != nil {
		p.endpoint.shared.Leave(key)
	}
}

// deleteSession deletes a session without connections from its store, and then calls the
// hook. The caller has counted it in Engine.deleting. Off the loop.
func (p *peer) deleteSession(key string) error {
	err := func() error {
		// Deferred, so that others can join the key again however the store ends.
		defer p.engine.sessions.ended(key)
		return p.engine.deleteFromStore(p.endpoint.Sessions, key)
	}()
	if err == nil {
		p.engine.noteSessionClosed(p, key)
		p.engine.sessionClosed(p.engine.ctx, key)
	}
	return err
}

// endSession takes the session of the connection away from all who have it. It
// returns the key, for the store and then attachments.ended, or nothing if there was
// no session. On the loop.
func (p *peer) endSession() (key string) {
	if key = p.sessionKey(); key == "" {
		return ""
	}
	all := p.engine.sessions.end(key, p)
	p.sessionEnded(key)
	for _, other := range all {
		if other != p {
			other.link.Post(func() { other.sessionEnded(key) })
		}
	}
	if all == nil {
		// Somebody else ended it at the same time, and does the rest.
		return ""
	}
	return key
}

// sessionEnded tells that the server closed the session, if it is the connection's.
// On the loop.
func (p *peer) sessionEnded(key string) {
	if p.gone || key == "" || p.sessionKey() != key {
		return
	}
	p.session.Store(nil)
	p.link.Tell(core.Event{Kind: core.SessionClosed})
}

// leaveSessions frees the places of a connection that leaves. p.session stays: who asks
// later learns what session it had.
func (p *peer) leaveSessions() {
	if key := p.sessionKey(); key != "" {
		p.leaveSession(key)
	}
	if p.rare != nil && p.rare.joining != "" {
		p.engine.sessions.leave(p.rare.joining, p)
		p.rare.joining = ""
	}
}

// storeFailed returns what a client is told of an error of its session store: the
// store's Failure, or no details.
func (p *peer) storeFailed(doing string, err error) refusal {
	if f, ok := errors.AsType[core.Failure](err); ok && f.Failed() {
		return refusalOf(f, core.ReasonInternal)
	}
	p.engine.log.Error("session store failed", append(p.attrs(slog.String("doing", doing)), slog.Any("error", err))...)
	return refusedInternal
}
