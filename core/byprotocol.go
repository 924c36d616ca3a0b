package core

import (
	"maps"
	"sync"
)

// ByProtocol is one counter for each wire format. It is for what happens rarely. The zero value is
// ready. Any goroutine.
type ByProtocol struct {
	// Guarded by mu.
	mu     sync.Mutex
	counts map[string]uint64
}

// Inc adds one for a format.
func (b *ByProtocol) Inc(protocol string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.counts == nil {
		b.counts = make(map[string]uint64)
	}
	b.counts[protocol]++
}

// All returns all counts. The map is the caller's own.
func (b *ByProtocol) All() map[string]uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.counts)
}
