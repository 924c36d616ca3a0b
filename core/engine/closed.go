package engine

import (
	"sync"

	"github.com/polywire/polywire/core"
)

// maxClosed is how many connections that have ended are remembered.
const maxClosed = 1000

// closedList is who has left last. Any goroutine.
type closedList struct {
	// Guarded by mu.
	mu    sync.Mutex
	last  []core.ClosedConnection // a ring once it is full
	count int                     // of all that were ever added
}

func (c *closedList) add(one core.ClosedConnection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.last) < maxClosed {
		c.last = append(c.last, one)
	} else {
		c.last[c.count%maxClosed] = one
	}
	c.count++
}

// Closed returns the connections that have ended last, up to a thousand, the last one first. The slice is the
// caller's. Any goroutine.
func (e *Engine) Closed() []core.ClosedConnection {
	c := &e.closed
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]core.ClosedConnection, 0, len(c.last))
	for i := range c.last {
		all = append(all, c.last[(c.count-1-i)%len(c.last)])
	}
	return all
}
