package engine

import (
	"bytes"
	"time"

	"github.com/polywire/polywire/core"
)

const (
	// defaultTimeout is for endpoints without a CallTimeout: every call ends.
	defaultTimeout = time.Minute
	// maxTimeout is the longest that a caller may ask for.
	maxTimeout = 24 * time.Hour
)

// call asks a service. That the call was taken is told before anything else happens
// to it.
func (p *peer) call(c core.Command) {
	if r := check(c.Topic); r.Failed() {
		p.refuse(c, r)
		return
	}
	service := p.whole(c.Topic)
	for {
		// An answerer that leaves between being found and being asked has withdrawn
		// its offers by then, so the next round does not find it.
		if r := p.ask(c, service, p.engine.answererOf(service)); r != refusedGone {
			if r.Failed() {
				p.endpoint.Stats.CallsFailed.Inc(r.reason)
				p.tellFailed(c, r)
			}
			return
		}
	}
}

// ask puts the call to a. It has told and done nothing if it returns a refusal.
func (p *peer) ask(c core.Command, service string, a answerer) refusal {
	switch {
	case a.handler != nil:
		return p.askHandler(c, service, a.handler)
	case a.peer == nil:
		return refusedNoService
	}
	ev := core.Event{
		Kind: core.Request, Topic: []byte(service)[len(a.peer.endpoint.TopicPrefix):], As: a.as,
		Payload: c.Payload, OneWay: c.OneWay,
	}
	if c.OneWay {
		if p.engine.calls.isClosed() {
			return refusedShutdown
		}
		p.taken(c, core.CallID{})
	} else {
		kept := p.newCall(c, service)
		kept.asked = a.peer
		if r := p.engine.calls.add(kept, p.deadline(c)); r.Failed() {
			return r
		}
		p.taken(c, kept.id)
		ev.Call = kept.id
	}
	a.peer.link.Send(ev)
	return refusal{}
}

// taken counts and tells that the call was taken. A one-way call has no id.
func (p *peer) taken(c core.Command, id core.CallID) {
	p.endpoint.Stats.Calls.Add(1)
	p.link.Tell(core.Event{Kind: core.Done, Verb: core.Call, Ref: c.Ref, Topic: c.Topic, As: c.As, Call: id})
}

// newCall returns what is to be kept of a call.
func (p *peer) newCall(c core.Command, service string) *call {
	return &call{caller: p, service: service, ref: bytes.Clone(c.Ref), topic: bytes.Clone(c.Topic), as: c.As}
}

// timeout returns how long the caller waits.
func (p *peer) timeout(c core.Command) time.Duration {
	switch {
	case c.Timeout > 0:
		return min(c.Timeout, maxTimeout)
	case p.endpoint.CallTimeout > 0:
		return p.endpoint.CallTimeout
	}
	return defaultTimeout
}

func (p *peer) deadline(c core.Command) time.Time { return p.engine.now().Add(p.timeout(c)) }

// reply answers a request that p was asked.
func (p *peer) reply(c core.Command) {
	var service *string
	if c.Topic != nil {
		s := p.whole(c.Topic)
		service = &s
	}
	asked := p.engine.calls.takeAsked(c.Call, p, service)
	if asked == nil {
		p.refuse(c, refusedNotAsked)
		return
	}
	if c.Failure.Failed() {
		p.engine.fail(asked, refusalOf(c.Failure))
	} else {
		p.engine.answer(asked, c.Payload)
	}
	p.tellDone(c)
}

// answer ends a call that was taken out of the table with its answer. Any goroutine.
func (e *Engine) answer(c *call, payload core.Payload) {
	c.caller.link.Send(core.Event{
		Kind: core.Answer, Verb: core.Call, Call: c.id, Ref: c.ref, Topic: c.topic, As: c.as, Payload: payload,
	})
	c.stop()
}

// fail ends a call that was taken out of the table with a failure. Any goroutine.
func (e *Engine) fail(c *call, r refusal) {
	c.caller.endpoint.Stats.CallsFailed.Inc(r.reason)
	c.caller.link.Send(core.Event{
		Kind: core.Failed, Verb: core.Call, Call: c.id, Ref: c.ref, Topic: c.topic, As: c.as, Failure: r.Failure,
	})
	c.stop()
}

// forget ends a call that was taken out of the table and whose caller is gone.
func (e *Engine) forget(c *call) {
	c.caller.endpoint.Stats.CallsFailed.Inc(core.ReasonGone)
	c.stop()
}

// stop tells a Go handler that its answer is not wanted any more.
func (c *call) stop() {
	if c.cancel != nil {
		c.cancel()
	}
}
