package engine

import (
	"context"
	"sync"
	"time"
)

// callContext is the context of a Go handler. Most handlers ask it for nothing, or only
// for Err: so what contexts are made of is made when it is asked for. Any goroutine.
type callContext struct {
	// Guarded by mu.
	mu     sync.Mutex
	whole  context.Context    // nil until it is asked for
	cancel context.CancelFunc // of whole
	ended  bool
}

var _ context.Context = (*callContext)(nil)

// Deadline, Done and Value are those of the context that is made for them. As Value is
// among them, contexts that are derived from c know it for one of the standard library's,
// and need no goroutine that waits for its end.
func (c *callContext) Deadline() (time.Time, bool) { return c.make().Deadline() }
func (c *callContext) Done() <-chan struct{}       { return c.make().Done() }
func (c *callContext) Value(key any) any           { return c.make().Value(key) }

// Err is Canceled when the call has ended.
func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.whole != nil:
		return c.whole.Err()
	case c.ended:
		return context.Canceled
	}
	return nil
}

// limit makes c end with parent, and after timeout. It comes before all else.
func (c *callContext) limit(parent context.Context, timeout time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.whole, c.cancel = context.WithTimeout(parent, timeout)
}

// make returns the context, made if need be.
func (c *callContext) make() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.whole == nil {
		c.whole, c.cancel = context.WithCancel(context.Background())
		if c.ended {
			c.cancel()
		}
	}
	return c.whole
}

// end ends c; a second time does nothing.
func (c *callContext) end() {
	c.mu.Lock()
	c.ended = true
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}
