package polywire

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
)

// program is what the program that embeds a broker adds to the configuration. It is not
// changed after it was handed over.
type program struct {
	hooks core.Hooks
	// stores keep the sessions of the endpoints that they are named by, instead of what the
	// configuration says; keys make the keys of their new sessions.
	stores map[string]core.SessionStore
	keys   map[string]core.SessionKeys
	// listen opens the socket of an address for an endpoint, as network.Options say.
	listen func(endpoint, address string) (net.Listener, error)
}

// parts are what a broker serves with: one engine and one network for its whole life, and a
// state, which is made of the configuration in force. start, replace and close are called
// by one goroutine at a time, everything else by any.
type parts struct {
	// Static after construction.
	engine     *engine.Engine
	network    *network.Server
	log        *slog.Logger
	background *background
	starts     []func() // what start begins of the first state

	// Atomic. Written by replace.
	state atomic.Pointer[state]
}

// newParts makes all that serves a loaded configuration. Nothing of it runs until start, and
// close ends it either way. After an error nothing is left.
func newParts(cfg *config.Config, own program, log *slog.Logger) (*parts, error) {
	p := &parts{log: log, background: newBackground()}
	p.engine = engine.New(engine.Options{
		Logger: log, Hooks: own.hooks,
		MaxServiceCalls: cfg.Calls.MaxPerService, CallBudget: int(cfg.Calls.Budget),
	})
	p.network = network.New(network.Options{
		Hub: p.engine, Logger: log, BeforeUpgrade: own.hooks.BeforeUpgrade,
		Listen:           own.listen,
		Loops:            cfg.Network.Loops,
		HandshakeTimeout: cfg.Network.HandshakeTimeout,
		HTTPIdleTimeout:  cfg.Network.HTTPIdleTimeout,
		MaxHeader:        int(cfg.Network.MaxHeader),
		MaxHeaderFields:  cfg.Network.MaxHeaderFields,
		SendBuffer:       int(cfg.Network.SendBuffer),
		OutboundBudget:   int64(cfg.Network.OutboundBudget),
		InboundBudget:    int64(cfg.Network.InboundBudget),
	})
	p.state.Store(&state{cfg: new(config.Config)})
	first, err := p.prepare(cfg, own)
	if err != nil {
		p.close()
		return nil, err
	}
	first.commit()
	p.state.Store(first.state)
	p.starts = first.starts
	return p, nil
}

// start begins to serve: the engine, what runs in the background, the plugins, and at last
// the endpoints. After an error no client is served; close ends what has begun.
func (p *parts) start() error {
	p.engine.Start()
	callAll(p.starts)
	sites := p.state.Load().sites
	var errs []error
	for _, s := range sites {
		errs = append(errs, s.start(p.log))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return p.network.Start(served(sites))
}

// replace puts another loaded configuration in force while the endpoints are served. First
// comes all that can fail, and listening is the last of that: after an error nothing has
// changed. Endpoints that end are left in the background, at the pace of drain.
func (p *parts) replace(cfg *config.Config, own program) error {
	next, err := p.prepare(cfg, own)
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

// prepare makes a draft of a configuration that is to follow the one in force.
func (p *parts) prepare(cfg *config.Config, own program) (*draft, error) {
	d := &draft{
		state: newState(cfg), old: p.state.Load(), program: own,
		engine: p.engine, network: p.network, log: p.log, background: p.background,
	}
	if err := d.fill(); err != nil {
		d.discard()
		return nil, err
	}
	return d, nil
}

// open starts the plugins of the endpoints that a draft opens, and exchanges these for those
// that it closes.
func (p *parts) open(d *draft) (*network.Departure, error) {
	for _, s := range d.opening {
		if err := s.start(p.log); err != nil {
			return nil, err
		}
	}
	closing := make([]string, len(d.closing))
	for i, s := range d.closing {
		closing[i] = s.name()
	}
	departure, err := p.network.Exchange(closing, served(d.opening))
	if err != nil {
		return nil, fmt.Errorf("opening the endpoints: %w", err)
	}
	return departure, nil
}

// close ends the engine, what runs in the background, the plugins, and what is kept open for
// the configuration. The network has been shut down before, or was not started.
func (p *parts) close() {
	p.engine.Close()
	p.background.end()
	s := p.state.Load()
	for _, one := range s.sites {
		one.close()
	}
	for _, one := range s.services {
		one.close()
	}
}
