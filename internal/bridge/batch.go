package bridge

import (
	"sync"

	"github.com/polywire/polywire/core"
)

// When a batch is full. If it cannot be handled then, it grows to what is read at once.
const (
	batchEvents = 64
	batchBytes  = 64 << 10
	// keptMemory is the biggest memory of an event, in bytes, that is kept for the next batch.
	keptMemory = 4 << 10
)

// batch is what an old server has said and is not handled yet.
type batch struct {
	// Guarded by mu, which is held while the batch is handled. Usually there is one goroutine: that of a
	// connection. One that has ended may still wait for room here when the next one begins.
	mu      sync.Mutex
	heard   []kept
	handled int // how many of heard
	bytes   int
}

// kept is an event, and the memory that has its bytes.
type kept struct {
	ev     core.Event
	memory []byte
}

// add adds a copy of an event, and reports whether the batch is to be handled now. The caller holds mu.
func (b *batch) add(ev core.Event) (full bool) {
	if len(b.heard) < cap(b.heard) {
		b.heard = b.heard[:len(b.heard)+1]
	} else {
		b.heard = append(b.heard, kept{})
	}
	k := &b.heard[len(b.heard)-1]
	k.ev, k.memory = ev.CloneInto(k.memory)
	b.bytes += len(k.memory)
	return len(b.heard) >= batchEvents || b.bytes >= batchBytes
}

// left returns how many events are not handled. The caller holds mu.
func (b *batch) left() int { return len(b.heard) - b.handled }

// empty removes all events. The caller holds mu.
func (b *batch) empty() {
	for i := range b.heard {
		k := &b.heard[i]
		if k.ev = (core.Event{}); cap(k.memory) > keptMemory {
			k.memory = nil
		}
	}
	b.heard, b.handled, b.bytes = b.heard[:0], 0, 0
}
