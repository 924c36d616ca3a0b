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
// answers the clients of all endpoints, and Invocation.Endpoint tells them apart. An
// exact name goes before a pattern, and of patterns the one that was registered first.
// A name with a wildcard is always a pattern.
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

// handlerAnswerer is a Go handler as the answerer of one call, and what it is given with
// that besides the question. It may keep that, so it is not used again.
type handlerAnswerer struct {
	ctx    callContext
	caller handlerCaller
}

var _ answerer = (*handlerAnswerer)(nil)

func (a *handlerAnswerer) callParty() *party { return nil }

// callOver ends the context of the handler.
func (a *handlerAnswerer) callOver(*call) { a.ctx.end() }

// handle runs a handler and ends its call, however the handler ends. Before that it gives
// the place of the handler back: who has its answer may ask again.
func (e *Engine) handle(t *task) {
	var answer core.Payload
	err := errExited
	// Deferred, because a handler may end its goroutine (runtime.Goexit).
	defer func() {
		t.by.places.give(t.call.caller.callParty())
		t.answerer.callOver(t.call)
		e.finish(t, answer, err)
		*t = task{}
		e.tasks.Put(t)
		e.running.Add(-1)
	}()
	answer, err = e.run(&t.answerer.ctx, t.by.handler, t.in)
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
		Trace: p.traceOf(c),
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
	span := e.beginAnswer(&in)
	ended := false
	defer func() {
		v := recover()
		switch {
		case v != nil, !ended:
			endSpan(span, refusedInternal.Failure)
		default:
			endSpan(span, toldOf(err))
		}
		if v != nil {
			e.panics.Add(1)
			e.log.Error("handler panicked", append(attrsOf(in.Endpoint, in.Connection, in.Identity, logging.Quoted("service", in.Service)),
				slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))...)
			err = errPanic
		}
	}()
	answer, err = h(ctx, in)
	ended = true
	return answer, err
}

// finish ends the call of a task as its handler says, if it has not ended otherwise.
func (e *Engine) finish(t *task, answer core.Payload, err error) {
	if awaited := e.calls.finished(t.call); !awaited && !t.in.OneWay {
		return
	}
	// The handler is done with the record.
	t.call.inHandler = false
	e.end(t.call, e.handled(t.in, answer, err))
}

// handled returns the outcome of a call that a handler has returned from, and logs an error that the caller is
// not told.
func (e *Engine) handled(in core.Invocation, answer core.Payload, err error) outcome {
	if err == nil && !in.OneWay {
		// What is not of its kind must not reach a client.
		if err = answer.Check(); err != nil {
			err = fmt.Errorf("answering: %w", err)
		}
	}
	if err == nil {
		return outcome{answer: answer}
	}
	if f, ok := errors.AsType[core.Failure](err); ok && f.Failed() {
		return outcome{refusal: refusalOf(f, core.ReasonAnswerer)}
	}
	e.handlerFailed(in, err)
	return outcome{refusal: refusedInternal}
}

// handlerFailed logs the error of a handler; that of a panic is logged already.
func (e *Engine) handlerFailed(in core.Invocation, err error) {
	if !errors.Is(err, errPanic) {
		e.log.Warn("handler failed", append(attrsOf(in.Endpoint, in.Connection, in.Identity, logging.Quoted("service", in.Service)), slog.Any("error", err))...)
	}
}
