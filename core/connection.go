package core

import (
	"errors"
	"time"
)

// ErrNoConnection says that there is no connection of a number, or that it has ended.
var ErrNoConnection = errors.New("there is no such connection")

// ConnectionInfo is an open connection as an operator sees it.
type ConnectionInfo struct {
	ID                         uint64
	Endpoint, Protocol, Remote string
	User                       string // "" if the client was not authenticated, or its credential names nobody
	Opened                     time.Time
	Idle                       time.Duration // since its last message, to a tenth of a second
	Queued                     int           // bytes that wait to be written
	Held                       bool          // its messages wait: for an outcome, a hook, its rate, or room
	TLS, Compressed            bool
	Traffic                    Traffic       // since it was opened
	Recent                     Traffic       // in the time of RecentFor
	RecentFor                  time.Duration // since the look before the last one, or since it was opened
}

// Traffic is how many messages a connection has said and heard, and their payload bytes.
type Traffic struct {
	MessagesIn, BytesIn, MessagesOut, BytesOut uint64
}

// Sub returns how much more t is than an earlier u.
func (t Traffic) Sub(u Traffic) Traffic {
	return Traffic{t.MessagesIn - u.MessagesIn, t.BytesIn - u.BytesIn, t.MessagesOut - u.MessagesOut, t.BytesOut - u.BytesOut}
}

// ClosedConnection is a connection that has ended.
type ClosedConnection struct {
	ID                         uint64
	Endpoint, Protocol, Remote string
	User                       string // "" if the client was not authenticated, or its credential names nobody
	Opened, Closed             time.Time
	Reason                     Reason
}
