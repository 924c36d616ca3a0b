package network

import (
	"context"
	"errors"
	"fmt"
)

// Who has something to say while a mailbox is congested waits for room, and so does, behind
// them, who comes as long as some wait. They go on in the order in which they came, a few at
// a time, as soon as no mailbox is congested. Whoever has waited has an allowance: it may say
// one message in any case, and more until it is spent, whatever the others do meanwhile;
// then it waits behind them. So a client that publishes to many without a pause does not keep
// out one that now and then has something to say, and nobody waits for ever.
const (
	// letInAtOnce is how many have room and have not begun to use it, at most.
	letInAtOnce = 16
	// allowance is for connections that messages go to, KiB of them, and one for each message.
	allowance = 512
	// remoteCost is what a message costs of which it is not known when it is read.
	remoteCost = allowance / 16
)

// wait reports whether one must wait for room, and has then called, once, when it is one's
// turn. Any goroutine; then must not block.
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

// crowded reports whether a mailbox is congested, or somebody still waits because one was.
func (s *Server) crowded() bool { return s.congested.Load() > 0 || s.queued.Load() > 0 }

// WaitForRoom waits until what the caller publishes then finds room in all mailboxes, or
// until ctx or the loops end. Any goroutine but those of the loops.
func (s *Server) WaitForRoom(ctx context.Context) error {
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

// letIn lets some go on who wait, if there is room. It is called in every turn.
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
	// Not Post, which does nothing for a connection that has ended.
	c.loop.post(mail{fn: func() {
		defer s.coming.Add(-1)
		if c.state != ended {
			c.allowance = allowance
			c.release(crowded)
			// Now, not when the turn ends: others are let in as soon as this one does not count.
			c.loop.readOn()
		}
	}})
}

// spendSince takes what a message has cost from the allowance: one, and what was spent since
// the count of before. What others have published meanwhile is counted too: it is little.
func (c *conn) spendSince(before int64) { c.spend(1 + c.ep.server.spent.Load() - before) }

// spend takes what a message has cost from the allowance.
func (c *conn) spend(cost int64) {
	c.allowance = max(0, c.allowance-int32(min(cost, allowance)))
}
