package network

import (
	"sync/atomic"

	"github.com/polywire/polywire/core"
)

// writing is the span of a delivery, which ends when the last frame of it is released: then it is written to all
// receivers, or dropped. Its methods may be called on nil. Any goroutine.
type writing struct {
	span core.Span // static
	refs atomic.Int32
}

// newWriting returns the writing of a span with one reference; nil for no span.
func newWriting(span core.Span) *writing {
	if span == nil {
		return nil
	}
	w := &writing{span: span}
	w.refs.Store(1)
	return w
}

func (w *writing) retain() {
	if w != nil {
		w.refs.Add(1)
	}
}

func (w *writing) release() {
	if w != nil && w.refs.Add(-1) == 0 {
		w.span.End(core.Failure{})
	}
}
