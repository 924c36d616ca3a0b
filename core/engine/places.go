package engine

import "sync"

// places bounds how many do something at once, all together and for one connection: that
// has one at least as long as there are any, and further ones as long as it has less than
// three times as many as are free. So a connection alone has three quarters of them, or all
// if there are no more than three. Any goroutine.
type places struct {
	size int // static after construction

	// Guarded by mu.
	mu    sync.Mutex
	taken int
	of    map[*party]int // how many connections have
}

func newPlaces(size int) *places { return &places{size: size, of: make(map[*party]int)} }

// take takes a place for a connection, or for who is none (nil) and has no share. It reports
// false if there is none for it.
func (p *places) take(by *party) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	free := p.size - p.taken
	if free <= 0 {
		return false
	}
	if by != nil {
		if own := p.of[by]; own > 0 && own >= 3*free {
			return false
		}
		p.of[by]++
	}
	p.taken++
	return true
}

// give gives a place of by back.
func (p *places) give(by *party) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if by == nil {
		return
	}
	if p.of[by]--; p.of[by] == 0 {
		delete(p.of, by)
	}
}

// inUse returns how many places are taken.
func (p *places) inUse() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}
