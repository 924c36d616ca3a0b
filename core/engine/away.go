package engine

import (
	"context"
	"runtime/debug"

	"github.com/polywire/polywire/core"
)

// away runs work, which may block, off the loop, and then what it returns on the
// loop. The connection is held until then and reads no further message, so order is
// kept and there is one such goroutine for a connection at most. ctx ends when the
// peer is gone; then is not called any more, so work leaves nothing for it to undo.
// On the loop.
func (p *peer) away(work func(ctx context.Context) (then func())) {
	ctx, cancel := context.WithCancel(p.engine.ctx)
	p.more().cancel = cancel
	p.link.Hold()
	go func() {
		defer cancel()
		defer p.recovered()
		then := work(ctx)
		p.link.Post(func() { p.back(then) })
	}()
}

// back goes on where away left off.
func (p *peer) back(then func()) {
	if p.gone {
		return
	}
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

// recovered is deferred where somebody else's code runs off the loop: a panic in it
// ends the connection, not the process.
func (p *peer) recovered() {
	if v := recover(); v != nil {
		p.engine.log.Error("authorizer or session store panicked", "endpoint", p.endpoint.Name,
			"conn", p.link.ID(), "panic", v, "stack", string(debug.Stack()))
		p.link.Close(core.ReasonInternal)
	}
}
