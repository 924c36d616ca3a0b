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
	// Static after construction.
	panicked func(fault any) // is told of a panic of what is posted; nil lets it go on
	wake     chan struct{}   // holds an element if something is posted
	ended    chan struct{}   // closed when run has returned

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

func newLoop(panicked func(fault any)) *loop {
	l := &loop{panicked: panicked, wake: make(chan struct{}, 1), ended: make(chan struct{})}
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
			l.guard(again)
			l.turn.Unlock()
		}
	}
}

// times runs f n times on the loop, as soon as and as long as the bridge is not held, and what is posted before each
// of them. together runs what is run in one go. It returns early if the loop ends. Any goroutine that is not on
// the loop.
func (l *loop) times(n int, together func(func()), f func()) {
	l.turn.Lock()
	defer l.turn.Unlock()
	for n > 0 {
		for l.held > 0 && !l.stopped {
			l.free.Wait()
		}
		if l.stopped {
			return
		}
		n = l.some(n, together, f)
	}
}

// now is times, but returns early where that would wait. Any goroutine; it does not block.
func (l *loop) now(n int, together func(func()), f func()) {
	if n == 0 || !l.turn.TryLock() {
		return
	}
	defer l.turn.Unlock()
	if l.held == 0 && !l.stopped {
		l.some(n, together, f)
	}
}

// some runs f n times, but only as long as the bridge is not held, and returns how many times are left. The caller
// holds turn.
func (l *loop) some(n int, together func(func()), f func()) (left int) {
	together(func() {
		for ; n > 0; n-- {
			if l.runPosted(); l.held > 0 {
				return
			}
			f()
		}
	})
	return n
}

// runPosted runs what is posted. The caller holds turn.
func (l *loop) runPosted() {
	l.mu.Lock()
	batch := l.posted
	l.posted = nil
	l.mu.Unlock()
	for _, f := range batch {
		l.guard(f)
	}
	if l.held == 0 {
		l.free.Broadcast()
	}
}

// guard runs f. A panic of it ends nothing else.
func (l *loop) guard(f func()) {
	if l.panicked != nil {
		defer func() {
			if fault := recover(); fault != nil {
				l.panicked(fault)
			}
		}()
	}
	f()
}

// end forgets what is posted, then and later.
func (l *loop) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.posted, l.over = nil, true
}
