package events

import (
	"slices"
	"sync"

	"github.com/polywire/polywire/core"
)

// overhead is what an event counts in a queue, in bytes, beside its texts.
const overhead = 512

// waiting is an event in a queue.
type waiting struct {
	of     *core.Observation
	number uint64
}

// weight is what an event counts in a queue, in bytes.
func weight(o *core.Observation) int64 {
	n := overhead + len(o.Remote) + len(o.User) + len(o.Topic) + len(o.Channel) + len(o.Session) + len(o.Text)
	for _, name := range o.Services {
		n += len(name) + 16
	}
	return int64(n)
}

// queue are the events that wait for a sink. Any goroutine.
type queue struct {
	stats *core.SinkStats // static
	wake  chan struct{}   // capacity 1: there may be something to take

	// Guarded by mu.
	mu     sync.Mutex
	events []waiting // from first on
	first  int
	size   int64  // what the events weigh
	number uint64 // of the last event, dropped or not
	shut   bool   // nothing is taken in any more
}

// put appends an event, if it fits below limit. An event that does not has a number all the same, so that the receiver
// sees the gap.
func (q *queue) put(o *core.Observation, limit int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.number++
	w := weight(o)
	switch {
	case q.shut:
		q.stats.Dropped.Inc(core.ReasonDrain)
		return
	case q.size+w > limit:
		q.stats.Dropped.Inc(core.ReasonOverload)
		return
	}
	q.events = append(q.events, waiting{o, q.number})
	q.size += w
	q.count()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take removes the first events: up to n of them, and up to bytes, but at least one if there is one.
func (q *queue) take(n int, bytes int64) []waiting {
	q.mu.Lock()
	defer q.mu.Unlock()
	end := q.first
	for taken := int64(0); end < len(q.events) && end-q.first < n; end++ {
		w := weight(q.events[end].of)
		if taken += w; taken > bytes && end > q.first {
			break
		}
		q.size -= w
	}
	batch := slices.Clone(q.events[q.first:end])
	clear(q.events[q.first:end])
	q.first = end
	if q.first > len(q.events)/2 {
		q.events = slices.Delete(q.events, 0, q.first)
		q.first = 0
		if len(q.events) == 0 && cap(q.events) > 1024 {
			q.events = nil // what a storm has left behind
		}
	}
	q.count()
	return batch
}

// close makes the queue drop what comes from now on.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shut = true
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// waits reports whether something waits.
func (q *queue) waits() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.first < len(q.events)
}

// closed reports whether nothing waits and nothing comes any more.
func (q *queue) closed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.shut && q.first == len(q.events)
}

// count keeps the gauges. The caller holds mu.
func (q *queue) count() {
	q.stats.Queued.Store(int64(len(q.events) - q.first))
	q.stats.QueuedBytes.Store(q.size)
}
