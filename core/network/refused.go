package network

import (
	"context"
	"log/slog"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// refusal is why a client is not let in.
type refusal struct {
	reason core.Reason
	status int // of the HTTP response; 0 for none
	// why is text for people. It contains nothing that the client sent, because log lines that
	// differ in it are bounded separately.
	why string
	// values are what the client sent, and what would have been right.
	values []slog.Attr
}

// logRefusal logs that a client is not let in at an endpoint.
func (s *Server) logRefusal(endpoint, client string, r refusal) {
	s.logTurnedAway(endpoint, "", client, r)
}

// logRefusal logs that a client is turned away before its endpoint is known. The listen address
// then hints at which client it was.
func (d *door) logRefusal(client string, r refusal) { d.server.logTurnedAway("", d.listen, client, r) }

func (s *Server) logTurnedAway(endpoint, listen, client string, r refusal) {
	if r.reason == core.ReasonLost {
		// It left by itself, as a port check does.
		s.log.Debug("client left before it was let in", "endpoint", endpoint, "listen", listen, "remote", client)
		return
	}
	s.away.add(endpoint, listen, client, r, s.ids.Load(), time.Now())
	each := []slog.Attr{slog.String("why", r.why)}
	if listen != "" {
		each = append(each, slog.String("listen", listen))
	}
	if r.reason == core.ReasonOrigin {
		// Pages are few, and each is somebody's mistake.
		each = append(each, r.values...)
		r.values = nil
	}
	attrs := append([]slog.Attr{logging.Bounded(endpoint, r.reason.String(), each...), slog.String("remote", client)}, r.values...)
	s.log.LogAttrs(context.Background(), slog.LevelInfo, "client refused", attrs...)
}

// cause returns the error with which an authenticator or hook refuses a client; nil if there
// is none.
func cause(err error) []slog.Attr {
	if err == nil {
		return nil
	}
	return []slog.Attr{logging.Quoted("error", err.Error())}
}

// userOf returns the client's user.
func userOf(h core.Handshake) []slog.Attr {
	return []slog.Attr{logging.Quoted("user", h.Identity.User())}
}
