package polywire

import (
	"context"
	"log/slog"
	"time"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/upstream"
)

// What holds for a service that does not say otherwise.
const (
	serviceTimeout   = 5 * time.Second
	serviceMaxAnswer = 1 << 20
	serviceMaxCalls  = 256
)

// addServices makes the configured services answer. A builtin answers before
// clients that offer the service; an HTTP server answers what no client does.
func (b *Broker) addServices() {
	for _, s := range b.cfg.Services {
		if s.URL == "" {
			// echo is the only builtin that config lets through.
			b.engine.Handle(s.Match, echo)
			continue
		}
		if s.MaxCalls == 0 {
			s.MaxCalls = serviceMaxCalls
		}
		u := newUpstream(s, b.log)
		b.upstreams = append(b.upstreams, u)
		b.engine.Fallback(s.Match, u.Call, s.MaxCalls)
	}
}

func newUpstream(s config.Service, log *slog.Logger) *upstream.Upstream {
	o := upstream.Options{
		URL: s.URL, Timeout: s.Timeout, MaxAnswer: int64(s.MaxAnswerSize), MaxConns: s.MaxCalls,
		Logger: log.With("service", s.Match),
	}
	if o.Timeout == 0 {
		o.Timeout = serviceTimeout
	}
	if o.MaxAnswer == 0 {
		o.MaxAnswer = serviceMaxAnswer
	}
	return upstream.New(o)
}

// echo answers with the payload.
func echo(_ context.Context, c core.Invocation) (core.Payload, error) { return c.Payload, nil }
