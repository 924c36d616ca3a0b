package engine

import (
	"cmp"
	"context"
	"time"

	"github.com/polywire/polywire/core"
)

// Call puts a call of the program to whoever answers a service, in the name of an endpoint, and waits for its
// outcome: until ctx ends, but at most as long as calls of the endpoint may take. service is named as clients
// of the endpoint name it; it and p are borrowed. The answer is the caller's own. Not on an event loop.
func (e *Engine) Call(ctx context.Context, ep *core.Endpoint, service []byte, p core.Payload) (core.Payload, core.Failure) {
	var span core.Span
	if e.tracer != nil {
		span = e.tracer.Begin(core.Operation{Act: core.Calling, Endpoint: ep, Topic: service, Size: p.Size()})
	}
	began := e.now()
	o := e.programCall(ctx, ep, service, p, span)
	ep.Stats.CallTimes.Observe(e.now().Sub(began), !o.Failed())
	endSpan(span, o.Failure)
	if o.Failed() {
		ep.Stats.CallsFailed.Inc(o.reason)
	}
	return o.answer, o.Failure
}

func (e *Engine) programCall(ctx context.Context, ep *core.Endpoint, service []byte, p core.Payload, span core.Span) outcome {
	limits := ep.Limits.Get()
	if r := checkMessage(limits, service, p); r.Failed() {
		return outcome{refusal: r}
	}
	timeout := cmp.Or(limits.CallTimeout, defaultTimeout)
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline))
	}
	if timeout <= 0 {
		return outcome{refusal: refusedTimeout}
	}
	whole := append([]byte(ep.TopicPrefix), service...)
	for tries := 0; ; tries++ {
		t := e.targetOf(service, whole)
		switch {
		case t.handler != nil:
			return e.programAsksHandler(ctx, ep, service, p, t.handler, timeout, span)
		case t.owner == nil:
			return outcome{refusal: refusedNoService}
		}
		o, asked := e.programAsksOwner(ctx, ep, whole, p, t, timeout)
		if asked || !t.another(o.refusal, tries) {
			return o
		}
	}
}

// programAsker is the caller of one call of the program.
type programAsker struct {
	party party // guarded by callTable.mu
	ended chan outcome
}

var _ caller = (*programAsker)(nil)

func (a *programAsker) callParty() *party { return &a.party }

// callEnded passes the outcome on; there is one.
func (a *programAsker) callEnded(_ *call, o outcome) {
	o.answer = o.answer.Clone()
	a.ended <- o
}

// programAsksOwner asks a connection, or another node, in the name of an endpoint or, if that is nil, of the broker. It
// reports false if that could not be asked, and why.
func (e *Engine) programAsksOwner(ctx context.Context, ep *core.Endpoint, whole []byte, p core.Payload, t target, timeout time.Duration) (o outcome, asked bool) {
	if !t.owner.admits(p.Size() + len(whole)) {
		return outcome{refusal: refusedSlow}, false
	}
	a := &programAsker{ended: make(chan outcome, 1)}
	k := e.records.Get().(*call)
	k.caller, k.answerer, k.service, k.title = a, t.owner, t.service, t.title
	if ep != nil {
		k.hidden = len(ep.TopicPrefix)
	}
	// From here on the call may end, and k be used for another, at any time.
	id, r := e.calls.add(k, 1, e.now(), timeout)
	if r.Failed() {
		e.recycle(k)
		return outcome{refusal: r}, false
	}
	q := question{call: id, service: whole, payload: p, timeout: timeout, as: t.as, byTopic: t.byTopic}
	if ep != nil {
		ep.Stats.Calls.Add(1)
		q.author = ep.Protocol
	}
	t.owner.ask(q)
	select {
	case o := <-a.ended:
		return o, true
	case <-ctx.Done():
	}
	asking, _ := e.calls.leave(&a.party)
	for _, k := range asking {
		k.answerer.callOver(k)
		e.recycle(k)
	}
	if len(asking) == 0 {
		return <-a.ended, true // it has ended meanwhile
	}
	return outcome{refusal: refusedTimeout}, true
}

// programAsksHandler asks a Go handler, or an HTTP server.
func (e *Engine) programAsksHandler(ctx context.Context, ep *core.Endpoint, service []byte, p core.Payload, h *registered, timeout time.Duration, span core.Span) outcome {
	if e.calls.isClosed() {
		return outcome{refusal: refusedShutdown}
	}
	if !h.places.take(nil) {
		return outcome{refusal: refusedBusy}
	}
	ep.Stats.Calls.Add(1)
	in := core.Invocation{
		Service: string(service), Payload: p.Clone(), Endpoint: ep.Name, Protocol: ep.Protocol, Caller: nobody{},
	}
	if span != nil {
		in.Trace = span.Trace()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ended := make(chan outcome, 1)
	e.running.Add(1)
	// On a goroutine that h may end, and that it may keep for longer than anybody waits.
	go func() {
		var answer core.Payload
		err := errExited
		defer func() {
			h.places.give(nil)
			o := e.handled(in, answer, err)
			e.running.Add(-1)
			ended <- o
		}()
		answer, err = e.run(ctx, h.handler, in)
	}()
	select {
	case o := <-ended:
		return o
	case <-ctx.Done():
		return outcome{refusal: refusedTimeout}
	}
}
