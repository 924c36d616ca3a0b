package engine

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// AccessLog says what is logged of clients, at level info.
type AccessLog int32

const (
	// AccessOff logs nothing of them.
	AccessOff AccessLog = iota
	// AccessRefusals logs what is refused, and connections that end for a fault: of an endpoint, for a
	// reason, the first, and then the last one of each minute.
	AccessRefusals
	// AccessAll logs each of these, and who connects, leaves and subscribes.
	AccessAll
)

// LogAccess sets what is logged of clients from now on; off at first. Any goroutine.
func (e *Engine) LogAccess(a AccessLog) { e.access.set(a) }

// accessLines is how many lines about clients are written in a second. With AccessRefusals there are far fewer.
const accessLines = 1000

// accessLog logs what clients do. Any goroutine.
type accessLog struct {
	// Static.
	log *slog.Logger
	now func() time.Time

	mode atomic.Int32

	// Guarded by mu.
	mu      sync.Mutex
	second  int64  // since the epoch
	written int    // lines in that second
	leftOut int    // lines since the last one that was written
	lost    uint64 // lines that were left out
}

// LogLeftOut returns how many lines about clients were left out, because there were too many at once. Any goroutine.
func (e *Engine) LogLeftOut() uint64 {
	e.access.mu.Lock()
	defer e.access.mu.Unlock()
	return e.access.lost
}

// admit reports whether a line may be written in this second, and counts it if it may not. The line says with the
// attributes how many are missing before it.
func (a *accessLog) admit() (missing []slog.Attr, ok bool) {
	second := a.now().Unix()
	a.mu.Lock()
	defer a.mu.Unlock()
	if second != a.second {
		a.second, a.written = second, 0
	}
	if a.written >= accessLines {
		a.leftOut++
		a.lost++
		return nil, false
	}
	a.written++
	if a.leftOut > 0 {
		missing = []slog.Attr{slog.Int("left_out", a.leftOut)}
		a.leftOut = 0
	}
	return missing, true
}

func (a *accessLog) set(mode AccessLog) { a.mode.Store(int32(mode)) }

// all reports whether everything is logged.
func (a *accessLog) all() bool { return a.mode.Load() >= int32(AccessAll) }

// clientOf returns who a line is about.
func clientOf(l core.Link) []slog.Attr {
	return []slog.Attr{slog.Uint64("conn", l.ID()), slog.String("remote", l.Remote()), logging.Quoted("user", l.Identity().User())}
}

// line returns the attributes of a line about a client.
func line(l core.Link, attrs ...slog.Attr) []slog.Attr {
	return slices.Concat([]slog.Attr{slog.String("endpoint", l.Endpoint().Name)}, clientOf(l), attrs)
}

// faultPause is the time between two faults of an endpoint, for a reason, that are made into lines with
// AccessRefusals: a client that is refused as fast as it can send must not cost its neighbours the time of
// lines which nobody is shown.
const faultPause = time.Second

// pauses say for each reason from when on, in nanoseconds since the epoch, a fault is made into a line. Atomic.
type pauses [core.NumReasons]atomic.Int64

// over reports whether the pause of a reason is over at a time, and begins it anew.
func (p *pauses) over(r core.Reason, now time.Time) bool {
	next := p[r].Load()
	return now.UnixNano() >= next && p[r].CompareAndSwap(next, now.Add(faultPause).UnixNano())
}

// wants reports whether a fault is made into a line.
func (a *accessLog) wants(r core.Reason, p *pauses, now func() time.Time) bool {
	switch AccessLog(a.mode.Load()) {
	case AccessOff:
		return false
	case AccessAll:
		return true
	default:
		return p.over(r, now())
	}
}

// fault returns the attributes of a line about something that went wrong for a client for a reason.
func (a *accessLog) fault(l core.Link, r core.Reason, attrs ...slog.Attr) []slog.Attr {
	if a.all() {
		return line(l, append(attrs, slog.String("reason", r.String()))...)
	}
	return slices.Concat([]slog.Attr{logging.Bounded(l.Endpoint().Name, r.String())}, clientOf(l), attrs)
}

func (a *accessLog) connected(l core.Link) {
	if !a.all() {
		return
	}
	if missing, ok := a.admit(); ok {
		a.log.LogAttrs(context.Background(), slog.LevelInfo, "client connected",
			line(l, append(missing, slog.String("protocol", l.Endpoint().Protocol))...)...)
	}
}

// left logs the end of a connection. Ends that nobody is to blame for are not faults.
func (a *accessLog) left(p *peer, r core.Reason) {
	blameless := r == core.ReasonNormal || r == core.ReasonLost || r == core.ReasonDrain
	if blameless && !a.all() || !a.wants(r, &p.endpoint.ends, p.engine.now) {
		return
	}
	if missing, ok := a.admit(); ok {
		a.log.LogAttrs(context.Background(), slog.LevelInfo, "client left", a.fault(p.link, r, missing...)...)
	}
}

// subscribed and unsubscribed log what a client begins and ceases to hear.
func (a *accessLog) subscribed(l core.Link, topic []byte) {
	if !a.all() {
		return
	}
	if missing, ok := a.admit(); ok {
		a.log.LogAttrs(context.Background(), slog.LevelInfo, "client subscribed",
			line(l, append(missing, logging.Quoted("topic", string(topic)))...)...)
	}
}

func (a *accessLog) unsubscribed(l core.Link, topic []byte) {
	if !a.all() {
		return
	}
	if missing, ok := a.admit(); ok {
		a.log.LogAttrs(context.Background(), slog.LevelInfo, "client unsubscribed",
			line(l, append(missing, logging.Quoted("topic", string(topic)))...)...)
	}
}

// refused logs what a client was refused.
func (a *accessLog) refused(p *peer, verb core.Verb, topic []byte, r refusal) {
	if !a.wants(r.reason, &p.endpoint.refusals, p.engine.now) {
		return
	}
	attrs, ok := a.admit()
	if !ok {
		return
	}
	if verb != core.None {
		attrs = append(attrs, slog.String("verb", verb.String()), logging.Quoted("topic", string(topic)))
	}
	if r.Text != "" {
		attrs = append(attrs, logging.Quoted("why", r.Text))
	}
	a.log.LogAttrs(context.Background(), slog.LevelInfo, "message refused", a.fault(p.link, r.reason, attrs...)...)
}
