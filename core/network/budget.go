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

// The memory that counts besides the encoded bytes.
const (
	// frameBytes is the memory of a frame without its buffer.
	frameBytes = 192
	// slotBytes is the memory of a slot in a queue, with the spare capacity that append
	// leaves.
	slotBytes = 16
)

// budget bounds memory. The output budget is used by encoded frames: those in mailboxes and
// those queued for clients. A frame counts once for its whole life, however many clients
// share it. The input budget is described at inbound.
type budget struct {
	// Static after construction.
	limit int64

	// Atomic. least raises the limit if it is higher: that much may be used in any case.
	used, least atomic.Int64
}

// defaultBudget returns the budget to use if none is set.
func defaultBudget() int64 {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return freeBudget
	}
	return max(limit/4, minBudget)
}

// add adds n bytes, which may be negative. It does nothing if b is nil. Any goroutine.
func (b *budget) add(n int) {
	if b != nil && n != 0 {
		b.used.Add(int64(n))
	}
}

// over reports whether more than the allowed memory is used. Any goroutine.
func (b *budget) over() bool { return b.used.Load() > b.allowed() }

// allowed returns how much may be used. Any goroutine.
func (b *budget) allowed() int64 { return max(b.limit, b.least.Load()) }

// charge counts f against b until f is released, unless it is counted already. It
// is called by the only goroutine that has f, before others get it.
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
