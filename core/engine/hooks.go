package engine

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// maxHooks bounds how many of the hooks Connected and Disconnected run at once. The other
// hooks run on goroutines that work on sessions, whose number is bounded already.
const maxHooks = 256

// visit is what is kept of a connection for Connected and Disconnected, if there are
// such hooks.
type visit struct {
	// Static after construction.
	client core.Client

	// underWay counts what may call a hook of this connection. It is added to on the
	// loop, until the peer is gone.
	underWay sync.WaitGroup
	// connected: the application knows of the connection. Written while underWay is not zero.
	connected bool
}

// callConnected calls Connected, in one of the places for hooks. It waits for such a place
// also if there is only a Disconnected: while those are stuck no further connection gets on,
// or they would pile up. On the loop, before all else.
func (p *peer) callConnected() {
	e := p.engine
	if e.hooks.Connected == nil && e.hooks.Disconnected == nil {
		return
	}
	v := &visit{client: p.client()}
	p.visit = v
	p.offLoop(func(ctx context.Context, resume func(func()) bool) {
		select {
		case e.hooking <- struct{}{}:
			v.connected = true
			if e.hooks.Connected != nil {
				e.callHook("Connected", v.client, func() { e.hooks.Connected(ctx, v.client) })
			}
			<-e.hooking
		case <-ctx.Done():
		}
		resume(func() {})
	})
}

// callDisconnected calls Disconnected when all other hooks of the connection have returned.
// On the loop, when the peer is gone.
func (p *peer) callDisconnected(r core.Reason) {
	e, v := p.engine, p.visit
	if v == nil || e.hooks.Disconnected == nil {
		return
	}
	e.departing.Add(1)
	go func() {
		defer e.departing.Add(-1)
		v.underWay.Wait()
		if !v.connected {
			return
		}
		e.hooking <- struct{}{}
		e.callHook("Disconnected", v.client, func() { e.hooks.Disconnected(v.client, r) })
		<-e.hooking
	}()
}

// begin and end enclose what may call a hook. begin is called on the loop.
func (v *visit) begin() {
	if v != nil {
		v.underWay.Add(1)
	}
}

func (v *visit) end() {
	if v != nil {
		v.underWay.Done()
	}
}

// AwaitHooks waits until Disconnected has returned for every connection that is gone.
// The error says that ctx ended before. Off the loops; any goroutine.
func (e *Engine) AwaitHooks(ctx context.Context) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for e.departing.Load() > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the hook Disconnected: %d connections left: %w", e.departing.Load(), ctx.Err())
		case <-ticker.C:
		}
	}
	return nil
}

// sessionHook is SessionCreated or SessionRestored, with its name.
type sessionHook struct {
	name string
	call func(context.Context, core.Client, core.Session) // or nil
}

func (e *Engine) created() sessionHook {
	return sessionHook{"SessionCreated", e.hooks.SessionCreated}
}

func (e *Engine) restored() sessionHook {
	return sessionHook{"SessionRestored", e.hooks.SessionRestored}
}

// tell calls the hook. Off the loop.
func (h sessionHook) tell(ctx context.Context, p *peer, s core.Session) {
	if h.call != nil {
		client := p.client()
		p.engine.callHook(h.name, client, func() { h.call(ctx, client, s) })
	}
}

// sessionClosed calls SessionClosed. Off the loops.
func (e *Engine) sessionClosed(ctx context.Context, key string) {
	if e.hooks.SessionClosed != nil {
		e.callHook("SessionClosed", core.Client{}, func() { e.hooks.SessionClosed(ctx, key) })
	}
}

// callHook runs f, which calls a hook, and catches its panic. c is nobody for a hook
// of no connection.
func (e *Engine) callHook(name string, c core.Client, f func()) {
	e.contain(f, func(v any) {
		about, conn := logging.Bounded(c.Endpoint, "", slog.String("hook", name)), slog.Uint64("conn", c.Connection)
		stack := slog.String("stack", string(debug.Stack()))
		if v != nil {
			e.log.Error("hook panicked", about, conn, slog.String("panic", fmt.Sprint(v)), stack)
		} else {
			e.log.Error("hook ended its goroutine", about, conn, stack)
		}
	})
}

// contain runs f, somebody else's code, on a goroutine of its own and returns when it has
// ended. If f panics (v) or ends its goroutine (runtime.Goexit; v is nil), that is counted
// and failed is called; the goroutine of contain goes on. Off the loops.
func (e *Engine) contain(f func(), failed func(v any)) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		returned := false
		defer func() {
			v := recover()
			if returned {
				return
			}
			e.panics.Add(1)
			failed(v)
		}()
		f()
		returned = true
	}()
	<-ended
}
