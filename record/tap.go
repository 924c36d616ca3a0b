package record

import (
	"sync"
	"sync/atomic"
)

// kind says what a piece is about.
type kind uint8

const (
	fromClient kind = iota // bytes
	fromServer             // bytes
	clientEnd              // the client has ended its side in order
	clientReset
	serverEnd
	serverReset
	unreached // the server cannot be reached; the data says why
	overflow  // what follows on this connection was not queued
)

// piece is something that was seen on a connection. data is its own.
type piece struct {
	of   *conversation
	kind kind
	data []byte
}

// pieceCost is what a piece costs beside its data, in bytes.
const pieceCost = 64

// tap is the queue between those who pass bytes on and the recorder. Nobody who adds to it waits.
type tap struct {
	max  int           // static
	wake chan struct{} // of one; never closed

	closed atomic.Bool // set under mu

	// Guarded by mu.
	mu     sync.Mutex
	pieces []piece
	bytes  int
}

func newTap(max int) *tap { return &tap{max: max, wake: make(chan struct{}, 1)} }

// add queues a copy of data. Once there was no room for a connection, no more of it is queued: what
// follows a gap cannot be understood.
func (t *tap) add(c *conversation, k kind, data []byte) {
	if c.ignored.Load() || t.closed.Load() {
		return
	}
	p := piece{of: c, kind: k, data: append([]byte(nil), data...)}
	t.mu.Lock()
	if t.closed.Load() || c.ignored.Load() {
		t.mu.Unlock()
		return
	}
	cost := len(data) + pieceCost
	if t.bytes+cost > t.max && len(data) > 0 {
		c.ignored.Store(true)
		p = piece{of: c, kind: overflow}
		cost = pieceCost
	}
	t.pieces = append(t.pieces, p)
	t.bytes += cost
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// take returns all that was queued. into is reused.
func (t *tap) take(into []piece) []piece {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(into)
	taken := t.pieces
	t.pieces, t.bytes = into[:0], 0
	return taken
}

// close lets nothing in any more.
func (t *tap) close() {
	t.mu.Lock()
	t.closed.Store(true)
	t.mu.Unlock()
}
