package engine

import (
	"slices"

	"github.com/polywire/polywire/core"
)

// Fan-out is what happens to a message that may be published: match finds the audiences
// of its topic, fanOut delivers it to them. Neither asks who publishes; publish.go has
// checked that before.

// match finds the audiences of a whole topic. The caller holds mu.
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

// fanOut delivers a message on a whole topic, in which the topic prefix of endpoints stands unless it is the broker's, to the
// audiences that match has found: those of one outlet and one As at once. ev has all of it that is the same for all of
// them. except does not get it; it may be nil. The bytes are borrowed. Messages of one goroutine arrive in the order of
// its calls. Without mu.
func (s *scratch) fanOut(topic []byte, prefixed bool, ev core.Event, except core.Link) {
	ev.Kind = core.Message
	slices.SortFunc(s.hits, compareAudiences)
	for _, a := range s.hits {
		s.to = append(s.to, a.members)
	}
	for from, to := 0, 0; from < len(s.hits); from = to {
		first := s.hits[from]
		for to = from + 1; to < len(s.hits) && compareGroups(first, s.hits[to]) == 0; {
			to++
		}
		ev.Topic, ev.As = topic, first.as
		if prefixed {
			ev.Topic = topic[len(first.endpoint.TopicPrefix):]
		}
		if s.tracer == nil {
			first.endpoint.outlet.Deliver(ev, s.to[from:to], except)
			continue
		}
		s.deliverWithin(first, ev, s.to[from:to], except)
	}
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}
