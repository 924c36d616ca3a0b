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

// fanOut delivers a message on a whole topic to the audiences that match has found: those
// of one outlet and one As at once, and shows it to the taps that watch it. The bytes are
// borrowed. Messages of one goroutine arrive in the order of its calls. Without mu.
func (e *Engine) fanOut(s *scratch, topic []byte, m *publication) {
	slices.SortFunc(s.hits, compareAudiences)
	for _, a := range s.hits {
		s.to = append(s.to, a.members)
	}
	var seen crossings
	if taps := e.taps.Load(); taps != nil {
		seen = taps.watched(m, topic, s)
		defer seen.end()
	}
	ev := core.Event{Kind: core.Message, Topic: topic, Payload: m.payload, Headers: m.headers, Author: m.author, Read: m.read}
	for from, to := 0, 0; from < len(s.hits); from = to {
		first := s.hits[from]
		for to = from + 1; to < len(s.hits) && compareGroups(first, s.hits[to]) == 0; {
			to++
		}
		ev.As = first.as
		if !m.whole {
			ev.Topic = topic[len(first.endpoint.TopicPrefix):]
		}
		if seen == nil && s.tracer == nil {
			first.endpoint.outlet.Deliver(ev, s.to[from:to], m.except)
			continue
		}
		s.deliverWithin(first.endpoint, ev, s.to[from:to], m.except, seen)
	}
}

// groupEnd returns the end of the audiences from one on that one Deliver serves.
func (s *scratch) groupEnd(from int) (to int) {
	for to = from + 1; to < len(s.hits) && compareGroups(s.hits[from], s.hits[to]) == 0; {
		to++
	}
	return to
}

// groups returns how many times a message is delivered.
func (s *scratch) groups() (n int) {
	for from := 0; from < len(s.hits); from = s.groupEnd(from) {
		n++
	}
	return n
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}
