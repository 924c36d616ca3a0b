package network

import (
	"context"
	"sync"
	"time"
)

// halfOpen is the set of accepted connections that are not yet on a loop or with plain HTTP,
// or that are being told why they are turned away. Any goroutine.
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

// interrupt ends all reads from these connections, and returns how many there are.
func (g *halfOpen) interrupt() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	for nc := range g.open {
		// The only error is a socket that is closed.
		_ = nc.SetReadDeadline(time.Unix(1, 0))
	}
	return len(g.open)
}

// endAll ends all of them, and returns when they have ended or ctx has. The doors have
// stopped.
func (g *halfOpen) endAll(ctx context.Context) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	// Repeatedly, because they set deadlines of their own.
	for g.interrupt() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
