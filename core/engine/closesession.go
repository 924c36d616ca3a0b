package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/polywire/polywire/core"
)

// CloseSession ends a session in the name of the application: all its connections are
// told, and stores, which are those that may have it, forget it. The error is
// SessionUnknown if there is no such session, or that of a store; the connections have
// lost their session then all the same. Off the loops; any goroutine.
func (e *Engine) CloseSession(ctx context.Context, key string, stores ...core.SessionStore) error {
	all, mine := e.sessions.expel(key)
	if !mine {
		// Somebody else is ending it just now.
		return nil
	}
	defer e.sessions.ended(key)
	for _, p := range all {
		p.link.Post(func() { p.sessionEnded(key) })
	}
	known := len(all) > 0
	for _, store := range stores {
		_, err := store.Lookup(ctx, []byte(key))
		if f, ok := errors.AsType[core.Failure](err); ok && f.Code == core.SessionUnknown {
			continue
		}
		if err == nil {
			err = store.Delete(ctx, key)
		}
		if err != nil {
			return fmt.Errorf("deleting session: %w", err)
		}
		known = true
	}
	if !known {
		return refusedNoSession.Failure
	}
	e.sessionClosed(ctx, key)
	return nil
}

// AwaitSessions waits until the stores have forgotten the sessions that clients or handlers
// have closed, also those of connections that are gone. The error says that ctx ended
// before. Off the loops; any goroutine.
func (e *Engine) AwaitSessions(ctx context.Context) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for e.deleting.Load() > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for session stores: %d sessions to be forgotten: %w", e.deleting.Load(), ctx.Err())
		case <-ticker.C:
		}
	}
	return nil
}

// forgetSession has a store forget a session, whoever leaves in the meantime. The caller
// has counted it in e.deleting, before the connection could be gone.
func (e *Engine) forgetSession(store core.SessionStore, key string) error {
	defer e.deleting.Add(-1)
	return store.Delete(e.ctx, key)
}

// SessionClients returns the connections that have a session, or are about to join it,
// in no order. Any goroutine.
func (e *Engine) SessionClients(key string) []core.Client {
	var clients []core.Client
	for _, p := range e.sessions.of(key) {
		clients = append(clients, core.NewClient(p.link))
	}
	return clients
}

// ActiveSessions returns the number of sessions that have connections. Any goroutine.
func (e *Engine) ActiveSessions() int { return e.sessions.size() }
