package polywire

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/polywire/polywire/admin"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/engine"
	"github.com/polywire/polywire/upstream"
)

// What holds for a service that does not say otherwise.
const (
	serviceTimeout   = 5 * time.Second
	serviceMaxAnswer = 1 << 20
	serviceMaxCalls  = 256
)

// service is a configured service and who answers it. Static after construction.
type service struct {
	config   config.Service
	upstream *upstream.Upstream // nil for a builtin
	answerer engine.Service
	stats    *core.ServiceStats // nil for a builtin
}

// addServices makes what answers the configured services. A service that has not changed
// keeps its upstream, with what that knows of the server.
func (d *draft) addServices() {
	for _, c := range d.cfg.Services {
		if i := slices.IndexFunc(d.old.services, func(s *service) bool { return s.config == c }); i >= 0 {
			d.services = append(d.services, d.old.services[i])
			continue
		}
		d.services = append(d.services, newService(c, d.b.log))
	}
	d.onCommit(func() {
		for _, s := range d.old.services {
			if !slices.Contains(d.services, s) {
				s.close()
			}
		}
	})
}

// newService makes a service. A builtin answers before clients that offer the service; an
// HTTP server answers what no client does.
func newService(c config.Service, log *slog.Logger) *service {
	s := &service{config: c}
	if c.URL == "" {
		// echo is the only builtin that config lets through.
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

// serviceStats are the counters of the services that HTTP servers answer, for the metrics.
func (b *Broker) serviceStats() []admin.Service {
	var list []admin.Service
	for _, s := range b.state.Load().services {
		if s.stats != nil {
			list = append(list, admin.Service{Match: s.config.Match, Stats: s.stats})
		}
	}
	return list
}

// close lets the server's idle connections go.
func (s *service) close() {
	if s.upstream != nil {
		s.upstream.Close()
	}
}

// same answers with the payload of the request.
func same(_ context.Context, c core.Invocation) (core.Payload, error) { return c.Payload, nil }
