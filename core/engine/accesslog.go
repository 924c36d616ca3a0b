package engine

import (
	"context"
	"log/slog"
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

// line logs what a client did.
func (a *accessLog) line(text string, l core.Link, attrs ...slog.Attr) {
	own := []slog.Attr{
		slog.String("endpoint", l.Endpoint().Name), slog.Uint64("conn", l.ID()), slog.String("remote", l.Remote()), logging.Quoted("user", l.Identity().User()),
	}
	a.log.LogAttrs(context.Background(), slog.LevelInfo, text, append(own, attrs...)...)
}

// fault logs what went wrong for a client for a reason.
func (a *accessLog) fault(text string, l core.Link, r core.Reason, attrs ...slog.Attr) {
	switch AccessLog(a.mode.Load()) {
	case AccessOff:
	case AccessAll:
		a.line(text, l, append(attrs, slog.String("reason", r.String()))...)
	default:
		own := []slog.Attr{
			logging.Bounded(l.Endpoint().Name, r.String()), slog.Uint64("conn", l.ID()), slog.String("remote", l.Remote()), logging.Quoted("user", l.Identity().User()),
		}
		a.log.LogAttrs(context.Background(), slog.LevelInfo, text, append(own, attrs...)...)
	}
}

func (a *accessLog) connected(l core.Link) {
	if a.all() {
		a.line("client connected", l, slog.String("protocol", l.Endpoint().Protocol))
	}
}

// left logs the end of a connection. Ends that nobody is to blame for are not faults.
func (a *accessLog) left(l core.Link, r core.Reason) {
	switch r {
	case core.ReasonNormal, core.ReasonLost, core.ReasonDrain:
		if a.all() {
			a.line("client left", l, slog.String("reason", r.String()))
		}
	default:
		a.fault("client left", l, r)
	}
}

// subscribed and unsubscribed log what a client begins and ceases to hear.
func (a *accessLog) subscribed(l core.Link, topic []byte) {
	if a.all() {
		a.line("client subscribed", l, logging.Quoted("topic", string(topic)))
	}
}

func (a *accessLog) unsubscribed(l core.Link, topic []byte) {
	if a.all() {
		a.line("client unsubscribed", l, logging.Quoted("topic", string(topic)))
	}
}

// refused logs what a client was refused.
func (a *accessLog) refused(l core.Link, verb core.Verb, topic []byte, r refusal) {
	if a.mode.Load() == int32(AccessOff) {
		return
	}
	attrs := make([]slog.Attr, 0, 3)
	if verb != core.None {
		attrs = append(attrs, slog.String("verb", verb.String()), logging.Quoted("topic", string(topic)))
	}
	if r.Text != "" {
		attrs = append(attrs, logging.Quoted("why", r.Text))
	}
	a.fault("message refused", l, r.reason, attrs...)
}
