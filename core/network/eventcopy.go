package network

import (
	"sync"

	"github.com/polywire/polywire/core"
)

// keepCopy is the biggest buffer that goes back to the pool with a copy.
const keepCopy = 4 << 10

// eventCopy is a copy of an event in flight to a connection. Whoever takes it out of the
// mailbox releases it.
type eventCopy struct {
	ev     core.Event
	memory []byte // what the slices of ev point into
}

var copyPool = sync.Pool{New: func() any { return new(eventCopy) }}

// copyEvent copies ev.
func copyEvent(ev core.Event) *eventCopy {
	l := copyPool.Get().(*eventCopy)
	l.ev, l.memory = ev.CloneInto(l.memory)
	return l
}

// release gives the copy back; ev is not valid any more.
func (l *eventCopy) release() {
	l.ev = core.Event{}
	if cap(l.memory) > keepCopy {
		l.memory = nil
	}
	copyPool.Put(l)
}
