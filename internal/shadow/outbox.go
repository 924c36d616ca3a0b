package shadow

import (
	"net"
	"sync"
	"sync/atomic"
)

// budget is what may wait for all connections together, in bytes. Any goroutine.
type budget struct{ left atomic.Int64 }

// take takes n bytes; false if there are not so many left.
func (b *budget) take(n int) bool {
	if b.left.Add(-int64(n)) >= 0 {
		return true
	}
	b.give(n)
	return false
}

func (b *budget) give(n int) { b.left.Add(int64(n)) }

// outbox holds what is still to be written to the shadow on one connection. Nobody who adds to it waits.
type outbox struct {
	max    int // static
	budget *budget
	wake   chan struct{} // of one; never closed

	// Guarded by mu.
	mu     sync.Mutex
	bytes  []byte
	ended  bool
	closed bool
}

func newOutbox(max int, b *budget) *outbox {
	return &outbox{max: max, budget: b, wake: make(chan struct{}, 1)}
}

// put adds bytes; false if there is no room for them.
func (o *outbox) put(b []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return true // nobody reads it any more
	}
	if len(o.bytes)+len(b) > o.max || !o.budget.take(len(b)) {
		return false
	}
	o.bytes = append(o.bytes, b...)
	o.signal()
	return true
}

// end ends the client's side in order when all was written.
func (o *outbox) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	o.signal()
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// close gives back what is left. Nothing more is kept.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.budget.give(len(o.bytes))
	o.bytes = nil
}

// write writes to conn until done is closed, the client's side has ended, or conn fails.
func (o *outbox) write(conn net.Conn, done <-chan struct{}) {
	var free []byte
	for {
		o.mu.Lock()
		next, ended := o.bytes, o.ended
		o.bytes, free = free[:0], nil
		o.mu.Unlock()
		if len(next) > 0 {
			_, err := conn.Write(next)
			o.budget.give(len(next))
			if err != nil {
				return
			}
		}
		if cap(next) <= 64<<10 {
			free = next
		}
		if len(next) > 0 {
			continue
		}
		if ended {
			if t, ok := conn.(interface{ CloseWrite() error }); ok {
				_ = t.CloseWrite()
			}
			return
		}
		select {
		case <-o.wake:
		case <-done:
			return
		}
	}
}
