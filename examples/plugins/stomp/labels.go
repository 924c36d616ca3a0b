package main

import (
	"runtime"
	"sync"
	"weak"
)

// A message is encoded once for all subscribers with the same As. But MESSAGE frames
// name the subscription by the id that its client chose, so As numbers stand for these
// ids, together with what else makes a difference to the frame.

// look is what MESSAGE frames of a subscription have in common.
type look struct {
	id      string // of the subscription
	version version
	ack     bool // the frame has a header ack
}

// label is a look and its number. A pointer to it keeps the number in use: when the last
// subscription with the label is gone, the garbage collector removes it.
type label struct {
	look
	as uint32
}

// labels are the labels that are in use. Their number is bounded by that of the
// subscriptions. All methods may be called from any goroutine.
type labels struct {
	// Guarded by mu.
	mu     sync.Mutex
	last   uint32 // the last number given
	byLook map[look]weak.Pointer[label]
	byAs   map[uint32]weak.Pointer[label]
}

func newLabels() *labels {
	return &labels{byLook: make(map[look]weak.Pointer[label]), byAs: make(map[uint32]weak.Pointer[label])}
}

// of returns the label of l.
func (t *labels) of(l look) *label {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.byLook[l].Value(); known != nil {
		return known
	}
	// A number is reused only when all others were used: messages in flight under it must
	// not reach somebody else.
	for t.last++; t.taken(t.last); t.last++ {
	}
	made := &label{l, t.last}
	t.byLook[l], t.byAs[made.as] = weak.Make(made), weak.Make(made)
	runtime.AddCleanup(made, t.forget, *made)
	return made
}

// taken reports whether as cannot be assigned. The caller holds mu.
func (t *labels) taken(as uint32) bool {
	_, used := t.byAs[as]
	return used || as == 0
}

// at returns the label with a number; nil if nobody has it any more.
func (t *labels) at(as uint32) *label {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byAs[as].Value()
}

// forget removes a label that is gone, unless its look has got another number since.
func (t *labels) forget(gone label) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byAs, gone.as)
	if t.byLook[gone.look].Value() == nil {
		delete(t.byLook, gone.look)
	}
}
