package engine

import (
	"cmp"
	"time"

	"github.com/polywire/polywire/core"
)

const (
	// defaultTimeout is for endpoints without a CallTimeout: every call ends.
	defaultTimeout = time.Minute
	// maxTimeout is the longest that a caller may ask for.
	maxTimeout = 24 * time.Hour
)

// call is the command.
func (p *peer) call(c *core.Command) {
	r := checkMessage(p.endpoint.Limits.Get(), c.Topic, c.Payload)
	if len(c.Ref) > maxRef && !c.OneWay {
		r = refusedRef
	}
	if r.Failed() {
		p.refuse(c, r)
		return
	}
	if r := p.ask(c, false); r.Failed() {
		p.endpoint.Stats.CallsFailed.Inc(r.reason)
		p.tellFailed(c, r)
	}
}

// ask puts a call to whoever answers the service. byTopic is how the caller is told
// of it. That the call was taken is told before anything else happens to it; if it
// is refused, nothing has been told or done.
func (p *peer) ask(c *core.Command, byTopic bool) refusal {
	s := p.engine.scratch.Get().(*scratch)
	defer p.engine.release(s)
	whole := prefixed(&s.topic, p.endpoint.TopicPrefix, c.Topic)
	for tries := 0; ; tries++ {
		a := p.engine.answererOf(c.Topic, whole)
		switch {
		case a.handler != nil:
			return p.askHandler(c, a.handler, byTopic)
		case a.peer == nil:
			return refusedNoService
		}
		// An answerer that leaves between being found and being asked has withdrawn
		// its offers by then, so the next round does not find it. For one that is slow
		// another may answer, whose turn it is next.
		if r := p.askPeer(c, whole, a, byTopic); r != refusedGone && (r != refusedSlow || tries >= a.others) {
			return r
		}
	}
}

// askPeer puts the call to a connection. It has told and done nothing if it returns
// a refusal.
func (p *peer) askPeer(c *core.Command, whole []byte, a answerer, byTopic bool) refusal {
	var id core.CallID
	if !a.peer.link.Admits(c.Payload.Size() + len(c.Topic)) {
		return refusedSlow
	}
	if c.OneWay {
		if p.engine.calls.isClosed() {
			return refusedShutdown
		}
	} else {
		kept := p.newCall(c, byTopic)
		kept.asked, kept.service, kept.title = a.peer, a.service, a.title
		var r refusal
		// From here on the call may end, and kept be used for another, at any time.
		if id, r = p.engine.calls.add(kept, p.engine.now(), p.timeout(c)); r.Failed() {
			p.engine.recycle(kept)
			return r
		}
	}
	p.taken(c, id, byTopic)
	a.peer.link.Send(a.request(c, id, whole[len(a.peer.endpoint.TopicPrefix):]))
	return refusal{}
}

// taken counts and tells that the call was taken. A one-way call has no id. A
// topic-borne call is told of as a publish, by publishByTopic.
func (p *peer) taken(c *core.Command, id core.CallID, byTopic bool) {
	p.endpoint.Stats.Calls.Add(1)
	if byTopic {
		return
	}
	p.link.Tell(core.Event{Kind: core.Done, Verb: core.Call, Ref: c.Ref, Topic: c.Topic, As: c.As, Call: id})
	if limit := p.endpoint.CallsAtOnce; limit > 0 && !c.OneWay {
		if p.running++; p.running >= limit && !p.full {
			p.full = true
			p.link.Hold()
		}
	}
}

// ended is called when a call that counts for CallsAtOnce has ended. On the loop.
func (p *peer) ended() {
	p.running--
	if p.full && p.running < p.endpoint.CallsAtOnce {
		p.full = false
		p.link.Release()
	}
}

// timeout returns how long the caller waits.
func (p *peer) timeout(c *core.Command) time.Duration {
	if c.Timeout > 0 {
		return min(c.Timeout, maxTimeout)
	}
	return cmp.Or(p.endpoint.Limits.Get().CallTimeout, defaultTimeout)
}

// reply carries out a Reply: it ends the call that it answers, also with an answer that
// may not be given on, which the caller would wait for in vain.
func (p *peer) reply(c *core.Command) refusal {
	asked := p.engine.calls.takeAsked(c.Call, p, c.Topic)
	if asked == nil {
		return refusedNotAsked
	}
	if r := checkPayload(p.endpoint.Limits.Get(), c.Payload); r.Failed() {
		p.engine.fail(asked, refusedAnswer)
		return r
	}
	if c.Failure.Failed() {
		p.engine.fail(asked, refusalOf(c.Failure, core.ReasonAnswerer))
	} else {
		p.engine.answer(asked, c.Payload)
	}
	return refusal{}
}

// Unasked ends a call that did not reach the answerer.
func (p *peer) Unasked(id core.CallID, r core.Reason) {
	c := p.engine.calls.takeAsked(id, p, nil)
	switch {
	case c == nil:
	case r == core.ReasonOverload:
		p.engine.fail(c, refusedSlow)
	default:
		p.engine.fail(c, refusedUnwritable)
	}
}

// answer ends a call that was taken out of the table with its answer. Any goroutine.
func (e *Engine) answer(c *call, payload core.Payload) {
	c.stop()
	s := e.scratch.Get().(*scratch)
	c.tell(c.answered(c.topic(s), payload))
	e.release(s)
	e.recycle(c)
}

// fail ends a call that was taken out of the table with a failure. Any goroutine.
func (e *Engine) fail(c *call, r refusal) {
	c.stop()
	c.caller.endpoint.Stats.CallsFailed.Inc(r.reason)
	s := e.scratch.Get().(*scratch)
	c.tell(c.failed(c.topic(s), r.Failure))
	e.release(s)
	e.recycle(c)
}

// tell sends the caller the end of the call, behind which its next message may be read.
func (c *call) tell(outcome core.Event) {
	c.caller.link.Send(outcome)
	if c.counted {
		c.caller.link.Post(c.caller.ended)
	}
}

// forget ends a call that was taken out of the table because its caller left.
func (e *Engine) forget(c *call) {
	c.stop()
	c.caller.endpoint.Stats.CallsFailed.Inc(core.ReasonGone)
	e.recycle(c)
}
