package assembly

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/engine"
	"github.com/polywire/polywire/core/network"
	"github.com/polywire/polywire/internal/bridge"
	"github.com/polywire/polywire/internal/events"
)

// Program is what the embedding program adds to the configuration. It is not changed after it was
// handed over.
type Program struct {
	// Hooks are called for connections and sessions; only those given to New count.
	Hooks core.Hooks
	// Stores keep the sessions of the endpoints with these names, instead of where the
	// configuration says; Keys make the keys of their new sessions.
	Stores map[string]core.SessionStore
	Keys   map[string]core.SessionKeys
	// Version is the version of the broker.
	Version string
	// Listen opens the socket of an address for an endpoint, as [network.Options] describes; only
	// the one given to New counts. Required.
	Listen func(endpoint, address string) (net.Listener, error)
}

// Parts are everything that a broker serves with: one engine and one network for its whole life,
// and what was built from the configuration in force. Start, Replace and Close are called by one
// goroutine at a time; all else by any.
type Parts struct {
	// Static after construction.
	Engine     *engine.Engine
	Network    *network.Server
	log        *slog.Logger
	background *background
	starts     []func() // run by Start
	cluster    *cluster // nil if the broker is alone
	nodes      *nodes   // likewise
	neighbours *bridge.Neighbours
	traces     *traces // nil if none are recorded
	hub        *events.Hub
	topics     *events.Topics

	// Atomic. Written by Replace.
	state atomic.Pointer[state]
}

// New builds everything that serves a loaded configuration. Nothing runs until Start. Close
// releases it in any case; after an error there is nothing to release.
func New(cfg *config.Config, program Program, log *slog.Logger) (*Parts, error) {
	p := &Parts{log: log, background: newBackground()}
	var err error
	if p.cluster, err = newCluster(cfg.Cluster, log); err != nil {
		return nil, err
	}
	if p.traces, err = newTraces(cfg, program.Version, log); err != nil {
		return nil, err
	}
	p.neighbours = p.cluster.neighbours()
	p.hub = newEventHub(p.cluster)
	p.Engine = engine.New(engine.Options{
		Logger: log, Hooks: program.Hooks, Backplane: p.cluster.port(),
		MaxServiceCalls: cfg.Calls.MaxPerService, CallBudget: int(cfg.Calls.Budget),
		Tracer: p.traces.tracer(),
	})
	p.nodes = newNodes(p.Engine, p.cluster, p.background)
	p.Network = network.New(network.Options{
		Hub: p.Engine, Logger: log, BeforeUpgrade: program.Hooks.BeforeUpgrade,
		Listen:           program.Listen,
		Bridges:          p.neighbours,
		Loops:            cfg.Network.Loops,
		NumbersAfter:     p.cluster.numbersAfter(),
		Places:           p.cluster.places(),
		Farewell:         p.endBridges,
		HandshakeTimeout: cfg.Network.HandshakeTimeout,
		HTTPIdleTimeout:  cfg.Network.HTTPIdleTimeout,
		MaxHeader:        int(cfg.Network.MaxHeader),
		MaxHeaderFields:  cfg.Network.MaxHeaderFields,
		SendBuffer:       int(cfg.Network.SendBuffer),
		OutboundBudget:   int64(cfg.Network.OutboundBudget),
		InboundBudget:    int64(cfg.Network.InboundBudget),
	})
	p.topics = newTopics(p.hub, p.Engine, p.Network, log)
	p.state.Store(&state{cfg: new(config.Config)})
	first, err := p.prepare(cfg, program, false)
	if err != nil {
		p.Close()
		return nil, err
	}
	first.commit()
	p.state.Store(first.state)
	p.starts = first.starts
	return p, nil
}

// Start starts the engine, the background work and the plugins, and then listens. It is called
// once. After an error no client is served, and Close ends what runs.
func (p *Parts) Start() error {
	p.cluster.start(p.Engine, p.Network, p.neighbours, p.nodes)
	p.Engine.Start()
	p.background.run(func() { p.topics.Run(p.background.ctx) })
	p.background.run(func() { p.nodes.measure(p.background.ctx) })
	var errs []error
	for _, b := range p.state.Load().bridges { // before they connect, which is one of starts
		if err := b.startPlugin(p.log); err != nil {
			errs = append(errs, err)
		}
	}
	callAll(p.starts)
	sites := p.state.Load().sites
	for _, s := range sites {
		if err := s.start(p.log); err != nil {
			errs = append(errs, fmt.Errorf("endpoint %q: %w", s.name(), err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return p.Network.Start(served(sites))
}

// Replace puts another loaded configuration in force while the endpoints are served. Everything
// that can fail comes first, and listening is the last of that: after an error nothing has changed.
// The connections of endpoints that end hear the goodbye in the background, at the pace of drain.
func (p *Parts) Replace(cfg *config.Config, program Program) error {
	next, err := p.prepare(cfg, program, true)
	if err != nil {
		return err
	}
	departure, err := p.open(next)
	if err != nil {
		next.discard()
		return err
	}
	next.commit()
	p.state.Store(next.state)
	callAll(next.starts)
	p.background.run(func() {
		ctx, cancel := context.WithTimeout(p.background.ctx, cfg.Drain.Timeout)
		defer cancel()
		if err := departure.Run(ctx, cfg.Drain.Rate.PerSecond()); err != nil {
			p.log.Warn("closing endpoints", "error", err)
		}
		for _, s := range next.closing {
			s.close()
		}
	})
	return nil
}

// Close ends the engine, the background work and the plugins, and closes what was opened for the
// configuration. The network must be shut down before, or never have run.
func (p *Parts) Close() {
	p.endBridges()
	p.Engine.Close()
	p.traces.close()
	closeSinks(p.state.Load().events)
	p.cluster.close()
	p.background.end()
	s := p.state.Load()
	for _, one := range s.sites {
		one.close()
	}
	for _, one := range s.services {
		one.close()
	}
	for _, one := range s.doors {
		one.methods.close()
	}
}

// prepare makes a draft of a configuration that is to follow the one in force. serving says whether
// the one in force is served.
func (p *Parts) prepare(cfg *config.Config, program Program, serving bool) (*draft, error) {
	d := &draft{
		state: newState(cfg), old: p.state.Load(), program: program,
		engine: p.Engine, network: p.Network, cluster: p.cluster, neighbours: p.neighbours, hub: p.hub, topics: p.topics, log: p.log, background: p.background, serving: serving,
	}
	if err := d.fill(); err != nil {
		d.discard()
		return nil, err
	}
	return d, nil
}

// open opens the listeners of the endpoints that a draft opens, and closes those that end.
func (p *Parts) open(d *draft) (*network.Departure, error) {
	closing := make([]string, len(d.closing))
	for i, s := range d.closing {
		closing[i] = s.name()
	}
	departure, err := p.Network.Exchange(closing, served(d.opening))
	if err != nil {
		return nil, fmt.Errorf("opening the endpoints: %w", err)
	}
	return departure, nil
}
