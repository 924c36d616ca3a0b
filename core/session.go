package core

import (
	"context"
	"time"
)

// Session is a named identity that outlives its connections.
type Session struct {
	// Key names the session; whoever knows it can restore it.
	Key string
	// Created and LastLookup are as the session store has them.
	Created, LastLookup time.Time
	// Info is the application's data: JSON, nil if there is none.
	Info []byte
}

// SessionStore keeps sessions. Its methods may block, are never called on an
// event loop, and may be called from many goroutines at once.
type SessionStore interface {
	// Create stores a new session under key, made by [SessionKeys.New], and returns it.
	// The error is [ErrSessionTaken] if there is a session with this key already.
	// info is JSON or nil, and borrowed.
	Create(ctx context.Context, key string, info []byte) (Session, error)
	// Lookup finds a session by the key that a client sent, which may be any
	// bytes, and sets its last look-up to now; the returned LastLookup is the
	// previous one. The error is a [Failure] with SessionUnknown if there is none.
	Lookup(ctx context.Context, key []byte) (Session, error)
	// Delete removes a session, if there is one.
	Delete(ctx context.Context, key string) error
}
