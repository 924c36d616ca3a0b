package engine

import (
	"sync"
	"sync/atomic"

	"github.com/polywire/polywire/core"
)

// task is a call that a Go handler is to answer.
type task struct {
	by       *registered
	in       core.Invocation
	call     *call
	answerer *handlerAnswerer
}

// workers run the Go handlers. Whenever a task waits, a worker is about to start, so no
// handler waits for another one that blocks; a worker goes on with the next task as long as
// there is one. A goroutine started for each call, in the middle of a loop's turn, and the
// loop would take the processor from each other call by call: so a worker starts when the
// loop has read all its sockets, and finds the calls of the turn together.
//
// An idle worker waits for a while before it ends, because a new goroutine begins with a
// small stack that has to grow first.
type workers struct {
	// Static after construction.
	do    func(*task)
	calls chan core.Link  // wakes a waiting worker for the tasks near a connection; nil ends it
	ended <-chan struct{} // closed when no worker is to wait any more

	// Atomic.
	waiting atomic.Int32 // workers that wait
	used    atomic.Bool  // since retireIdle was called

	// Guarded by mu.
	mu     sync.Mutex
	queue  []*task // as many as there are places for handlers, at most
	next   int     // in queue; what is before it is taken
	coming bool    // a worker is about to start
}

// maxWaiting is how many workers wait for work at most.
const maxWaiting = 8

// init makes w ready: do does a task, and no worker waits when ended is closed.
func (w *workers) init(do func(*task), ended <-chan struct{}) {
	w.do, w.ended = do, ended
	w.calls = make(chan core.Link)
}

// add has a worker do t. near is the connection that t is for. Any goroutine.
func (w *workers) add(near core.Link, t *task) {
	if w.put(t) {
		w.send(near)
	}
}

// send starts the worker that is coming, or wakes one that waits.
func (w *workers) send(near core.Link) {
	near.Later(func() {
		if !w.needed() {
			return
		}
		w.used.Store(true)
		select {
		case w.calls <- near:
		default:
			go w.live(near)
		}
	})
}

// live is the life of a worker.
func (w *workers) live(near core.Link) {
	for near != nil {
		w.work(near)
		if w.waiting.Add(1) > maxWaiting {
			w.waiting.Add(-1)
			return
		}
		select {
		case near = <-w.calls:
		case <-w.ended:
			near = nil
		}
		w.waiting.Add(-1)
	}
}

// retireIdle ends a waiting worker if none was needed since the last time.
func (w *workers) retireIdle() {
	if w.used.Swap(false) {
		return
	}
	select {
	case w.calls <- nil:
	default:
	}
}

// work does the tasks that there are.
func (w *workers) work(near core.Link) {
	w.arrive()
	for {
		t, wanted := w.take()
		if t == nil {
			return
		}
		if wanted {
			w.send(near)
		}
		w.do(t)
	}
}

// put puts a task behind the others. It reports whether the caller must send a worker.
func (w *workers) put(t *task) (wanted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == cap(w.queue) && w.next > len(w.queue)/2 {
		n := copy(w.queue, w.queue[w.next:])
		clear(w.queue[n:])
		w.queue, w.next = w.queue[:n], 0
	}
	w.queue = append(w.queue, t)
	return w.wanted()
}

// take returns the next task, or nil if there is none. It reports whether the caller must
// send a worker before it does the task.
func (w *workers) take() (t *task, wanted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next == len(w.queue) {
		return nil, false
	}
	t, w.queue[w.next] = w.queue[w.next], nil
	w.next++
	if w.next == len(w.queue) {
		w.queue, w.next = w.queue[:0], 0
	}
	return t, w.wanted()
}

// wanted reports whether a worker must be sent: a task waits and no worker is coming. The
// caller holds mu.
func (w *workers) wanted() bool {
	if w.coming || w.next == len(w.queue) {
		return false
	}
	w.coming = true
	return true
}

// needed reports whether the coming worker still has a task; if others have taken them all,
// it is not coming any more.
func (w *workers) needed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.coming = w.next < len(w.queue)
	return w.coming
}

// arrive notes that the coming worker has started.
func (w *workers) arrive() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.coming = false
}
