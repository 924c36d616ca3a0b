package logging

import (
	"context"
	"log/slog"
	"time"
)

// Handler is a [slog.Handler] that queues records for another one. Handle never waits
// for it.
type Handler struct {
	// Static after construction.
	to     slog.Handler
	scope  string // the attributes of With and WithGroup, to distinguish loggers
	shared *shared
}

// shared is the state that a Handler shares with those that With derives from it.
type shared struct {
	queue   queue
	repeats repeats
}

var _ slog.Handler = (*Handler)(nil)

// New returns a Handler that hands records to another one, one at a time. The other one may
// block.
func New(to slog.Handler) *Handler {
	s := new(shared)
	s.queue.complain = to
	s.repeats.queue = &s.queue
	return &Handler{to: to, shared: s}
}

// Enabled asks the other handler, on the goroutine of the caller.
func (h *Handler) Enabled(ctx context.Context, l slog.Level) bool { return h.to.Enabled(ctx, l) }

// Handle queues a record; the error is always nil.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	e := entry{ctx: context.WithoutCancel(ctx), to: h.to, record: r.Clone()}
	if what, ok := subjectOf(r); ok {
		h.shared.repeats.put(key{message: r.Message, scope: h.scope, about: what.about()}, what.each(), e)
	} else {
		h.shared.queue.put(e)
	}
	return nil
}

// WithAttrs returns a Handler with the same queue.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{to: h.to.WithAttrs(attrs), scope: h.scope + text(attrs), shared: h.shared}
}

// WithGroup returns a Handler with the same queue.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{to: h.to.WithGroup(name), scope: h.scope + name + ".", shared: h.shared}
}

// Dropped returns how many records were lost because the queue was full or the other handler
// failed. Any goroutine.
func (h *Handler) Dropped() uint64 { return h.shared.queue.dropped.Load() }

// Flush logs the pending counts and waits until the other handler has got all records, or
// until limit is over. The Handler can still be used afterwards.
func (h *Handler) Flush(limit time.Duration) {
	h.shared.repeats.tellAll()
	h.shared.queue.flush(limit)
}
