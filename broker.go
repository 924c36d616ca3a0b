package polywire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/polywire/polywire/admin"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/engine"
	"github.com/polywire/polywire/core/network"
	"github.com/polywire/polywire/upstream"
)

// Broker is one broker. Its methods may be called from any goroutine.
type Broker struct {
	// Static after construction.
	cfg       *config.Config
	log       *slog.Logger
	engine    *engine.Engine
	network   *network.Server
	endpoints []network.Endpoint
	keys      []*keys
	admin     *admin.Server // nil if it is turned off
	upstreams []*upstream.Upstream
	trusts    []*trust
	ready     chan struct{} // closed by Run
	draining  chan struct{} // closed by drain
}

// New makes a broker of a configuration that [config.Load] returned; cfg must
// not be changed after that. A nil logger is slog.Default(). Nothing listens
// yet, but what is made here ends only with Run.
func New(cfg *config.Config, logger *slog.Logger, options ...Option) (*Broker, error) {
	if logger == nil {
		logger = slog.Default()
	}
	b := &Broker{cfg: cfg, log: logger, ready: make(chan struct{}), draining: make(chan struct{})}
	for i := range cfg.Endpoints {
		if cfg.Endpoints[i].Format == nil {
			return nil, fmt.Errorf("endpoint %q has no format: the configuration was not loaded by config.Load", cfg.Endpoints[i].Name)
		}
	}
	own, err := gather(cfg, options)
	if err != nil {
		return nil, err
	}
	limits, err := networkLimits(cfg.Network)
	if err != nil {
		return nil, err
	}
	b.engine = engine.New(engine.Options{Logger: logger, Hooks: own.hooks, MaxServiceCalls: cfg.Calls.MaxPerService})
	b.network = network.New(network.Options{
		Hub: b.engine, Logger: logger, BeforeUpgrade: own.hooks.BeforeUpgrade,
		Loops:            cfg.Network.Loops,
		Limits:           limits,
		HandshakeTimeout: cfg.Network.HandshakeTimeout,
		MaxHeader:        int(cfg.Network.MaxHeader),
		SendBuffer:       int(cfg.Network.SendBuffer),
		OutboundBudget:   int64(cfg.Network.OutboundBudget),
	})
	if err := b.makeEndpoints(own); err != nil {
		b.engine.Close()
		b.closeTrusts()
		return nil, err
	}
	b.addServices()
	if cfg.Admin.Listen != "" {
		b.admin = admin.New(b.adminSource(), logger)
	}
	return b, nil
}

// makeEndpoints turns the configured endpoints into those of the network.
func (b *Broker) makeEndpoints(own *settings) error {
	for i := range b.cfg.Endpoints {
		c := &b.cfg.Endpoints[i]
		policy, err := network.ParseSlowConsumer(c.SlowConsumer)
		if err != nil {
			return fmt.Errorf("endpoint %q: %w", c.Name, err)
		}
		proxyProtocol, err := network.ParseProxyProtocol(c.ProxyProtocol)
		if err != nil {
			return fmt.Errorf("endpoint %q: %w", c.Name, err)
		}
		needs := needsOf(c)
		store, err := sessions(needs, own.stores[c.Name])
		if err != nil {
			return fmt.Errorf("endpoint %q: %w", c.Name, err)
		}
		tlsConfig, err := b.addTLS(c)
		if err != nil {
			return fmt.Errorf("endpoint %q: %w", c.Name, err)
		}
		stats := new(core.Stats)
		trust, err := newTrust(c, stats, b.log.With("endpoint", c.Name))
		if err != nil {
			return fmt.Errorf("endpoint %q: %w", c.Name, err)
		}
		b.trusts = append(b.trusts, trust)
		ep := network.Endpoint{
			Endpoint: &core.Endpoint{
				Name: c.Name, Protocol: c.Protocol, Format: c.Format,
				TopicPrefix: c.TopicPrefix, CallTimeout: c.CallTimeout, MaxCalls: c.MaxCalls,
				CallsAtOnce:   needs.CallsAtOnce,
				Authenticator: trust.chain, Access: trust.rules, Authorizer: trust.authorizer,
				Sessions: store, SessionKeys: own.keys[c.Name], MaxSessionConnections: needs.MaxSessionConnections,
				Limits: core.NewLiveLimits(clientLimits(c.Limits)),
				Stats:  stats,
			},
			Listen: c.Listen, Path: c.Path, TLS: tlsConfig,
			MaxMessage: int(c.MaxMessageSize), OutboundLimit: int(c.OutboundLimit), SlowConsumer: policy,
			PingInterval: c.PingInterval, PongTimeout: c.PongTimeout, IdleTimeout: c.IdleTimeout,
			Origins: c.Origins, ProxyProtocol: proxyProtocol,
		}
		if f, ok := c.Format.(httpFormat); ok {
			ep.HTTP = f.Handler(b.engine.Publisher(ep.Endpoint), ep.Stats)
		}
		b.endpoints = append(b.endpoints, ep)
	}
	return nil
}

// adminSource is what the admin server may see.
func (b *Broker) adminSource() admin.Source {
	stats := b.network.Stats()
	src := admin.Source{
		Version:  Version(),
		Rejected: &stats.Rejected, AcceptErrors: &stats.AcceptErrors,
		Panics: func() uint64 { return stats.Panics.Load() + b.engine.Panics() },
		Calls:  b.engine.Calls, Topics: b.engine.Topics,
		Outbound: b.network.Outbound, OutboundBudget: b.network.OutboundBudget(),
		Memory:       b.network.Memory,
		Certificates: b.certificates,
		Ready:        b.network.Ready,
	}
	for _, ep := range b.endpoints {
		src.Endpoints = append(src.Endpoints, ep.Endpoint)
	}
	return src
}

// Handle makes h answer the calls of a service, or of all services that match a
// pattern, before any client that offers it; nil ends that. Services are named as
// clients name them, without the topic prefix of their endpoints. Of several that
// match, the exact name wins, then the pattern registered first. A handler answers 256
// calls at once; further ones fail with core.Overloaded.
func (b *Broker) Handle(match string, h core.Handler) { b.engine.Handle(match, h) }

// Otherwise makes h answer the calls that nobody else answers; nil ends that.
func (b *Broker) Otherwise(h core.Handler) { b.engine.Otherwise(h) }

// Use puts an interceptor around all handlers: those of Handle and Otherwise, and
// the services of the configuration. The first one is the outermost.
func (b *Broker) Use(i core.Interceptor) { b.engine.Use(i) }

// Ready is closed when all endpoints listen.
func (b *Broker) Ready() <-chan struct{} { return b.ready }

// Draining is closed when Run has begun to end: further calls and clients are refused.
func (b *Broker) Draining() <-chan struct{} { return b.draining }

// Endpoints describes the endpoints in the order of the configuration, with
// their real ports once they listen.
func (b *Broker) Endpoints() []EndpointInfo {
	return describe(b.cfg, func(ep *config.Endpoint) string {
		if addr := b.network.Addr(ep.Name); addr != nil {
			return addr.String()
		}
		return ep.Listen
	})
}

// AdminURL returns the address of the metrics, "" if there is none. The real port
// is known once Ready is closed.
func (b *Broker) AdminURL() string {
	select {
	case <-b.ready:
		if b.admin != nil {
			return metricsURL(b.admin.Addr().String())
		}
	default:
	}
	return AdminURL(b.cfg)
}

// Run serves until ctx ends; then it drains: it lets nobody in, waits for the calls
// under way, says goodbye to all clients at the configured pace, waits for their hooks,
// and returns. It is called once. The error says what could not be started, or not be
// ended in time.
func (b *Broker) Run(ctx context.Context) error {
	defer b.closeTrusts()
	// The admin server comes first and goes last: it tells of starting and
	// draining as well.
	if b.admin != nil {
		if err := b.admin.Start(b.cfg.Admin.Listen); err != nil {
			b.engine.Close()
			return err
		}
	}
	err := b.startPlugins()
	if err == nil {
		err = b.network.Start(b.endpoints)
	}
	if err != nil {
		b.engine.Close()
		b.stopPlugins()
		return errors.Join(fmt.Errorf("starting the endpoints: %w", err), b.stopAdmin())
	}
	close(b.ready)
	var watches sync.WaitGroup
	for _, k := range b.keys {
		watches.Go(func() { k.source.Watch(ctx) })
	}
	<-ctx.Done()
	err = b.drain()
	watches.Wait()
	return err
}

// drain ends everything in order: nobody is let in, calls come to their end, clients
// are told goodbye at the configured pace.
func (b *Broker) drain() error {
	d := b.cfg.Drain
	b.log.Info("draining", "connections", b.network.Connections(), "calls", b.engine.Calls(), "timeout", d.Timeout)
	ctx, cancel := context.WithTimeout(context.Background(), d.Timeout)
	defer cancel()
	b.engine.RefuseCalls()
	b.network.StopAdmitting()
	close(b.draining)
	waiting, stop := context.WithTimeout(ctx, d.Timeout-closingTime(d, b.network.Connections()))
	if err := b.engine.Drain(waiting); err != nil {
		b.log.Warn("ending calls that did not end in time", "error", err)
	}
	stop()
	// Callers hear that their calls have failed before they hear the goodbye.
	b.engine.Close()
	err := errors.Join(b.network.Shutdown(ctx, d.Rate.PerSecond()), b.engine.AwaitHooks(ctx))
	b.stopPlugins()
	for _, u := range b.upstreams {
		u.Close()
	}
	return errors.Join(err, b.stopAdmin())
}

// closingTime returns how much of the time for draining is kept for the closing of n
// connections: as long as their pace takes, from a quarter to a half.
func closingTime(d config.Drain, n int) time.Duration {
	took := time.Duration(0)
	if rate := d.Rate.PerSecond(); rate > 0 {
		took = time.Duration(float64(n) / rate * float64(time.Second))
	}
	return min(max(took, d.Timeout/4), d.Timeout/2)
}

func (b *Broker) stopAdmin() error {
	if b.admin == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return b.admin.Shutdown(ctx)
}
