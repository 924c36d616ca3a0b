package engine

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// offLoop runs work, which may block, on a goroutine of its own. The connection is held
// until work calls resume: it reads no further message, so order is kept, and a connection
// has one such goroutine at most. resume runs then on the loop and waits for it; it reports
// false if then does not run because the peer is gone. Work calls it once. ctx ends when
// the peer is gone. On the loop.
func (p *peer) offLoop(work func(ctx context.Context, resume func(then func()) bool)) {
	ctx, cancel := context.WithCancel(p.engine.ctx)
	p.ensureRare().cancel = cancel
	p.watch()
	p.link.Hold()
	p.visit.begin()
	go func() {
		defer p.visit.end()
		defer cancel()
		resumed := false
		defer func() { p.recovered(recover(), resumed) }()
		work(ctx, func(then func()) bool {
			resumed = true
			return p.onLoop(func() { p.resume(then) })
		})
	}()
}

// resume runs then, carries out the commands that came meanwhile, and releases the
// connection. On the loop.
func (p *peer) resume(then func()) {
	x := p.rare
	x.cancel = nil
	then()
	for x.cancel == nil && len(x.pending) > 0 {
		c := x.pending[0]
		x.pending = x.pending[1:]
		p.Do(c)
	}
	if len(x.pending) == 0 {
		x.pending = nil
	}
	// A connection that is about to be closed stays held.
	if !p.leaving {
		p.link.Release()
	}
}

// resumeWithHook resumes with then; if then reports true it calls a session hook before
// the connection is released. Off the loop, in the work of offLoop, which calls resume no
// more.
func (p *peer) resumeWithHook(ctx context.Context, resume func(func()) bool, h sessionHook, s core.Session, then func() bool) {
	if h.call == nil {
		resume(func() { then() })
		return
	}
	done := false
	p.onLoop(func() { done = then() })
	if done {
		h.tell(ctx, p, s)
	}
	resume(func() {})
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

// recovered is called when the work of offLoop has ended, however it did: v is its panic,
// and resumed says that it has called resume. Somebody else's code that panics, or ends its
// goroutine (runtime.Goexit), ends the connection, not the process, and does not hold the
// connection for ever.
func (p *peer) recovered(v any, resumed bool) {
	if v == nil && resumed {
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
