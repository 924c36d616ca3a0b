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
}

// ClosedConnection is a connection that has ended.
type ClosedConnection struct {
	ID                         uint64
	Endpoint, Protocol, Remote string
	User                       string // "" if the client was not authenticated, or its credential names nobody
	Opened, Closed             time.Time
	Reason                     Reason
}
