package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/polywire/polywire/core"
)

// CloseSession ends a session in the name of the application: all its connections are
// told, and it is deleted from stores, which are all that may have it. The error is
// SessionUnknown if there is no such session, or that of a store; the connections here have
// lost their session even then. Off the loops; any goroutine.
func (e *Engine) CloseSession(ctx context.Context, key string, stores ...core.SessionStore) error {
	all, mine := e.sessions.expel(key)
	if !mine {
		// Somebody else is ending it just now.
		return nil
	}
	for _, p := range all {
		p.link.Post(func() { p.sessionEnded(key) })
	}
	known, err := e.deleteFrom(ctx, key, stores)
	switch {
	case err != nil:
		return fmt.Errorf("deleting session: %w", err)
	case !known && len(all) == 0:
		return refusedNoSession.Failure
	}
	e.noteSessionClosed(nil, key)
	e.sessionClosed(ctx, key)
	return nil
}

// deleteFrom deletes a session without connections from all stores, and reports whether one
// knew it. Others can join the key again however that ends.
func (e *Engine) deleteFrom(ctx context.Context, key string, stores []core.SessionStore) (known bool, err error) {
	defer e.sessions.ended(key)
	for _, store := range stores {
		here, err := end(ctx, key, store)
		if err != nil {
			return false, err
		}
		known = known || here
	}
	return known, nil
}

// end deletes a session from a store, and reports whether it was there.
func end(ctx context.Context, key string, store core.SessionStore) (known bool, err error) {
	if shared, ok := store.(core.SharedSessions); ok {
		return shared.End(ctx, key)
	}
	_, err = store.Lookup(ctx, []byte(key))
	if f, ok := errors.AsType[core.Failure](err); ok && f.Code == core.SessionUnknown {
		return false, nil
	}
	if err == nil {
		err = store.Delete(ctx, key)
	}
	return err == nil, err
}

// AwaitSessions waits until the sessions that clients or handlers have closed are deleted
// from their stores, also those of connections that are gone. The error says that ctx ended
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

// deleteFromStore deletes a session from its store, whoever leaves meanwhile. The caller has
// counted it in e.deleting, before the connection could be gone.
func (e *Engine) deleteFromStore(store core.SessionStore, key string) error {
	defer e.deleting.Add(-1)
	return store.Delete(e.ctx, key)
}

// SessionClients returns the connections here that have a session, or are about to join it,
// in no order. Any goroutine.
func (e *Engine) SessionClients(key string) []core.Client {
	var clients []core.Client
	for _, p := range e.sessions.of(key) {
		clients = append(clients, p.client())
	}
	return clients
}

// ActiveSessions returns the number of sessions that have connections here. Any goroutine.
func (e *Engine) ActiveSessions() int { return e.sessions.size() }
