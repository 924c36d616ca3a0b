package logging

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// window is how long similar lines are only counted.
	window = time.Minute
	// maxEach is how many lines that differ only in each are counted separately.
	maxEach = 16
)

// Bounded returns the attributes endpoint and reason of a line that can come often. The
// first line with the same message, logger, endpoint and reason is logged at once. While
// others follow, the last one of each minute is logged at its end, with left_out, the number
// of lines before it; at level debug all are logged. An empty endpoint or reason adds no
// attribute.
//
// Lines that differ in each are bounded separately. Because each may come from clients, this
// holds for 16 values only.
func Bounded(endpoint, reason string, each ...slog.Attr) slog.Attr {
	return slog.Any("", subject{endpoint, reason, each})
}

// subject is what a bounded line is about.
type subject struct {
	endpoint, reason string
	named            []slog.Attr
}

var _ slog.LogValuer = subject{}

// LogValue returns the attributes, to be inlined.
func (s subject) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, 2+len(s.named))
	if s.endpoint != "" {
		attrs = append(attrs, slog.String("endpoint", s.endpoint))
	}
	if s.reason != "" {
		attrs = append(attrs, slog.String("reason", s.reason))
	}
	return slog.GroupValue(append(attrs, s.named...)...)
}

func (s subject) about() string { return s.endpoint + " " + s.reason }
func (s subject) each() string  { return text(s.named) }

// text returns attributes as a part of a key.
func text(attrs []slog.Attr) string {
	var b strings.Builder
	for _, a := range attrs {
		fmt.Fprintf(&b, "%s=%q ", a.Key, a.Value)
	}
	return b.String()
}

// subjectOf returns the subject of a bounded record.
func subjectOf(r slog.Record) (s subject, ok bool) {
	r.Attrs(func(a slog.Attr) bool {
		if a.Value.Kind() == slog.KindLogValuer {
			s, ok = a.Value.Any().(subject)
		}
		return !ok
	})
	return s, ok
}

// key is what similar lines have in common.
type key struct{ message, scope, about string }

// repeats bounds similar lines. Any goroutine.
type repeats struct {
	// Static after construction.
	queue *queue

	// Guarded by mu.
	mu    sync.Mutex
	lines map[key]map[string]*repeat // by key, then by the other named attributes
}

// repeat counts similar lines since one was logged.
type repeat struct {
	count int   // those not logged
	last  entry // of them
	timer *time.Timer
}

// put logs e if it is the first of its kind, and counts it if not.
func (b *repeats) put(k key, each string, e entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lines == nil {
		b.lines = make(map[key]map[string]*repeat)
	}
	like := b.lines[k]
	if like == nil {
		like = make(map[string]*repeat)
		b.lines[k] = like
	}
	r := like[each]
	if r == nil && len(like) >= maxEach {
		each = ""
		r = like[each]
	}
	if r == nil {
		r = new(repeat)
		r.timer = time.AfterFunc(window, func() { b.over(k, each, r) })
		like[each] = r
		b.queue.put(e)
		return
	}
	r.count++
	r.last = e
	if e.to.Enabled(e.ctx, slog.LevelDebug) {
		e.record.Level = slog.LevelDebug
		b.queue.put(e)
	}
}

// over is called when the window of r is over.
func (b *repeats) over(k key, each string, r *repeat) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.lines[k][each] != r:
		// It was told by tellAll.
	case r.count > 0:
		b.tell(r)
		r.timer.Reset(window)
	default:
		if delete(b.lines[k], each); len(b.lines[k]) == 0 {
			delete(b.lines, k)
		}
	}
}

// tell logs the last line that was not logged. The caller holds mu.
func (b *repeats) tell(r *repeat) {
	e := r.last
	e.record = e.record.Clone()
	if r.count > 1 {
		e.record.Add("left_out", r.count-1)
	}
	b.queue.put(e)
	r.count, r.last = 0, entry{ctx: context.Background()}
}

// tellAll logs all counts and clears them.
func (b *repeats) tellAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, like := range b.lines {
		for _, r := range like {
			r.timer.Stop()
			if r.count > 0 {
				b.tell(r)
			}
		}
	}
	b.lines = nil
}
