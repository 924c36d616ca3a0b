package network

import (
	"sync"

	"github.com/polywire/polywire/core"
)

// keepLetter is the biggest piece of memory that goes back to the pool with a letter.
const keepLetter = 4 << 10

// letter is a copy of an event on its way to a connection. Whoever takes it out of the
// mailbox releases it.
type letter struct {
	ev     core.Event
	memory []byte // what the slices of ev point into
}

var letterPool = sync.Pool{New: func() any { return new(letter) }}

// newLetter copies ev.
func newLetter(ev core.Event) *letter {
	l := letterPool.Get().(*letter)
	l.ev, l.memory = ev.CloneInto(l.memory)
	return l
}

// release gives the letter back; ev is not valid any more.
func (l *letter) release() {
	l.ev = core.Event{}
	if cap(l.memory) > keepLetter {
		l.memory = nil
	}
	letterPool.Put(l)
}
