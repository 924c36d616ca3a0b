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

func (h *halfOpen) add(nc socket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open == nil {
		h.open = make(map[socket]struct{})
	}
	h.open[nc] = struct{}{}
}

func (h *halfOpen) remove(nc socket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, nc)
}

// interrupt ends all reads from these connections, and returns how many there are.
func (h *halfOpen) interrupt() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	for nc := range h.open {
		// The only error is a socket that is closed.
		_ = nc.SetReadDeadline(time.Unix(1, 0))
	}
	return len(h.open)
}

// endAll ends all of them, and returns when they have ended or ctx has. The doors have
// stopped.
func (h *halfOpen) endAll(ctx context.Context) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	// Repeatedly, because they set deadlines of their own.
	for h.interrupt() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
