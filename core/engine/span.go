package engine

import (
	"errors"

	"github.com/polywire/polywire/core"
)

// Traces are recorded where messages and calls pass anyway: a publication and, within it, its delivery to each
// endpoint; a call until its outcome and, within it, the handler that answers. A span that is not recorded is nil.

// beginPublish begins the span of m, and makes its context the one that receivers get.
func (e *Engine) beginPublish(m *publication) core.Span {
	op := core.Operation{Act: core.Publishing, Parent: core.TraceFromHeaders(m.headers), Endpoint: m.endpoint, Topic: m.topic, Size: m.payload.Size()}
	if m.sender != nil {
		op.Connection = m.sender.link.ID()
	}
	span := e.tracer.Begin(op)
	if span != nil {
		m.headers = span.Trace().In(m.headers)
	}
	return span
}

// deliverWithin delivers a message to audiences of an endpoint, within the trace of s and shown to those who have
// seen it.
func (s *scratch) deliverWithin(ep *endpoint, ev core.Event, to []core.Audience, except core.Link, seen crossings) {
	var span core.Span
	if s.tracer != nil {
		span = s.tracer.Begin(core.Operation{Act: core.Delivering, Parent: s.trace, Endpoint: ep.Endpoint, Topic: ev.Topic, Size: ev.Payload.Size()})
	}
	if seen != nil {
		seen.deliver(ep, ev, to, except)
	} else {
		ep.outlet.Deliver(ev, to, except)
	}
	endSpan(span, core.Failure{})
}

// within makes what s delivers part of the trace of t, if that is recorded.
func (s *scratch) within(tracer core.Tracer, t core.Trace) {
	if tracer != nil && t.Recorded() {
		s.tracer, s.trace = tracer, t
	}
}

// beginCall begins the span of a call, within the context that came with it, or else the one that its connection came
// with.
func (p *peer) beginCall(c *core.Command) core.Span {
	if p.engine.tracer == nil {
		return nil
	}
	return p.engine.tracer.Begin(core.Operation{
		Act: core.Calling, Parent: p.traceOf(c), Endpoint: p.endpoint.Endpoint, Connection: p.link.ID(), Topic: c.Topic, Size: c.Payload.Size(),
	})
}

// traceOf returns the context of c.
func (p *peer) traceOf(c *core.Command) core.Trace {
	if t := core.TraceFromHeaders(c.Headers); t != (core.Trace{}) {
		return t
	}
	return p.link.Trace()
}

// endSpan ends a span, which may be nil.
func endSpan(span core.Span, f core.Failure) {
	if span != nil {
		span.End(f)
	}
}

// beginAnswer begins the span of a handler, if its call is recorded, and makes its context the one that the handler
// gets.
func (e *Engine) beginAnswer(in *core.Invocation) core.Span {
	if e.tracer == nil || !in.Trace.Recorded() {
		return nil
	}
	span := e.tracer.Begin(core.Operation{Act: core.Answering, Parent: in.Trace, Connection: in.Connection, Topic: []byte(in.Service), Size: in.Payload.Size()})
	if span != nil {
		in.Trace, in.Recorded = span.Trace(), true
	}
	return span
}

// toldOf returns what an error of a handler is for its caller.
func toldOf(err error) core.Failure {
	if err == nil {
		return core.Failure{}
	}
	if f, ok := errors.AsType[core.Failure](err); ok && f.Failed() {
		return f
	}
	return refusedInternal.Failure
}
