package events

import (
	"crypto/rand"
	"sync/atomic"

	"github.com/polywire/polywire/core"
)

// Hub shows observations to the sinks in use. Any goroutine.
type Hub struct {
	// Static after construction.
	run  string // tells the events of this process from those of others
	node string

	// Atomic.
	sinks  atomic.Pointer[[]*Sink]
	topics atomic.Pointer[Topics] // nil if nothing is told on topics
	wanted atomic.Uint32          // moments, as bits, that some sink wants
	made   atomic.Uint64          // sinks so far
}

var _ core.Observer = (*Hub)(nil)

// NewHub returns a hub without sinks. node is the name of the broker in batches.
func NewHub(node string) *Hub {
	h := &Hub{run: rand.Text(), node: node}
	h.Use(nil, nil)
	return h
}

// Use makes these the sinks that are shown observations, and topics, which may be nil.
func (h *Hub) Use(sinks []*Sink, topics *Topics) {
	wanted := uint32(0)
	if topics != nil {
		wanted = 1<<core.NumMoments - 1
	}
	h.topics.Store(topics)
	for _, s := range sinks {
		wanted |= s.settings.Load().wanted
	}
	h.sinks.Store(&sinks)
	h.wanted.Store(wanted)
}

// Wants reports whether a sink wants a moment.
func (h *Hub) Wants(m core.Moment) bool { return h.wanted.Load()&(1<<m) != 0 }

// Observe puts an observation into the queues of the sinks that want it. It does not wait for them.
func (h *Hub) Observe(o *core.Observation) {
	for _, s := range *h.sinks.Load() {
		s.offer(o)
	}
	if t := h.topics.Load(); t != nil {
		t.queue.put(o, topicsQueue)
	}
}
