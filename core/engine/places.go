package engine

import "sync/atomic"

// places bounds how many do something at once.
type places struct {
	size  int // static after construction
	taken atomic.Int64
}

func newPlaces(size int) *places { return &places{size: size} }

// take takes a place. It reports false if there is none.
func (p *places) take() bool {
	for {
		n := p.taken.Load()
		if n >= int64(p.size) {
			return false
		}
		if p.taken.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// give gives a place back.
func (p *places) give() { p.taken.Add(-1) }
