package engine

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/polywire/polywire/core"
)

// maxHandlers bounds the Go handlers that run at once.
const maxHandlers = 256

// askHandler puts the call to a Go handler. It has told and done nothing if it
// returns a refusal.
func (p *peer) askHandler(c core.Command, service string, h core.Handler) refusal {
	e := p.engine
	select {
	case e.running <- struct{}{}:
	default:
		return refusedOverload
	}
	ctx, cancel := context.WithCancel(e.ctx)
	kept := p.newCall(c, service)
	kept.cancel = cancel
	if c.OneWay {
		if e.calls.isClosed() {
			cancel()
			<-e.running
			return refusedShutdown
		}
		// A caller that leaves does not take its one-way call back; only time does.
		ctx, kept.cancel = context.WithTimeout(e.ctx, p.timeout(c))
		cancel()
	} else if r := e.calls.add(kept, p.deadline(c)); r.Failed() {
		cancel()
		<-e.running
		return r
	}
	p.taken(c, kept.id)
	payload := c.Payload.Clone()
	go func() {
		defer func() { <-e.running }()
		defer kept.stop()
		answer, err := e.run(ctx, h, service, payload)
		e.finish(kept, c.OneWay, answer, err)
	}()
	return refusal{}
}

// errPanic is the error of a handler that panicked.
var errPanic = errors.New("handler panicked")

// run calls h and turns a panic into an error.
func (e *Engine) run(ctx context.Context, h core.Handler, service string, p core.Payload) (answer core.Payload, err error) {
	defer func() {
		if v := recover(); v != nil {
			e.log.Error("handler panicked", "service", service, "panic", v, "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	return h(ctx, service, p)
}

// finish ends a call as its handler says, if it has not ended otherwise.
func (e *Engine) finish(c *call, oneWay bool, answer core.Payload, err error) {
	if !oneWay && !e.calls.take(c) {
		return
	}
	if err == nil {
		if !oneWay {
			e.answer(c, answer)
		}
		return
	}
	r := refusedInternal
	if f, ok := errors.AsType[core.Failure](err); ok && f.Failed() {
		r = refusalOf(f)
	} else if !errors.Is(err, errPanic) {
		e.log.Warn("handler failed", "service", c.service, "error", err)
	}
	if oneWay {
		c.caller.endpoint.Stats.CallsFailed.Inc(r.reason)
		return
	}
	e.fail(c, r)
}
