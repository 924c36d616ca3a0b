package core

import (
	"context"
	"errors"
)

// SharedSessions is a [SessionStore] that all nodes of a cluster have. It counts the connections
// that have a session, those of all nodes: each of them has a place in it, which the engine takes
// and gives back. What the cluster cannot decide fails with Unreachable, after some seconds.
//
// Create takes a place in the new session too. Lookup takes none. Delete is End.
//
// A session that somebody else has ended, at this node or at another one, has no places any more:
// [Cluster].SessionEnded says so, and what is given back after that does not count.
type SharedSessions interface {
	SessionStore
	// Join looks a session up, as Lookup, and takes a place in it. The error is a [Failure] with
	// SessionFull if there are limit already; 0 is no bound.
	Join(ctx context.Context, key []byte, limit int) (Session, error)
	// Leave gives a place back. Other nodes know of it a moment later. It does not block, and may
	// be called on an event loop.
	Leave(key string)
	// Close gives a place back and, if it was the last one in the cluster, deletes the session. If
	// that cannot be decided now it is decided later, as long as this node runs; the error says so.
	Close(ctx context.Context, key string) (last bool, err error)
	// End deletes a session and takes all its places away. It reports whether there was one. If it
	// fails although this node has places, it is done later, as Close.
	End(ctx context.Context, key string) (known bool, err error)
}

// ErrNoPlace is the error of [Places].Join if all places are taken.
var ErrNoPlace = errors.New("all places are taken")

// Places bounds how many connections of all nodes have something in common. Any goroutine.
type Places interface {
	// Join takes one of limit places of a name, which may be any text. The error is ErrNoPlace if
	// there is none; any other says that the cluster could not be asked, which takes some seconds
	// at most. Not on an event loop.
	Join(ctx context.Context, name string, limit int) error
	// Take takes a place whether there is one or not. It does not block.
	Take(name string)
	// Leave gives a place back that Join or Take has taken. Other nodes know of it a moment later.
	// It does not block.
	Leave(name string)
}
