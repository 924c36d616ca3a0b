package network

import (
	"context"
	"errors"
	"fmt"
)

// While a mailbox is congested, senders wait for room; later ones queue after them as long as
// any wait. When no mailbox is congested, they continue in order, a few at a time. A sender
// that has waited gets an allowance: it may send one message in any case, and more until the
// allowance is spent, whatever the others do meanwhile; then it waits behind them. So a client
// that publishes to many without a pause does not block a client that sends only now and then,
// and nobody waits for ever.
const (
	// letInAtOnce is how many senders may have room without having begun to use it.
	letInAtOnce = 16
	// allowance is spent by receiving connections, KiB of messages, and one for each message.
	allowance = 512
	// remoteCost is the cost of a message whose real cost is unknown when it is read.
	remoteCost = allowance / 16
)

// wait reports whether the caller must wait for room. If so, then is called once, when it is
// the caller's turn. Any goroutine; then must not block.
func (s *Server) wait(then func()) bool {
	if !s.crowded() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.crowded() {
		return false
	}
	s.waiting = append(s.waiting, then)
	s.queued.Add(1)
	return true
}

// crowded reports whether a mailbox is congested, or a sender still waits because one was.
func (s *Server) crowded() bool { return s.congested.Load() > 0 || s.queued.Load() > 0 }

// Crowded reports whether WaitForRoom would wait now. Any goroutine.
func (s *Server) Crowded() bool { return s.crowded() }

// WaitForRoom waits until all mailboxes have room for what the caller publishes next, or
// until ctx or the loops end. Any goroutine except those of the loops.
func (s *Server) WaitForRoom(ctx context.Context) error {
	if !s.crowded() {
		return nil
	}
	room := make(chan struct{})
	if !s.wait(func() { close(room) }) {
		return nil
	}
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for room in a mailbox: %w", ctx.Err())
	case <-s.done:
		return errors.New("waiting for room in a mailbox: the event loops have ended")
	}
}

// letIn lets some of the waiting senders continue, if there is room. It is called in every turn.
func (l *loop) letIn() {
	s := l.server
	if s.queued.Load() == 0 || s.congested.Load() > 0 {
		return
	}
	s.mu.Lock()
	n := max(0, min(len(s.waiting), letInAtOnce-int(s.coming.Load())))
	some := s.waiting[:n:n]
	if s.waiting = s.waiting[n:]; len(s.waiting) == 0 {
		s.waiting = nil
	}
	rest := s.queued.Add(-int32(n))
	s.mu.Unlock()
	for i, then := range some {
		some[i] = nil
		then()
	}
	if rest > 0 {
		l.askLater(0)
	}
}

// awaitRoom holds the connection as long as it must wait for room.
func (c *conn) awaitRoom() {
	s := c.ep.server
	switch {
	case !s.crowded():
		c.allowance = 0
	case c.isOpen() && c.allowance == 0 && !c.in.holds.has(crowded) && s.wait(c.comeIn):
		c.hold(crowded)
	}
}

// comeIn ends a wait for room. Any goroutine.
func (c *conn) comeIn() {
	s := c.ep.server
	s.coming.Add(1)
	// Not Post, which does nothing if the connection has ended.
	c.loop.post(mail{fn: func() {
		defer s.coming.Add(-1)
		if c.state != ended {
			c.allowance = allowance
			// Others are let in as soon as this one does not count.
			c.releaseNow(crowded)
		}
	}})
}

// spendSince subtracts the cost of a message from the allowance: one, and what was spent since
// the count was before. This includes what others have published meanwhile, which is little.
func (c *conn) spendSince(before int64) { c.spend(1 + c.ep.server.spent.Load() - before) }

// spend subtracts the cost of a message from the allowance.
func (c *conn) spend(cost int64) {
	c.allowance = max(0, c.allowance-int32(min(cost, allowance)))
}
