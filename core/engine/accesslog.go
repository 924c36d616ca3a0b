package engine

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// AccessLog says what is logged of clients, at level info.
type AccessLog int32

const (
	// AccessOff logs nothing of them.
	AccessOff AccessLog = iota
	// AccessRefusals logs what is refused, and connections that end for a fault: of an endpoint, for a
	// reason, once a minute, with the number of those that are left out.
	AccessRefusals
	// AccessAll logs each of these, and who connects, leaves and subscribes.
	AccessAll
)

// LogAccess sets what is logged of clients from now on; off at first. Any goroutine.
func (e *Engine) LogAccess(a AccessLog) { e.access.set(a) }

// accessLog logs what clients do. Any goroutine.
type accessLog struct {
	log  *slog.Logger // static
	mode atomic.Int32
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

// fault returns the attributes of a line about something that went wrong for a client for a reason; nil if
// it is not logged.
func (a *accessLog) fault(l core.Link, r core.Reason, attrs ...slog.Attr) []slog.Attr {
	switch AccessLog(a.mode.Load()) {
	case AccessOff:
		return nil
	case AccessAll:
		return line(l, append(attrs, slog.String("reason", r.String()))...)
	default:
		return slices.Concat([]slog.Attr{logging.Bounded(l.Endpoint().Name, r.String())}, clientOf(l), attrs)
	}
}

func (a *accessLog) connected(l core.Link) {
	if a.all() {
		a.log.LogAttrs(context.Background(), slog.LevelInfo, "client connected", line(l, slog.String("protocol", l.Endpoint().Protocol))...)
	}
}

// left logs the end of a connection. Ends that nobody is to blame for are not faults.
func (a *accessLog) left(l core.Link, r core.Reason) {
	blameless := r == core.ReasonNormal || r == core.ReasonLost || r == core.ReasonDrain
	if blameless && !a.all() {
		return
	}
	if attrs := a.fault(l, r); attrs != nil {
		a.log.LogAttrs(context.Background(), slog.LevelInfo, "client left", attrs...)
	}
}

// subscribed and unsubscribed log what a client begins and ceases to hear.
func (a *accessLog) subscribed(l core.Link, topic []byte) {
	if a.all() {
		a.log.LogAttrs(context.Background(), slog.LevelInfo, "client subscribed", line(l, logging.Quoted("topic", string(topic)))...)
	}
}

func (a *accessLog) unsubscribed(l core.Link, topic []byte) {
	if a.all() {
		a.log.LogAttrs(context.Background(), slog.LevelInfo, "client unsubscribed", line(l, logging.Quoted("topic", string(topic)))...)
	}
}

// refused logs what a client was refused.
func (a *accessLog) refused(l core.Link, verb core.Verb, topic []byte, r refusal) {
	if a.mode.Load() == int32(AccessOff) {
		return
	}
	attrs := make([]slog.Attr, 0, 4)
	if verb != core.None {
		attrs = append(attrs, slog.String("verb", verb.String()), logging.Quoted("topic", string(topic)))
	}
	if r.Text != "" {
		attrs = append(attrs, logging.Quoted("why", r.Text))
	}
	if attrs = a.fault(l, r.reason, attrs...); attrs != nil {
		a.log.LogAttrs(context.Background(), slog.LevelInfo, "message refused", attrs...)
	}
}
