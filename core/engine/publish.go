package engine

import (
	"time"

	"github.com/polywire/polywire/core"
)

// publication is a message as its publisher hands it in. Its bytes are borrowed.
type publication struct {
	endpoint *core.Endpoint
	sender   *peer     // nil if it is no connection
	except   core.Link // who does not hear it, or nil
	topic    []byte    // before the prefix
	payload  core.Payload
	headers  []byte
	asOwner  bool
	channel  []byte        // before the prefix; read only with asOwner
	read     time.Duration // when it was read, as of core.Command; 0 if the network did not say
	from     core.TapFrom
	author   string // the format of the publisher
	whole    bool   // the endpoints' topic prefix is no part of the topic
}

// publish is the command.
func (p *peer) publish(c *core.Command) {
	if core.Reserved(c.Topic) {
		p.publishByTopic(c)
		return
	}
	m := publication{
		endpoint: p.endpoint.Endpoint, sender: p, topic: c.Topic, payload: c.Payload, headers: c.Headers,
		asOwner: c.AsOwner, channel: c.Channel, read: c.Read, from: core.FromConnection,
	}
	if c.NotToSelf {
		m.except = p.link
	}
	heard, r := p.engine.publish(&m)
	if r.Failed() {
		p.tellFailed(c, r)
		return
	}
	listener := p.engine.handlers.table.Load().listeners.find(c.Topic)
	unheard := !heard && listener == nil && p.engine.backplane == nil // who hears on other nodes is not known
	p.link.Tell(core.Event{Kind: core.Done, Verb: c.Verb, Ref: c.Ref, Topic: c.Topic, As: c.As, Unheard: unheard})
	if listener != nil {
		p.notify(c, listener)
	}
}

// publisher is core.Publisher.
type publisher struct {
	engine   *Engine
	endpoint *core.Endpoint
	from     core.TapFrom
}

var _ core.Publisher = publisher{}

// Publish publishes in the name of the endpoint. It returns when the handler that hears the
// message has returned. The bytes are borrowed.
func (p publisher) Publish(topic []byte, payload core.Payload) core.Failure {
	m := publication{endpoint: p.endpoint, topic: topic, payload: payload, from: p.from}
	listener := p.engine.handlers.table.Load().listeners.find(topic)
	if listener == nil {
		_, r := p.engine.publish(&m)
		return r.Failure
	}
	// Taken before the message goes out, so that none goes out unheard. It also bounds how
	// deep a handler calls itself that publishes what it hears.
	if !listener.places.take(nil) {
		p.endpoint.Stats.Refused.Inc(refusedBusy.reason)
		return refusedBusy.Failure
	}
	defer listener.places.give(nil)
	if _, r := p.engine.publish(&m); r.Failed() {
		return r.Failure
	}
	p.engine.notify(p.endpoint, topic, payload, listener)
	return core.Failure{}
}

// publish checks m, delivers it to all who hear its topic, passes it on to the other nodes,
// counts it, and reports whether somebody here hears it. The messages of one goroutine arrive in the order of its calls.
func (e *Engine) publish(m *publication) (heard bool, r refusal) {
	if e.tracer == nil {
		return e.publishWithin(m, nil)
	}
	span := e.beginPublish(m)
	if span == nil {
		return e.publishWithin(m, nil)
	}
	trace := span.Trace()
	heard, r = e.publishWithin(m, &trace)
	span.End(r.Failure)
	return heard, r
}

// publishWithin is publish within a trace, or without one.
func (e *Engine) publishWithin(m *publication, trace *core.Trace) (heard bool, r refusal) {
	if r := checkMessage(m.endpoint.Limits.Get(), m.topic, m.payload); r.Failed() {
		return false, m.refused(r)
	}
	if core.Reserved(m.topic) || e.isSys(m.topic) {
		return false, m.refused(refusedReserved)
	}
	s := e.scratch.Get().(*scratch)
	defer e.release(s)
	topic := prefixed(&s.topic, m.endpoint.TopicPrefix, m.topic)
	if !e.matchAllowed(s, m, topic) {
		return false, m.refused(refusedNotOwner)
	}
	if trace != nil {
		s.within(e.tracer, *trace)
	}
	m.author = m.endpoint.Protocol
	e.fanOut(s, topic, m)
	if e.backplane != nil {
		e.backplane.Publish(topic, m.payload, m.headers)
	}
	m.endpoint.Stats.Published.Add(1)
	return len(s.hits) > 0, refusal{}
}

// refused counts a refusal of m, which it returns.
func (m *publication) refused(r refusal) refusal {
	m.endpoint.Stats.Refused.Inc(r.reason)
	return r
}

// matchAllowed reports whether the owners of channels, or the sender's rights, allow m, and
// matches its whole topic if they do. Both are done under one lock, which every publish
// takes.
func (e *Engine) matchAllowed(s *scratch, m *publication, topic []byte) bool {
	var channel []byte
	if m.asOwner {
		channel = prefixed(&s.channel, m.endpoint.TopicPrefix, m.channel)
	}
	var sender owner // nobody, and not a peer that is nil, if it is no connection
	if m.sender != nil {
		sender = m.sender
	}
	e.mu.RLock()
	allowed := e.mayPublish(sender, topic, m.asOwner, channel)
	if allowed {
		e.match(s, topic)
	}
	e.mu.RUnlock()
	if allowed {
		return true
	}
	// Access is asked without the lock.
	if m.asOwner || !m.sender.mayPublishOwned(m.topic) {
		return false
	}
	e.mu.RLock()
	e.match(s, topic)
	e.mu.RUnlock()
	return true
}
