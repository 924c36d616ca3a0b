package redis

import "sync"

// about is what can be wrong; the first one that is wrong is told.
type about int

const (
	aboutName about = iota
	aboutEngine
	aboutPermissions
	aboutChannels
	aboutEnd
)

// health is what is wrong. Any goroutine.
type health struct {
	mu   sync.Mutex
	errs [aboutEnd]error
}

func (h *health) set(what about, err error) {
	h.mu.Lock()
	h.errs[what] = err
	h.mu.Unlock()
}

func (h *health) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, err := range h.errs {
		if err != nil {
			return err
		}
	}
	return nil
}
