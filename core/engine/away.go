package engine

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// away runs work, which may block, off the loop. The connection is held until work
// has called back, and reads no further message, so order is kept and there is one
// such goroutine for a connection at most. What back is given runs on the loop; back
// waits for it, and reports false if it does not run, because the peer is gone. ctx
// ends when the peer is gone. On the loop.
func (p *peer) away(work func(ctx context.Context, back func(then func()) bool)) {
	ctx, cancel := context.WithCancel(p.engine.ctx)
	p.more().cancel = cancel
	p.watch()
	p.link.Hold()
	p.visit.begin()
	go func() {
		defer p.visit.end()
		defer cancel()
		called := false
		defer func() { p.recovered(recover(), called) }()
		work(ctx, func(then func()) bool {
			called = true
			return p.onLoop(func() { p.back(then) })
		})
	}()
}

// back goes on where away left off. On the loop.
func (p *peer) back(then func()) {
	x := p.extra
	x.cancel = nil
	then()
	for x.cancel == nil && len(x.waiting) > 0 {
		c := x.waiting[0]
		x.waiting = x.waiting[1:]
		p.Do(c)
	}
	if len(x.waiting) == 0 {
		x.waiting = nil
	}
	// A connection that is about to be closed stays held.
	if !p.leaving {
		p.link.Release()
	}
}

// settle goes on as back does with then, but if then reports true it calls a session
// hook before the connection reads on. Off the loop, once within away.
func (p *peer) settle(ctx context.Context, back func(func()) bool, h sessionHook, s core.Session, then func() bool) {
	if h.call == nil {
		back(func() { then() })
		return
	}
	done := false
	p.onLoop(func() { done = then() })
	if done {
		h.tell(ctx, p, s)
	}
	back(func() {})
}

// watch makes p.left, for goroutines that wait for the loop. On the loop.
func (p *peer) watch() {
	if p.left == nil {
		p.left = make(chan struct{})
	}
}

// onLoop runs f on the loop and waits for it. It reports false if f does not run,
// now or later, because the peer is gone. Off the loop, after watch.
func (p *peer) onLoop(f func()) bool {
	ran := make(chan struct{})
	p.link.Post(func() {
		if p.gone {
			return
		}
		f()
		close(ran)
	})
	select {
	case <-ran:
		return true
	case <-p.left:
	}
	// The loop has come to the end of the peer: f has run before that or never will.
	select {
	case <-ran:
		return true
	default:
		return false
	}
}

// recovered is called when work of away has ended, however it did: v is its panic, and
// called says that it has called back. Somebody else's code that panics, or ends its
// goroutine (runtime.Goexit), ends the connection, not the process, and does not hold the
// connection for ever.
func (p *peer) recovered(v any, called bool) {
	if v == nil && called {
		return
	}
	p.engine.panics.Add(1)
	stack := slog.String("stack", string(debug.Stack()))
	if v != nil {
		p.engine.log.Error("authorizer or session store panicked", append(p.attrs(), slog.String("panic", fmt.Sprint(v)), stack)...)
	} else {
		p.engine.log.Error("authorizer or session store ended its goroutine", append(p.attrs(), stack)...)
	}
	p.link.Close(core.ReasonInternal)
}

// attrs says in a log line that can come often which connection it is about; lines that
// differ in each are bounded each by itself.
func (p *peer) attrs(each ...slog.Attr) []any {
	return attrsOf(p.endpoint.Name, p.link.ID(), p.link.Identity(), each...)
}

func attrsOf(endpoint string, conn uint64, user *core.Identity, each ...slog.Attr) []any {
	return []any{logging.Bounded(endpoint, "", each...), slog.Uint64("conn", conn), logging.Quoted("user", user.User())}
}
