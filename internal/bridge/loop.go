package bridge

import (
	"context"
	"sync"
	"time"
)

// loop is the event loop of a bridge. One thing runs on it at a time: what is posted runs on a goroutine of
// its own, and what the old server says on the goroutine or the event loop that has read it, so that nobody need
// be woken.
type loop struct {
	wake  chan struct{} // holds an element if something is posted
	ended chan struct{} // closed when run has returned

	turn sync.Mutex // held by who runs something

	// Guarded by turn.
	free    sync.Cond // of turn: held has become 0, or stopped is set
	held    int       // how often the bridge is held
	stopped bool      // run has returned, or will at once

	// Guarded by mu.
	mu     sync.Mutex
	posted []func()
	over   bool // nothing posted is run any more
}

func newLoop() *loop {
	l := &loop{wake: make(chan struct{}, 1), ended: make(chan struct{})}
	l.free.L = &l.turn
	return l
}

// post runs f on the loop. Any goroutine.
func (l *loop) post(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	l.posted = append(l.posted, f)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run runs what is posted, and calls again every askPause, until ctx ends. Then nothing runs on the loop any
// more.
func (l *loop) run(ctx context.Context, again func()) {
	defer close(l.ended)
	ticker := time.NewTicker(askPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			l.turn.Lock()
			l.stopped = true
			l.free.Broadcast()
			l.turn.Unlock()
			return
		case <-l.wake:
			l.turn.Lock()
			l.runPosted()
			l.turn.Unlock()
		case <-ticker.C:
			l.turn.Lock()
			again()
			l.turn.Unlock()
		}
	}
}

// each runs f for the numbers below n on the loop, as soon as and as long as the bridge is not held, and what
// is posted before each of them. together runs what is run in one go. It returns early if the loop ends.
// Any goroutine that is not on the loop.
func (l *loop) each(n int, together func(func()), f func(i int)) {
	l.turn.Lock()
	defer l.turn.Unlock()
	for i := 0; i < n; {
		for l.held > 0 && !l.stopped {
			l.free.Wait()
		}
		if l.stopped {
			return
		}
		i = l.some(i, n, together, f)
	}
}

// now is each, but does not wait: it returns how many of the numbers f was run for. Any goroutine; it does
// not block.
func (l *loop) now(n int, together func(func()), f func(i int)) (ran int) {
	if n == 0 || !l.turn.TryLock() {
		return 0
	}
	defer l.turn.Unlock()
	if l.held > 0 || l.stopped {
		return 0
	}
	return l.some(0, n, together, f)
}

// some runs f for the numbers from i on as long as the bridge is not held, and returns the next one. The caller
// holds turn.
func (l *loop) some(i, n int, together func(func()), f func(i int)) (next int) {
	together(func() {
		for ; i < n; i++ {
			if l.runPosted(); l.held > 0 {
				return
			}
			f(i)
		}
	})
	return i
}

// runPosted runs what is posted. The caller holds turn.
func (l *loop) runPosted() {
	l.mu.Lock()
	batch := l.posted
	l.posted = nil
	l.mu.Unlock()
	for _, f := range batch {
		f()
	}
	if l.held == 0 {
		l.free.Broadcast()
	}
}

// end forgets what is posted, then and later.
func (l *loop) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.posted, l.over = nil, true
}
