package client

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
)

const (
	// maxUnheard is how many bytes are read, or a little more, while something else is waited for.
	maxUnheard = 256 << 10
	// firstRetry and lastRetry are the first and the longest time after which a full socket is tried again: each
	// is twice as long as the one before.
	firstRetry, lastRetry = 2 * time.Millisecond, 128 * time.Millisecond
)

// hosted serves a connection on an event loop: it hears what is read, and says what is queued, in turns of the
// loop. The goroutine of connection.write does only what is due at times.
type hosted struct {
	// Static after construction.
	k    *connection
	seat core.Seat     // static after Seated
	gone chan struct{} // closed when nothing is heard or said any more

	serving atomic.Bool // orders may be said

	// Guarded by mu.
	mu       sync.Mutex
	out      []byte // frames to be written behind unsent
	turning  bool   // the loop looks at out once more
	waits    bool   // nothing is heard
	waited   bool   // what waits was set for is over
	unseated bool
	why      error // why it is unseated

	// Owned by the loop, and after Unseated by who ends the connection.
	unheard []byte // what was read meanwhile
	paused  bool

	// Owned by the loop.
	unsent   []byte // frames, of which the first bytes are sent
	sent     int
	pong     []byte        // a frame for when the socket is not full any more
	retry    *time.Timer   // nil until the socket was full
	since    time.Time     // when the socket was found full; zero if it is not
	pause    time.Duration // before the next retry
	begun    bool          // what comes before the queue is said
	restSaid bool          // what finish wants to be said is said
	byeSaid  bool
}

// host moves the connection into an event loop, with what came behind the upgrade.
func (k *connection) host(behind []byte) error {
	k.hosted = &hosted{k: k, gone: make(chan struct{}), unheard: behind}
	return k.client.options.Host(k.net, k.hosted)
}

// serve begins to say orders. It is called once.
func (h *hosted) serve() {
	h.serving.Store(true)
	h.k.client.queue.tell(h.seat.Ask)
}

// Seated hears what came behind the upgrade.
func (h *hosted) Seated(seat core.Seat) {
	h.seat = seat
	h.hearOn()
}

// Received hears what the server says, or keeps it until it may be heard.
func (h *hosted) Received(b []byte) {
	h.k.heard.Store(time.Now().UnixNano())
	if h.k.isDead() {
		return
	}
	if !h.waiting() {
		h.hear(b)
		return
	}
	if h.unheard = append(h.unheard, b...); len(h.unheard) > maxUnheard && !h.paused {
		h.paused = true
		h.seat.Pause()
	}
}

// hear hears what the server says, and begins to wait if somebody has to.
func (h *hosted) hear(b []byte) {
	err := h.k.frames.feed(b, h.k)
	wait := h.k.client.options.Lull()
	if wait == nil {
		if err != nil {
			h.k.fail(whyEnded(err))
		}
		return
	}
	h.mu.Lock()
	h.waits = true
	h.mu.Unlock()
	go func() {
		h.await(wait)
		if err != nil {
			h.k.fail(whyEnded(err))
		}
		h.mu.Lock()
		h.waited = true
		alone := h.unseated
		h.mu.Unlock()
		if alone {
			h.end()
		} else {
			h.seat.Ask()
		}
	}()
}

// await runs what may wait.
func (h *hosted) await(wait func()) {
	defer h.k.recovered()
	wait()
}

// waiting reports whether nothing is heard.
func (h *hosted) waiting() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waits
}

// hearOn hears what was read and not heard.
func (h *hosted) hearOn() {
	if b := h.unheard; len(b) > 0 {
		h.unheard = nil
		h.hear(b)
	}
	if h.paused && !h.waiting() {
		h.paused = false
		h.seat.Resume()
	}
}

// Unseated ends the connection, when all is heard that was read.
func (h *hosted) Unseated(why error) {
	if h.retry != nil {
		h.retry.Stop()
	}
	h.mu.Lock()
	h.unseated, h.why = true, why
	waits := h.waits && !h.waited
	h.mu.Unlock()
	if !waits { // else who waits ends it
		go h.end()
	}
}

// end ends the connection after Unseated. It may block.
func (h *hosted) end() {
	h.hearRest()
	h.k.fail(whyEnded(cmp.Or(h.why, io.EOF)))
	h.k.loseOutcomes()
	close(h.gone)
}

// hearRest hears what was read and not heard.
func (h *hosted) hearRest() {
	defer h.k.recovered()
	if len(h.unheard) > 0 && !h.k.isDead() {
		if err := h.k.frames.feed(h.unheard, h.k); err != nil {
			h.why = err
		}
	}
	h.k.lull()
}

// Turn goes on with what has waited, and says what is to be said.
func (h *hosted) Turn() {
	h.mu.Lock()
	h.turning = true
	goOn := h.waited
	if goOn {
		h.waits, h.waited = false, false
	}
	h.mu.Unlock()
	if goOn && !h.k.isDead() {
		h.hearOn()
	}
	for taken := false; h.flush() && (h.settle() || h.sayNext(&taken)); {
	}
	h.mu.Lock()
	h.turning = false
	more := len(h.out) > 0 && !h.full()
	h.mu.Unlock()
	switch {
	case h.k.isDead():
		h.seat.Close()
	case more:
		h.seat.Ask()
	}
}

// send has frames written in the next turn, or in this one.
func (h *hosted) send(frames []byte) bool {
	h.mu.Lock()
	ok, turning := !h.unseated && !h.k.isDead(), h.turning
	if ok {
		h.out = append(h.out, frames...)
	}
	h.mu.Unlock()
	if ok && !turning {
		h.seat.Ask()
	}
	return ok
}

// sayNext says what is to be said next; what is queued only once. It reports whether there was something.
func (h *hosted) sayNext(taken *bool) bool {
	k := h.k
	if !h.serving.Load() || k.isDead() {
		return false
	}
	var orders []*order
	switch ending := k.isEnding(); {
	case !h.begun:
		h.begun = true
		k.confirm(0)
		orders = k.restored()
	case ending && !h.restSaid:
		h.restSaid = true
		orders = k.takeRest()
	case ending && !h.byeSaid:
		h.byeSaid = true
		k.goodbye()
	case ending || *taken:
		return false
	default:
		if orders = k.client.queue.take(batch); len(orders) == 0 {
			return false
		}
		*taken = true
		k.said.Store(time.Now().UnixNano())
	}
	k.encode(orders)
	k.send(k.out)
	return true
}

// settle tells those whose outcome it is that what was said is written. It reports false if there are none.
func (h *hosted) settle() bool {
	if len(h.k.silent) == 0 {
		return false
	}
	h.k.settle()
	return true
}

// flush writes frames, and reports whether all are written.
func (h *hosted) flush() bool {
	for h.sent < len(h.unsent) || h.load() {
		n, err := h.seat.Write(h.unsent[h.sent:])
		h.sent += n
		if err == nil && h.sent < len(h.unsent) {
			err = h.retryLater(n > 0)
		} else {
			h.since = time.Time{}
		}
		if err != nil {
			h.k.fail(fmt.Errorf("writing to the server: %w", err))
			return false
		}
		if h.full() {
			return false
		}
	}
	return true
}

// load takes the frames that are to be written next, and reports whether there are any.
func (h *hosted) load() bool {
	if cap(h.unsent) > keptBuffer {
		h.unsent = nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unsent, h.out, h.sent = append(h.out, h.pong...), h.unsent[:0], 0
	h.pong = nil
	return len(h.unsent) > 0
}

// full reports whether the socket was full.
func (h *hosted) full() bool { return !h.since.IsZero() }

// retryLater has the full socket tried again later. The error is that it has been full for too long.
func (h *hosted) retryLater(some bool) error {
	now := time.Now()
	switch {
	case !h.full():
		h.since, h.pause = now, firstRetry
	case now.Sub(h.since) > writeTimeout:
		return os.ErrDeadlineExceeded
	case some:
		h.pause = firstRetry
	default:
		h.pause = min(2*h.pause, lastRetry)
	}
	if h.retry == nil {
		h.retry = time.AfterFunc(h.pause, h.seat.Ask)
	} else {
		h.retry.Reset(h.pause)
	}
	return nil
}
