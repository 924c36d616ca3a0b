package polywire

import (
	"context"
	"errors"
	"sync"
)

// ErrClosed is the error of Run, Reload and Err if the broker was closed before it ran.
var ErrClosed = errors.New("the broker is closed")

var (
	errNoConfig   = errors.New("there is no configuration: New takes what polywire.Load returns, or a config.Config made in Go")
	errNoContext  = errors.New("there is no context: Run ends with the one that it is given")
	errNotRunning = errors.New("the broker is not running")
	errRunning    = errors.New("the broker is running: Run is called once")
	errEnded      = errors.New("the broker has run and ended: Run is called once; make another one with New")
)

// life is the state of a broker from New through Run to its end. Safe for any goroutine.
type life struct {
	// Static after construction.
	ready    *gate // it serves, or never will
	draining *gate // it has begun to end
	over     *gate // nothing of it runs any more

	// Guarded by mu.
	mu     sync.Mutex
	begun  bool               // by Run, or by Close before Run
	cancel context.CancelFunc // ends Run; nil before it
	err    error              // why it does not serve
}

func newLife() *life { return &life{ready: newGate(), draining: newGate(), over: newGate()} }

// run begins the only Run. The returned context ends with ctx, or with stop.
func (l *life) run(ctx context.Context) (context.Context, error) {
	if ctx == nil {
		return nil, errNoContext
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.begun && l.cancel == nil:
		return nil, ErrClosed
	case l.begun && l.over.open():
		return nil, errEnded
	case l.begun:
		return nil, errRunning
	}
	l.begun = true
	ctx, l.cancel = context.WithCancel(ctx)
	return ctx, nil
}

// stop ends Run. It reports true if Run never began and never will: then the caller releases what
// New made.
func (l *life) stop() (mine bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cancel != nil {
		l.cancel()
	}
	mine, l.begun = !l.begun, true
	return mine
}

// end records that nothing runs any more, and err, if it ended with one.
func (l *life) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	if l.cancel != nil {
		l.cancel()
	}
	l.draining.pass()
	l.ready.pass()
	l.over.pass()
}

func (l *life) error() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// running returns why nothing runs: Run was not called, or everything has ended. It is nil from the
// beginning of Run to its end.
func (l *life) running() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.begun:
		return errNotRunning
	case l.cancel == nil:
		return ErrClosed
	case l.over.open():
		return errEnded
	}
	return nil
}

// serving reports whether Run has started the endpoints and has not begun to end.
func (l *life) serving() bool { return l.ready.open() && !l.draining.open() }

// gate is closed until the first pass opens it. Safe for any goroutine.
type gate struct {
	once sync.Once
	ch   chan struct{} // closed when the gate is open
}

func newGate() *gate { return &gate{ch: make(chan struct{})} }

func (g *gate) pass() { g.once.Do(func() { close(g.ch) }) }

func (g *gate) open() bool {
	select {
	case <-g.ch:
		return true
	default:
		return false
	}
}
