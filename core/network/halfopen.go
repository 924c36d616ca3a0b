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

// interrupt ends the waiting for what any of them sends, and returns how many there are.
func (h *halfOpen) interrupt() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	for nc := range h.open {
		// The only error is a socket that is closed.
		_ = nc.SetReadDeadline(time.Unix(1, 0))
	}
	return len(h.open)
}

// endAll has all of them end, and returns when they have, or ctx has. The doors have
// stopped.
func (h *halfOpen) endAll(ctx context.Context) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	// Again and again, as they set deadlines of their own on their way.
	for h.interrupt() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
