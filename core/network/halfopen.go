package network

import (
	"context"
	"sync"
	"time"
)

// halfOpen are the connections that were accepted and have not found their place yet, at a
// loop or among those of plain HTTP, or are being told why there is none. Any goroutine.
type halfOpen struct {
	mu   sync.Mutex
	open map[socket]struct{} // guarded by mu
}

func (g *halfOpen) add(nc socket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = make(map[socket]struct{})
	}
	g.open[nc] = struct{}{}
}

func (g *halfOpen) remove(nc socket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, nc)
}

// interrupt ends the waiting for what any of them sends, and returns how many there are.
func (g *halfOpen) interrupt() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	for nc := range g.open {
		// The only error is a socket that is closed.
		_ = nc.SetReadDeadline(time.Unix(1, 0))
	}
	return len(g.open)
}

// endAll has all of them end, and returns when they have, or ctx has. The doors have
// stopped.
func (g *halfOpen) endAll(ctx context.Context) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	// Again and again, as they set deadlines of their own on their way.
	for g.interrupt() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
