package client

import (
	"sync"

	"github.com/polywire/polywire/core"
)

// refSize is the length of a Ref of the client: a number.
const refSize = 8

// order is a command and who waits for its outcome.
type order struct {
	cmd   core.Command  // owns its bytes
	flush bool          // it is a ping instead of cmd, of which only Ref counts
	ref   [refSize]byte // the bytes of its Ref, if it is new
	// done is told the outcome, once, by Client.tell: an event of the server (Answer, Done, …), an empty one if
	// the format has none, or an error. Any goroutine; it does not block.
	done func(core.Event, error)

	memory []byte // what cmd has its bytes in
	spare  bool   // nobody else has the order: it is used again when done was told
}

// keptMemory is the biggest memory of an order, in bytes, that is kept for the next one.
const keptMemory = 4 << 10

// copy makes cmd the command of the order.
func (o *order) copy(cmd core.Command) {
	cmd.Ref = nil
	o.cmd, o.memory = cmd.CloneInto(o.memory)
}

func (o *order) size() int {
	n := 256 + len(o.cmd.Topic) + len(o.cmd.Channel) + o.cmd.Payload.Size() + len(o.cmd.Headers) + len(o.cmd.Key)
	for _, names := range [...][][]byte{o.cmd.Services, o.cmd.Topics} {
		for _, s := range names {
			n += len(s)
		}
	}
	return n
}

// queue has the orders that wait to be said. Any goroutine.
type queue struct {
	// Static after construction.
	limit int           // bytes
	more  chan struct{} // holds an element if there may be orders and told is nil
	level *core.Level   // bytes counts in it

	// Guarded by mu.
	mu     sync.Mutex
	orders []*order
	bytes  int
	closed bool
	away   bool   // nothing is let in until open
	told   func() // is told that there may be orders; nil if it is more
}

func newQueue(limit int, away bool, level *core.Level) *queue {
	return &queue{limit: limit, more: make(chan struct{}, 1), away: away, level: level}
}

// add adds an order, unless there is no room or the queue is closed or shut. An order that is alone always has
// room.
func (q *queue) add(o *order) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := o.size()
	switch {
	case q.closed:
		return ErrClosed
	case q.away:
		return ErrAway
	case len(q.orders) > 0 && q.bytes+size > q.limit:
		return errFull
	}
	q.orders = append(q.orders, o)
	q.count(size)
	q.wake()
	return nil
}

// count counts bytes that wait now, or if there are less than none, that wait no more. The caller holds mu.
func (q *queue) count(bytes int) {
	q.bytes += bytes
	q.level.Add(int64(bytes))
}

func (q *queue) wake() {
	if q.told != nil {
		q.told()
		return
	}
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// take returns the orders, up to about so many bytes.
func (q *queue) take(bytes int) (taken []*order) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < len(q.orders) && (n == 0 || size < bytes) {
		size += q.orders[n].size()
		n++
	}
	q.count(-size)
	taken = q.orders[:n:n]
	q.orders = q.orders[n:]
	if len(q.orders) == 0 {
		q.orders = nil
	} else {
		q.wake()
	}
	return taken
}

// remove takes an order back. It reports false if it was taken already.
func (q *queue) remove(o *order) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, one := range q.orders {
		if one == o {
			q.orders = append(q.orders[:i:i], q.orders[i+1:]...)
			q.count(-o.size())
			return true
		}
	}
	return false
}

// tell makes who takes the orders be told of them; nil: by more.
func (q *queue) tell(told func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.told = told
	q.wake()
}

// open ends shut.
func (q *queue) open() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.away = false
}

// shut lets nothing in until open, and returns what was not said.
func (q *queue) shut() []*order {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.away = true
	return q.empty()
}

// close lets nothing in any more, and returns what was not said.
func (q *queue) close() []*order {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	return q.empty()
}

// empty takes all orders. The caller holds mu.
func (q *queue) empty() []*order {
	rest := q.orders
	q.orders = nil
	q.count(-q.bytes)
	return rest
}
