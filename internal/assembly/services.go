package assembly

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/engine"
	"github.com/polywire/polywire/internal/upstream"
)

// The defaults of a service.
const (
	serviceTimeout   = 5 * time.Second
	serviceMaxAnswer = 1 << 20
	serviceMaxCalls  = 256
)

// service is a configured service and its answerer. Static after construction.
type service struct {
	config   config.Service
	upstream *upstream.Upstream // nil for a builtin
	answerer engine.Service
	stats    *core.ServiceStats // nil for a builtin
}

// newService makes a service. A builtin answers before clients that offer the service; an HTTP
// server answers only what no client offers.
func newService(c config.Service, log *slog.Logger) *service {
	s := &service{config: c}
	if c.URL == "" {
		// echo is the only builtin that config accepts.
		s.answerer = engine.Service{Match: c.Match, Handler: same, First: true}
		return s
	}
	atOnce := cmp.Or(c.MaxCalls, serviceMaxCalls)
	s.stats = new(core.ServiceStats)
	s.upstream = upstream.New(upstream.Options{
		URL: c.URL, Timeout: cmp.Or(c.Timeout, serviceTimeout), MaxAnswer: cmp.Or(int64(c.MaxAnswerSize), serviceMaxAnswer),
		Idle: c.IdleTimeout, MaxConns: atOnce,
		Logger: log.With("service", c.Match),
		Stats:  s.stats,
	})
	s.answerer = engine.Service{Match: c.Match, Handler: s.upstream.Call, AtOnce: atOnce}
	return s
}

// close closes the idle connections to the server.
func (s *service) close() {
	if s.upstream != nil {
		s.upstream.Close()
	}
}

// same answers with the payload of the request.
func same(_ context.Context, c core.Invocation) (core.Payload, error) { return c.Payload, nil }
