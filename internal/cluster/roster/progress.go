package roster

import (
	"context"
	"sync/atomic"
	"time"
)

// Progress counts what goes through a queue, in its order. The zero value is that of an empty one. Any
// goroutine.
type Progress struct{ begun, ended atomic.Uint64 }

// Begin notes that one more was put in.
func (p *Progress) Begin() { p.begun.Add(1) }

// End notes that n more have gone through, or were dropped.
func (p *Progress) End(n int) { p.ended.Add(uint64(n)) }

// Position returns how many were put in.
func (p *Progress) Position() uint64 { return p.begun.Load() }

// Await waits until what was put in up to a position has gone through. The error says that ctx ended
// before.
func (p *Progress) Await(ctx context.Context, position uint64) error {
	for p.ended.Load() < position {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}
