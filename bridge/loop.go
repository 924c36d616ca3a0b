package bridge

import (
	"context"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
)

// loop is the event loop of a bridge: one goroutine.
type loop struct {
	wake  chan struct{} // holds an element if something is posted
	ended chan struct{} // closed when run has returned

	held int // owned by the loop: how often the bridge is held

	// Guarded by mu.
	mu     sync.Mutex
	posted []func()
	over   bool // nothing posted is run any more
}

func newLoop() *loop { return &loop{wake: make(chan struct{}, 1), ended: make(chan struct{})} }

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

// run runs what is posted, handles what is in the inbox while the bridge is not held, and calls again every
// askPause, until ctx ends.
func (l *loop) run(ctx context.Context, inbox <-chan core.Event, handle func(core.Event), again func()) {
	defer close(l.ended)
	ticker := time.NewTicker(askPause)
	defer ticker.Stop()
	for {
		l.runPosted()
		from := inbox
		if l.held > 0 {
			from = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case ev := <-from:
			handle(ev)
		case <-ticker.C:
			again()
		}
	}
}

func (l *loop) runPosted() {
	l.mu.Lock()
	batch := l.posted
	l.posted = nil
	l.mu.Unlock()
	for _, f := range batch {
		f()
	}
}

// end forgets what is posted, then and later.
func (l *loop) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.posted, l.over = nil, true
}
