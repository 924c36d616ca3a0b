package network

import (
	"errors"
	"slices"
	"sync/atomic"

	"github.com/polywire/polywire/core"
)

// windowShare divides the inbound budget: the histories of compressing clients may take
// that part of it.
const windowShare = 2

// inbound is the waiting input of a loop's connections: it waits for the rest of a message or
// of a TLS record, for its turn, or for an authorizer. Input that is used up when its
// callback ends is not counted.
type inbound struct {
	// Owned by the loop.
	waiting map[*conn]struct{} // those that have charged something

	// Atomic.
	largest atomic.Int64 // the most that one connection has charged
}

// errInbound ends a connection.
var errInbound = errors.New("too much input waits to be completed, and much of it is this client's")

// Inbound returns how much of the inbound budget is used, in bytes. Any goroutine.
func (s *Server) Inbound() int64 { return s.inbound.used.Load() }

// InboundBudget returns the inbound budget, in bytes. Any goroutine.
func (s *Server) InboundBudget() int64 { return s.inbound.allowed() }

// account charges the input of c that waits now. It is called after everything that may have
// changed it.
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

// inputMemory returns the memory of the waiting input.
func (c *conn) inputMemory() int {
	n := c.in.kept.memory() + int(c.in.deciding)
	if c.in.parser != nil {
		n += c.in.parser.memory()
	}
	if s := c.secure; s != nil {
		n += s.sealed.memory() + s.wire.memory()
	}
	return n
}

// dropInput drops the waiting input.
func (c *conn) dropInput() {
	c.in.kept, c.in.parser, c.in.deciding = pieces{}, nil, 0
	if c.secure != nil {
		c.secure.sealed = pieces{}
	}
}

// dropHistory releases the history of a connection that has ended.
func (c *conn) dropHistory() {
	if h := c.in.history; h != nil {
		s := c.loop.server
		s.inbound.add(-h.charged)
		s.windows.close(h)
		c.in.history = nil
	}
}

// askRelief asks all loops for relieveInput. l is the caller's loop.
func (s *Server) askRelief(l *loop) {
	for _, other := range s.loopList() {
		if other != l {
			other.kick()
		}
	}
	l.askLater(0)
}

// relieveInput is called in every turn. While more input waits than the budget allows, it ends
// the loop's connections with the most waiting input, the biggest first: those that have at
// least half as much as the biggest of all loops.
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

// measureInput finds the largest waiting input of one connection of the loop.
func (l *loop) measureInput() {
	largest := 0
	for c := range l.inbound.waiting {
		if c.isOpen() {
			largest = max(largest, c.in.charged)
		}
	}
	l.inbound.largest.Store(int64(largest))
}
