package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// maxRunning bounds the calls that one Go handler answers at once, unless it was
// registered with a bound of its own.
const maxRunning = 256

// Handle makes h answer the calls of match, a service or a pattern
// (core.MatchPattern), before any connection that offers the service. The service is
// what the client calls it, without the topic prefix of its endpoint: one handler
// answers the clients of all endpoints, and Invocation.Endpoint tells them apart. The
// very name goes before a pattern, and of patterns the one that was registered first.
// What has a wildcard is always a pattern.
//
// Registering match again replaces its handler, nil ends it. A call that is running
// goes on with the handler it began with. A handler answers 256 calls at once; further
// ones fail with Overloaded, and no other handler is the slower for it. A connection has one
// of these places at least while any is free, and further ones only as long as it has less than
// three times as many as are free: three quarters if nobody else calls. Any goroutine.
func (e *Engine) Handle(match string, h core.Handler) {
	e.warnOf(match, h)
	e.handlers.set(&e.handlers.handlers, match, h, maxRunning)
}

// warnOf says that h is never called, if match matches nothing: nobody would see it otherwise.
func (e *Engine) warnOf(match string, h core.Handler) {
	if h != nil && core.MatchesNothing(match) {
		e.log.Warn("a handler is registered that is never called: # is for the last level of a pattern", logging.Quoted("match", match))
	}
}

// Service is a service, or all that match a pattern, that a handler answers by
// configuration.
type Service struct {
	// Match is as for Handle, and of one Service alone.
	Match   string
	Handler core.Handler
	// AtOnce is how many calls the handler answers at once, shared as those of Handle; 0 is 256.
	AtOnce int
	// First says that it goes before connections, as a handler of Handle does; without it
	// the handler answers what no connection answers.
	First bool
}

// Configure makes services be answered, and no others of earlier calls of Configure. What
// Handle registers is not touched, and goes before a Service of the same Match. A call
// that is running goes on with the handler it began with. Any goroutine.
func (e *Engine) Configure(services []Service) { e.handlers.configure(services) }

// Otherwise makes h answer all calls that nobody else answers, whatever their
// service, 256 at once; nil ends that. Any goroutine.
func (e *Engine) Otherwise(h core.Handler) { e.handlers.setOtherwise(h) }

// Use puts i around all Go handlers, those of later too. What was put around them
// first is outermost: it sees a call first and its answer last. Calls that
// connections answer do not pass through. i is called for each handler, and again when
// another interceptor is added; it may not register handlers itself. A nil i is none. Any
// goroutine.
func (e *Engine) Use(i core.Interceptor) {
	if i != nil {
		e.handlers.use(i)
	}
}

// given is what a Go handler is given with a call besides the question. It may keep it, so
// it is not used again.
type given struct {
	ctx    callContext
	caller caller
}

// askHandler puts the call to a Go handler. It has told and done nothing if it
// returns a refusal.
func (p *peer) askHandler(c *core.Command, h *registered, byTopic bool) refusal {
	e := p.engine
	if !h.places.take(p) {
		return refusedBusy
	}
	g := new(given)
	g.caller = caller{peer: p, ctx: &g.ctx}
	kept := p.newCall(c, byTopic)
	kept.called = serviceOf(c, h.match)
	kept.ctx, kept.held = &g.ctx, c.Payload.Size()+len(c.Topic)
	if r := p.keep(c, kept); r.Failed() {
		h.places.give(p)
		return r
	}
	p.taken(c, kept.id, byTopic)
	e.running.Add(1)
	t := e.tasks.Get().(*task)
	t.by, t.in, t.call = h, p.invocation(c, kept.called), kept
	t.in.Caller = &g.caller
	e.workers.add(p.link, t)
	return refusal{}
}

// handle runs a handler and ends its call, however the handler ends. Before that it gives
// the place of the handler back: who has its answer may ask again.
func (e *Engine) handle(t *task) {
	var answer core.Payload
	err := errExited
	// Deferred, because a handler may end its goroutine (runtime.Goexit).
	defer func() {
		t.by.places.give(t.call.caller)
		t.call.stop()
		e.finish(t.call, t.in.OneWay, answer, err)
		*t = task{}
		e.tasks.Put(t)
		e.running.Add(-1)
	}()
	answer, err = e.run(t.call.ctx, t.by.handler, t.in)
}

// keep puts a call of a Go handler into the table, which Close empties. A one-way call is
// not there: a caller that leaves does not take it back, only time does.
func (p *peer) keep(c *core.Command, kept *call) refusal {
	e := p.engine
	if !c.OneWay {
		_, r := e.calls.add(kept, e.now(), p.timeout(c))
		return r
	}
	if r := e.calls.hold(kept); r.Failed() {
		return r
	}
	kept.ctx.limit(e.ctx, p.timeout(c))
	return refusal{}
}

// serviceOf returns the service that c calls, which is answered under match.
func serviceOf(c *core.Command, match string) string {
	if string(c.Topic) == match {
		return match
	}
	return string(c.Topic)
}

// invocation returns c, which calls service, as a handler sees it, but for its Caller.
func (p *peer) invocation(c *core.Command, service string) core.Invocation {
	in := core.Invocation{
		Service: service, Payload: c.Payload.Clone(), OneWay: c.OneWay,
		Endpoint: p.endpoint.Name, Protocol: p.endpoint.Protocol, Identity: p.link.Identity(), Connection: p.link.ID(),
		Trace: core.TraceFromHeaders(c.Headers),
	}
	if in.Trace == (core.Trace{}) {
		in.Trace = p.link.Trace()
	}
	in.Session = p.sessionKey()
	p.watch()
	return in
}

var (
	// errPanic is the error of a handler that panicked.
	errPanic = errors.New("handler panicked")
	// errExited is that of one that did not return.
	errExited = errors.New("handler ended its goroutine")
)

// run calls h and turns a panic into an error.
func (e *Engine) run(ctx context.Context, h core.Handler, in core.Invocation) (answer core.Payload, err error) {
	defer func() {
		if v := recover(); v != nil {
			e.panics.Add(1)
			e.log.Error("handler panicked", append(attrsOf(in.Endpoint, in.Connection, in.Identity, logging.Quoted("service", in.Service)),
				slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))...)
			err = errPanic
		}
	}()
	return h(ctx, in)
}

// finish ends a call as its handler says, if it has not ended otherwise.
func (e *Engine) finish(c *call, oneWay bool, answer core.Payload, err error) {
	if awaited := e.calls.finished(c); !oneWay && !awaited {
		return
	}
	// The handler is done with the record.
	c.ctx = nil
	if err == nil && !oneWay {
		// What is not of its kind must not reach a client.
		if err = answer.Check(); err != nil {
			err = fmt.Errorf("answering: %w", err)
		}
	}
	if err == nil {
		if !oneWay {
			e.answer(c, answer)
		}
		return
	}
	r := refusedInternal
	if f, ok := errors.AsType[core.Failure](err); ok && f.Failed() {
		r = refusalOf(f, core.ReasonAnswerer)
	} else {
		e.handlerFailed(c.caller.endpoint.Name, c.caller.link, c.called, err)
	}
	if oneWay {
		c.caller.endpoint.Stats.CallsFailed.Inc(r.reason)
		return
	}
	e.fail(c, r)
}

// handlerFailed logs the error of a handler; that of a panic is logged already.
func (e *Engine) handlerFailed(endpoint string, caller core.Link, service string, err error) {
	if !errors.Is(err, errPanic) {
		e.log.Warn("handler failed", append(attrsOf(endpoint, caller.ID(), caller.Identity(), logging.Quoted("service", service)), slog.Any("error", err))...)
	}
}
