package engine

import (
	"slices"

	"github.com/polywire/polywire/core"
)

// publication is one message on its way. Its bytes are borrowed.
type publication struct {
	endpoint *core.Endpoint
	sender   *peer     // nil if it is no connection
	except   core.Link // who does not hear it, or nil
	topic    []byte    // before the prefix
	payload  core.Payload
	headers  []byte
	asOwner  bool
	channel  []byte // before the prefix; read only with asOwner
}

// scratch is what one publish needs for a moment.
type scratch struct {
	topic   []byte
	channel []byte
	hits    []*audience
	to      []core.Audience
}

// maxScratch bounds the capacity that goes back to the pool.
const maxScratch = 64 << 10

// publish tells everyone who hears the topic, counts, and reports whether somebody
// does. The messages of one goroutine arrive in the order of its calls.
func (e *Engine) publish(m publication) (heard bool, r refusal) {
	heard, r = e.deliver(m)
	if r.Failed() {
		m.endpoint.Stats.Refused.Inc(r.reason)
	} else {
		m.endpoint.Stats.Published.Add(1)
	}
	return heard, r
}

func (e *Engine) deliver(m publication) (heard bool, r refusal) {
	if r := checkMessage(m.endpoint.Limits.Get(), m.topic, m.payload); r.Failed() {
		return false, r
	}
	if core.Reserved(m.topic) {
		return false, refusedReserved
	}
	s := e.scratch.Get().(*scratch)
	defer e.release(s)
	topic := prefixed(&s.topic, m.endpoint.TopicPrefix, m.topic)
	var channel []byte
	if m.asOwner {
		channel = prefixed(&s.channel, m.endpoint.TopicPrefix, m.channel)
	}

	e.mu.RLock()
	allowed := e.mayPublish(m.sender, topic, m.asOwner, channel)
	if allowed {
		e.match(s, topic)
	}
	e.mu.RUnlock()
	if !allowed {
		if m.asOwner || !m.sender.mayPublishOwned(m.topic) {
			return false, refusedNotOwner
		}
		e.mu.RLock()
		e.match(s, topic)
		e.mu.RUnlock()
	}

	slices.SortFunc(s.hits, compareAudiences)
	for _, a := range s.hits {
		s.to = append(s.to, a.members)
	}
	for from, to := 0, 0; from < len(s.hits); from = to {
		first := s.hits[from]
		for to = from + 1; to < len(s.hits) && compareGroups(first, s.hits[to]) == 0; {
			to++
		}
		first.endpoint.outlet.Deliver(core.Event{
			Kind: core.Message, Topic: topic[len(first.endpoint.TopicPrefix):], As: first.as,
			Payload: m.payload, Headers: m.headers,
		}, s.to[from:to], m.except)
	}
	return len(s.hits) > 0, refusal{}
}

// match finds the audiences of a topic. The caller holds mu.
func (e *Engine) match(s *scratch, topic []byte) {
	if a := e.topics[string(topic)]; a != nil {
		s.hits = append(s.hits, a.audiences...)
	}
	for _, t := range e.tries {
		if t.size > 0 && hasPrefix(topic, t.prefix) {
			s.hits = t.match(topic[len(t.prefix):], s.hits)
		}
	}
}

// release gives s back, without what it points to.
func (e *Engine) release(s *scratch) {
	clear(s.hits)
	clear(s.to)
	s.hits, s.to = s.hits[:0], s.to[:0]
	if cap(s.hits) <= maxScratch {
		e.scratch.Put(s)
	}
}

// prefixed returns prefix and name together, in *buf if there is a prefix.
func prefixed(buf *[]byte, prefix string, name []byte) []byte {
	if prefix == "" {
		return name
	}
	*buf = append(append((*buf)[:0], prefix...), name...)
	return *buf
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// publish is the command.
func (p *peer) publish(c *core.Command) {
	if core.Reserved(c.Topic) {
		p.publishByTopic(c)
		return
	}
	m := publication{
		endpoint: p.endpoint.Endpoint, sender: p, topic: c.Topic, payload: c.Payload, headers: c.Headers,
		asOwner: c.AsOwner, channel: c.Channel,
	}
	if c.NotToSelf {
		m.except = p.link
	}
	heard, r := p.engine.publish(m)
	if r.Failed() {
		p.tellFailed(c, r)
		return
	}
	listener := p.engine.handlers.table.Load().listeners.find(c.Topic)
	p.link.Tell(core.Event{Kind: core.Done, Verb: c.Verb, Ref: c.Ref, Topic: c.Topic, As: c.As, Unheard: !heard && listener == nil})
	if listener != nil {
		p.notify(c, listener)
	}
}

// publisher is core.Publisher.
type publisher struct {
	engine   *Engine
	endpoint *core.Endpoint
}

var _ core.Publisher = publisher{}

// Publish publishes in the name of the endpoint, and returns when the handler that hears
// it has. The bytes are borrowed.
func (p publisher) Publish(topic []byte, payload core.Payload) core.Failure {
	m := publication{endpoint: p.endpoint, topic: topic, payload: payload}
	listener := p.engine.handlers.table.Load().listeners.find(topic)
	if listener == nil {
		_, r := p.engine.publish(m)
		return r.Failure
	}
	// Taken before the message goes out, so that none goes out unheard. It also bounds how
	// deep a handler calls itself that publishes what it hears.
	if !listener.places.take(nil) {
		p.endpoint.Stats.Refused.Inc(refusedBusy.reason)
		return refusedBusy.Failure
	}
	defer listener.places.give(nil)
	if _, r := p.engine.publish(m); r.Failed() {
		return r.Failure
	}
	p.engine.notify(p.endpoint, topic, payload, listener)
	return core.Failure{}
}
