package engine

import "github.com/polywire/polywire/core"

// scratch is the memory that one publish or call needs for a moment. It is borrowed from
// Engine.scratch and given back by release.
type scratch struct {
	topic   []byte // a whole address
	channel []byte // the same, of a channel
	hits    []*audience
	to      []core.Audience

	// The trace that what is delivered is part of; tracer is nil if it is not recorded.
	tracer core.Tracer
	trace  core.Trace
}

// maxScratch bounds the capacity that goes back to the pool.
const maxScratch = 64 << 10

// release gives s back, without what it points to.
func (e *Engine) release(s *scratch) {
	clear(s.hits)
	clear(s.to)
	s.hits, s.to = s.hits[:0], s.to[:0]
	if s.tracer != nil {
		s.tracer, s.trace = nil, core.Trace{}
	}
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
