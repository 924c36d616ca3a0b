package network

import (
	"errors"
	"slices"
	"sync/atomic"

	"github.com/polywire/polywire/core"
)

// windowShare is the part of the inbound budget that the histories of compressing
// clients may become.
const windowShare = 2

// inbound is the input of a loop's connections that waits: for the rest of a message or
// of a TLS record, for its turn, or for what an authorizer says. What is done with when
// its callback ends is not counted.
type inbound struct {
	// Owned by the loop.
	waiting map[*conn]struct{} // those that have charged something

	// Atomic.
	largest atomic.Int64 // the most that one has charged
}

// errInbound ends a connection.
var errInbound = errors.New("too much input waits to be completed, and much of it is this client's")

// Inbound returns how much of the inbound budget is used, in bytes. Any goroutine.
func (s *Server) Inbound() int64 { return s.inbound.used.Load() }

// InboundBudget returns the inbound budget, in bytes. Any goroutine.
func (s *Server) InboundBudget() int64 { return s.inbound.allowed() }

// account charges what waits now of c's input. It is called at the end of whatever may
// have changed that.
func (c *conn) account() {
	if c.deaf() {
		c.dropInput()
	}
	l := c.loop
	budget := &l.server.inbound
	if h := c.in.history; h != nil && cap(h.past) != h.charged {
		budget.add(cap(h.past) - h.charged)
		h.charged = cap(h.past)
	}
	n := c.inputMemory()
	if n == c.in.charged {
		return
	}
	budget.add(n - c.in.charged)
	grows := n > c.in.charged
	c.in.charged = n
	if n == 0 {
		delete(l.inbound.waiting, c)
		return
	}
	l.inbound.waiting[c] = struct{}{}
	if int64(n) > l.inbound.largest.Load() {
		l.inbound.largest.Store(int64(n))
	}
	if grows && budget.over() {
		l.server.askRelief(l)
	}
}

// inputMemory returns how much memory waits.
func (c *conn) inputMemory() int {
	n := c.in.kept.memory() + c.in.deciding
	if c.in.parser != nil {
		n += c.in.parser.memory()
	}
	if s := c.secure; s != nil {
		n += s.sealed.memory() + s.wire.memory()
	}
	return n
}

// dropInput drops what waits.
func (c *conn) dropInput() {
	c.in.kept, c.in.parser, c.in.deciding = pieces{}, nil, 0
	if c.secure != nil {
		c.secure.sealed = pieces{}
	}
}

// dropHistory gives up the history of a connection that has ended.
func (c *conn) dropHistory() {
	if h := c.in.history; h != nil {
		s := c.loop.server
		s.inbound.add(-h.charged)
		s.windows.close(h)
		c.in.history = nil
	}
}

// askRelief asks all loops, of which this is one, for relieveInput.
func (s *Server) askRelief(l *loop) {
	for _, other := range s.loopList() {
		if other != l {
			other.kick()
		}
	}
	l.askLater(0)
}

// relieveInput is called in every turn. While more input waits than the budget lets, the
// connections of the loop for which most waits are ended: of those that have at least
// half of what the biggest of all loops has, the biggest first.
func (l *loop) relieveInput() {
	s := l.server
	if !s.inbound.over() {
		return
	}
	l.measureInput()
	most := int64(0)
	for _, other := range s.loopList() {
		most = max(most, other.inbound.largest.Load())
	}
	var biggest []*conn
	for c := range l.inbound.waiting {
		if c.isOpen() && int64(c.in.charged) >= most/2 {
			biggest = append(biggest, c)
		}
	}
	slices.SortFunc(biggest, func(a, b *conn) int { return b.in.charged - a.in.charged })
	for _, c := range biggest {
		if !s.inbound.over() {
			break
		}
		s.guard(c, func() { c.fail(core.ReasonOverload, errInbound) })
		c.account()
	}
	l.measureInput()
}

// measureInput looks for the most that waits for one connection of the loop.
func (l *loop) measureInput() {
	largest := 0
	for c := range l.inbound.waiting {
		if c.isOpen() {
			largest = max(largest, c.in.charged)
		}
	}
	l.inbound.largest.Store(int64(largest))
}
