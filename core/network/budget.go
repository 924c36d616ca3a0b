package network

import (
	"math"
	"runtime/debug"
	"sync/atomic"
)

// The default of Options.OutboundBudget and of Options.InboundBudget: a quarter of the
// soft memory limit (GOMEMLIMIT), but at least minBudget; freeBudget without a limit.
const (
	freeBudget = 256 << 20
	minBudget  = 64 << 20
)

// What counts besides the encoded bytes.
const (
	// frameBytes is the memory of a frame without its buffer.
	frameBytes = 192
	// slotBytes is the memory of a place in a queue, with the room that append
	// leaves behind it.
	slotBytes = 16
)

// budget is memory that may be taken. That for output is taken by encoded frames: those
// in mailboxes and those that wait for clients. A frame counts once, as long as it lives,
// however many wait for it. That for input is described at inbound.
type budget struct {
	// Static after construction.
	limit int64

	// Atomic. least raises the limit, if it is more: so much may be used in any case.
	used, least atomic.Int64
}

// defaultBudget returns what a budget is that is not set.
func defaultBudget() int64 {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return freeBudget
	}
	return max(limit/4, minBudget)
}

// add counts n more bytes, or fewer. Nothing without a budget. Any goroutine.
func (b *budget) add(n int) {
	if b != nil && n != 0 {
		b.used.Add(int64(n))
	}
}

// over reports whether more is used than may be. Any goroutine.
func (b *budget) over() bool { return b.used.Load() > b.allowed() }

// allowed returns how much may be used. Any goroutine.
func (b *budget) allowed() int64 { return max(b.limit, b.least.Load()) }

// charge counts f against b until it is released, unless it is counted already. It
// is called by the one goroutine that has f, before others get it.
func (f *frame) charge(b *budget) {
	if f.budget != nil {
		return
	}
	f.budget, f.charged = b, frameBytes+max(cap(f.buf), len(f.bytes))
	b.add(f.charged)
}

// Outbound returns how much of the outbound budget is used, in bytes. Any goroutine.
func (s *Server) Outbound() int64 { return s.budget.used.Load() }

// OutboundBudget returns the outbound budget, in bytes. Any goroutine.
func (s *Server) OutboundBudget() int64 { return s.budget.limit }
