package engine

import (
	"cmp"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/timers"
)

// The life of a call, in the order of this file:
//
//	call, or callByTopic of topicborne.go   the client asks
//	placeCall                               who answers is found (service.go)
//	askOwner, askHandler                    the call is kept (callTable), the client is told
//	                                        that it was taken, and the answerer is asked
//	reply, RequestUndeliverable,            the call is over, and leaves the table
//	leaveCalls, expire, EndCalls,
//	handler.go
//	end                                     the answerer learns that it is over
//	callEnded                               the client is told the outcome

const (
	// defaultTimeout is for endpoints without a CallTimeout: every call ends.
	defaultTimeout = time.Minute
	// maxTimeout is the longest that a caller may ask for.
	maxTimeout = 24 * time.Hour
	// maxRef bounds the ref of a call, in bytes: it is kept until the call ends.
	maxRef = 256
)

// call is what is kept of a call that waits for its outcome. Whoever takes it out of the
// table ends it, and gives it to recycle; nobody else has it. Names are not its own: a
// client could have much memory with them.
type call struct {
	// Static after callTable.add. For the table:
	id       core.CallID
	caller   caller
	answerer answerer
	service  *service  // for which the answerer is asked; nil if it is a Go handler
	held     int       // bytes that a Go handler is given
	span     core.Span // nil if it is not recorded
	begun    time.Time // zero if it is not measured how long it takes

	// For what the two sides are told:
	title   title  // the whole address of the service
	hidden  int    // how much of title, at its beginning, its caller does not see
	ref     []byte // words, or nil; ref and as are those of the command
	words   []byte
	as      uint32
	byTopic bool // the caller is told by topics
	oneWay  bool // the caller is told nothing
	counted bool // in peer.running of its caller
	far     bool // another node is its caller

	// Owned by who ends the call. A Go handler has the record until it returns, also if the
	// call has ended before.
	inHandler bool
	answered  bool // by another node, or it is gone: it is not told that the call is over

	// Guarded by callTable.mu.
	timer timers.Timer[call]
	in    [numLists]neighbours
}

// Timer returns the timer of the time that the caller waits.
func (c *call) Timer() *timers.Timer[call] { return &c.timer }

// question is a call as its answerer is asked it. Its bytes are borrowed.
type question struct {
	call    core.CallID // zero if no answer is wanted
	service []byte      // the whole address
	payload core.Payload
	timeout time.Duration // of a call that wants an answer
	as      uint32        // as and byTopic are those of the offer
	byTopic bool
	author  string // the format of who asks
}

// outcome is how a call ended: with a failure, or else with an answer. It is borrowed.
type outcome struct {
	refusal
	answer core.Payload
	author string // the format of who answers; "" if it is not known
}

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
	if r := p.placeCall(c, false); r.Failed() {
		p.endpoint.Stats.CallsFailed.Inc(r.reason)
		p.tellFailed(c, r)
	}
}

// placeCall puts a call to whoever answers the service. byTopic is how the caller is told
// of it. That the call was taken is told before anything else happens to it; if it is
// refused, nothing has been told or done.
func (p *peer) placeCall(c *core.Command, byTopic bool) refusal {
	span := p.beginCall(c)
	r := p.placeWithin(c, byTopic, span)
	if r.Failed() {
		endSpan(span, r.Failure)
	}
	return r
}

// placeWithin is placeCall within a span, which ends with the call if it is taken.
func (p *peer) placeWithin(c *core.Command, byTopic bool, span core.Span) refusal {
	s := p.engine.scratch.Get().(*scratch)
	defer p.engine.release(s)
	whole := prefixed(&s.topic, p.endpoint.TopicPrefix, c.Topic)
	for tries := 0; ; tries++ {
		t := p.engine.targetOf(c.Topic, whole)
		switch {
		case t.handler != nil:
			return p.askHandler(c, t.handler, byTopic, span)
		case t.owner == nil:
			return refusedNoService
		}
		if r := p.askOwner(c, whole, t, byTopic, span); !t.another(r, tries) {
			return r
		}
	}
}

// another reports whether another owner is to be asked after t, which has refused with r, as the
// one before tries others. One that leaves between being found and being asked has withdrawn its
// offers by then, so the next round does not find it. For one that is slow another may answer,
// whose turn it is next.
func (t target) another(r refusal, tries int) bool {
	return r == refusedGone || r == refusedSlow && tries < t.others
}

// askOwner puts the call to who offers the service. It has told and done nothing if it
// returns a refusal.
func (p *peer) askOwner(c *core.Command, whole []byte, t target, byTopic bool, span core.Span) refusal {
	e := p.engine
	if !t.owner.admits(c.Payload.Size() + len(c.Topic)) {
		return refusedSlow
	}
	q := question{service: whole, payload: c.Payload, as: t.as, byTopic: t.byTopic, author: p.endpoint.Protocol}
	if c.OneWay {
		if e.calls.isClosed() {
			return refusedShutdown
		}
	} else {
		k := p.newCall(c, byTopic)
		k.answerer, k.service, k.span = t.owner, t.service, span
		k.title, k.hidden = t.title, len(p.endpoint.TopicPrefix)
		q.timeout = p.timeout(c)
		var r refusal
		// From here on the call may end, and k be used for another, at any time.
		if q.call, r = e.calls.add(k, p.maxCalls(), e.now(), q.timeout); r.Failed() {
			e.recycle(k)
			return r
		}
	}
	p.taken(c, q.call, byTopic)
	t.owner.ask(q)
	if c.OneWay {
		endSpan(span, core.Failure{})
	}
	return refusal{}
}

// askHandler puts the call to a Go handler. It has told and done nothing if it returns a
// refusal.
func (p *peer) askHandler(c *core.Command, h *registered, byTopic bool, span core.Span) refusal {
	e := p.engine
	if !h.places.take(&p.party) {
		return refusedBusy
	}
	a := &handlerAnswerer{}
	a.caller = handlerCaller{peer: p, ctx: &a.ctx}
	k := p.newCall(c, byTopic)
	k.answerer, k.inHandler, k.span = a, true, span
	k.title = title{name: serviceOf(c, h.match)}
	k.held = c.Payload.Size() + len(c.Topic)
	var id core.CallID
	var r refusal
	if !c.OneWay {
		id, r = e.calls.add(k, p.maxCalls(), e.now(), p.timeout(c))
	} else if r = e.calls.hold(k); !r.Failed() {
		// It is not in the table: a caller that leaves does not take it back, only time does.
		a.ctx.limit(e.ctx, p.timeout(c))
	}
	if r.Failed() {
		h.places.give(&p.party)
		return r
	}
	p.taken(c, id, byTopic)
	e.running.Add(1)
	t := e.tasks.Get().(*task)
	t.by, t.in, t.call, t.answerer = h, p.invocation(c, k.title.name), k, a
	t.in.Caller = &a.caller
	if span != nil {
		t.in.Trace = span.Trace()
	}
	e.workers.add(p.link, t)
	return refusal{}
}

// newCall returns what is to be kept of a call, but for who is asked.
func (p *peer) newCall(c *core.Command, byTopic bool) *call {
	k := p.engine.records.Get().(*call)
	k.caller, k.byTopic, k.as, k.oneWay = p, byTopic, c.As, c.OneWay
	if c.OneWay {
		return k
	}
	k.counted = p.endpoint.CallsAtOnce > 0 && !byTopic
	k.words = append(k.words[:0], c.Ref...)
	if c.Ref != nil {
		k.ref = k.words
	}
	return k
}

// maxCalls returns how many unanswered calls the connection may have.
func (p *peer) maxCalls() int {
	if limit := p.endpoint.Limits.Get().Calls; limit > 0 {
		return limit
	}
	return defaultMaxCalls
}

// timeout returns how long the caller waits.
func (p *peer) timeout(c *core.Command) time.Duration {
	if c.Timeout > 0 {
		return min(c.Timeout, maxTimeout)
	}
	return cmp.Or(p.endpoint.Limits.Get().CallTimeout, defaultTimeout)
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

// here: it is a connection of this process.
func (p *peer) here() bool { return true }

// admits reports whether the client may be sent a request of n bytes. Any goroutine.
func (p *peer) admits(n int) bool { return p.link.Admits(n) }

// ask sends the client a request. Any goroutine.
func (p *peer) ask(q question) {
	service := q.service[len(p.endpoint.TopicPrefix):]
	if q.byTopic {
		ev := core.RequestByTopic(q.call, service, q.payload)
		ev.Author = q.author
		p.link.Send(ev)
		return
	}
	p.link.Send(core.Event{
		Kind: core.Request, Call: q.call, Topic: service, As: q.as, Payload: q.payload, OneWay: q.call == core.CallID{}, Author: q.author,
	})
}

// reply carries out a Reply: it ends the call that it answers, also with an answer that
// must not reach the caller, which would wait for another in vain.
func (p *peer) reply(c *core.Command) refusal {
	k := p.takeAsked(c.Call, c.Topic)
	if k == nil {
		return refusedNotAsked
	}
	if r := checkPayload(p.endpoint.Limits.Get(), c.Payload); r.Failed() {
		p.engine.end(k, outcome{refusal: refusedAnswer})
		return r
	}
	if c.Failure.Failed() {
		p.engine.end(k, outcome{refusal: refusalOf(c.Failure, core.ReasonAnswerer)})
	} else {
		p.engine.end(k, outcome{answer: c.Payload, author: p.endpoint.Protocol})
	}
	return refusal{}
}

// RequestUndeliverable ends a call whose request did not reach the client.
func (p *peer) RequestUndeliverable(id core.CallID, r core.Reason) {
	k := p.takeAsked(id, nil)
	switch {
	case k == nil:
	case r == core.ReasonOverload:
		p.engine.end(k, outcome{refusal: refusedSlow})
	default:
		p.engine.end(k, outcome{refusal: refusedUnwritable})
	}
}

// takeAsked takes the call of an id out of the table, or returns nil if the client was not
// asked that. service is what the client calls it; nil is not compared.
func (p *peer) takeAsked(id core.CallID, service []byte) *call {
	return p.engine.calls.take(id, p, func(k *call) bool {
		return service == nil || k.title.is(p.endpoint.TopicPrefix, service)
	})
}

// leaveCalls ends the calls of a connection that is gone: those that it made, of which it is
// told nothing, and those that it was to answer.
func (p *peer) leaveCalls() {
	asking, asked := p.engine.calls.leave(&p.party)
	for _, k := range asking {
		k.answerer.callOver(k)
		endSpan(k.span, refusedGone.Failure)
		p.endpoint.Stats.CallsFailed.Inc(core.ReasonGone)
		p.countTime(k, false)
		p.engine.recycle(k)
	}
	for _, k := range asked {
		p.engine.end(k, outcome{refusal: refusedGone})
	}
}

// expire ends the calls whose time is up.
func (e *Engine) expire() {
	for _, k := range e.calls.expire(e.now()) {
		e.end(k, outcome{refusal: refusedTimeout})
	}
}

// EndCalls ends all calls with Shutdown; those that are made from then on fail with it. All
// else goes on. Any goroutine.
func (e *Engine) EndCalls() {
	for _, k := range e.calls.close() {
		e.end(k, outcome{refusal: refusedShutdown})
	}
}

// end ends a call that was taken out of the table, or is one-way: its answerer learns that
// it is over, and then its caller how it ended. Any goroutine.
func (e *Engine) end(c *call, o outcome) {
	c.answerer.callOver(c)
	endSpan(c.span, o.Failure)
	c.caller.callEnded(c, o)
	e.recycle(c)
}

// recycle keeps the record for another call. One that a Go handler has still is left to the
// garbage collector.
func (e *Engine) recycle(c *call) {
	if c.inHandler {
		return
	}
	*c = call{words: c.words[:0]}
	e.records.Put(c)
}

// A connection is both sides of calls.
var (
	_ caller   = (*peer)(nil)
	_ answerer = (*peer)(nil)
)

// callParty is the connection's part in the table.
func (p *peer) callParty() *party { return &p.party }

// callOver does nothing: no format has a word for it.
func (p *peer) callOver(*call) {}

// callEnded counts a call that failed, and tells the client how its call ended, behind which
// its next message may be read.
func (p *peer) callEnded(c *call, o outcome) {
	if o.Failed() {
		p.endpoint.Stats.CallsFailed.Inc(o.reason)
	}
	if c.oneWay {
		return
	}
	p.countTime(c, !o.Failed())
	s := p.engine.scratch.Get().(*scratch)
	p.link.Send(c.event(s, o))
	p.engine.release(s)
	if c.counted {
		p.link.Post(p.endRunning)
	}
}

// countTime counts how long a call took that is over, if that is measured.
func (p *peer) countTime(c *call, answered bool) {
	if c.begun.IsZero() {
		return
	}
	p.endpoint.Stats.CallTimes.Observe(p.engine.now().Sub(c.begun), answered)
}

// event returns what tells the caller the outcome. It may lie in s.
func (c *call) event(s *scratch, o outcome) core.Event {
	switch {
	case c.byTopic && o.Failed():
		return core.FailureByTopic(c.ref, o.Failure)
	case c.byTopic:
		ev := core.AnswerByTopic(c.ref, o.answer)
		ev.Author = o.author
		return ev
	}
	ev := core.Event{Kind: core.Answer, Verb: core.Call, Call: c.id, Ref: c.ref, Topic: c.topic(s), As: c.as, Payload: o.answer, Author: o.author}
	if o.Failed() {
		ev.Kind, ev.Failure = core.Failed, o.Failure
	}
	return ev
}

// topic returns the service as the caller knows it, in s.
func (c *call) topic(s *scratch) []byte {
	s.topic = c.title.appendTo(s.topic[:0])
	return s.topic[c.hidden:]
}

// endRunning is called when a call that counts for CallsAtOnce has ended. On the loop.
func (p *peer) endRunning() {
	p.running--
	if p.full && p.running < p.endpoint.CallsAtOnce {
		p.full = false
		p.link.Release()
	}
}
