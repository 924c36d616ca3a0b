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
	e := copyPool.Get().(*eventCopy)
	e.ev, e.memory = ev.CloneInto(e.memory)
	return e
}

// release gives the copy back; ev is not valid any more.
func (e *eventCopy) release() {
	e.ev = core.Event{}
	if cap(e.memory) > keepCopy {
		e.memory = nil
	}
	copyPool.Put(e)
}
