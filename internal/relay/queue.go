package relay

import (
	"net"
	"sync"
	"sync/atomic"
)

// Kind says what a piece is about.
type Kind uint8

// The kinds of pieces.
const (
	FromClient Kind = iota // bytes
	FromServer             // bytes
	ClientEnd              // the client has ended its side in order
	ClientReset
	ServerEnd
	ServerReset
	Unreached // the server cannot be reached; the data says why
	Overflow  // what follows on this connection was not queued
	Over      // nothing follows; the ends of both sides need not have been seen
)

// Server reports whether a piece is about the server's side.
func (k Kind) Server() bool { return k == FromServer || k == ServerEnd || k == ServerReset }

// Reset reports whether a piece is the end of a side by a reset.
func (k Kind) Reset() bool { return k == ClientReset || k == ServerReset }

// Connection is a connection that is passed on.
type Connection struct {
	// Client is the client's address; nil if it is not known.
	Client net.Addr
	// State is the watcher's own.
	State any

	ignored atomic.Bool
}

// Ignore keeps all further pieces of the connection out of the queue. Any goroutine.
func (c *Connection) Ignore() { c.ignored.Store(true) }

// Piece is something that was seen on a connection. Data is its own.
type Piece struct {
	Of   *Connection
	Kind Kind
	Data []byte
}

// pieceCost is what a piece costs beside its data, in bytes.
const pieceCost = 64

// Queue is between those who pass bytes on and the watcher. Nobody who adds to it waits. Its methods may be
// called from any goroutine.
type Queue struct {
	max  int           // static
	wake chan struct{} // of one; never closed

	closed atomic.Bool // set under mu

	// Guarded by mu.
	mu     sync.Mutex
	pieces []Piece
	bytes  int
}

// NewQueue returns a queue in which max bytes may wait.
func NewQueue(max int) *Queue { return &Queue{max: max, wake: make(chan struct{}, 1)} }

// Wake is sent to after something was added.
func (q *Queue) Wake() <-chan struct{} { return q.wake }

// Add queues a copy of data. Once there was no room for a connection, no more of it is queued: what
// follows a gap cannot be understood.
func (q *Queue) Add(c *Connection, k Kind, data []byte) {
	if c.ignored.Load() || q.closed.Load() {
		return
	}
	p := Piece{Of: c, Kind: k, Data: append([]byte(nil), data...)}
	q.mu.Lock()
	if q.closed.Load() || c.ignored.Load() {
		q.mu.Unlock()
		return
	}
	cost := len(data) + pieceCost
	if q.bytes+cost > q.max && len(data) > 0 {
		c.ignored.Store(true)
		p = Piece{Of: c, Kind: Overflow}
		cost = pieceCost
	}
	q.pieces = append(q.pieces, p)
	q.bytes += cost
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Take returns all that was queued. into is reused.
func (q *Queue) Take(into []Piece) []Piece {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(into)
	taken := q.pieces
	q.pieces, q.bytes = into[:0], 0
	return taken
}

// Close lets nothing in any more.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed.Store(true)
	q.mu.Unlock()
}
