package assembly

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/engine"
	"github.com/polywire/polywire/core/network"
	"github.com/polywire/polywire/internal/bridge"
	"github.com/polywire/polywire/internal/events"
	"github.com/polywire/polywire/internal/sessions"
)

// draft is a state under construction, and the actions that put it in force. Once it is filled and
// its endpoints are open nothing can fail any more; before that nothing of it is in force. Either
// commit or discard is called. Not safe for concurrent use.
type draft struct {
	*state            // under construction
	old        *state // the state in force; empty at first
	program    Program
	engine     *engine.Engine
	network    *network.Server
	cluster    *cluster // nil if the broker is alone
	neighbours *bridge.Neighbours
	hub        *events.Hub
	topics     *events.Topics
	log        *slog.Logger
	background *background
	serving    bool // start the plugins of added endpoints at once

	limits  network.Limits
	opening []*site // sites whose endpoints are to be opened
	closing []*site // sites whose endpoints are to be closed

	commits  []func() // changes to apply when the draft is put in force; cannot fail
	discards []func() // what to release when it is not
	starts   []func() // what to start when it is in force and the broker runs; returns at once
}

func (d *draft) onCommit(f func())  { d.commits = append(d.commits, f) }
func (d *draft) onDiscard(f func()) { d.discards = append(d.discards, f) }
func (d *draft) onStart(f func())   { d.starts = append(d.starts, f) }

// fill builds everything. After an error the caller must discard the draft.
func (d *draft) fill() (err error) {
	for i := range d.cfg.Endpoints {
		if c := &d.cfg.Endpoints[i]; c.Format == nil {
			return fmt.Errorf("endpoint %q has no format: the configuration was not loaded by config.Load", c.Name)
		}
	}
	if d.limits, err = networkLimits(d.cfg.Network); err != nil {
		return err
	}
	for _, change := range config.Compare(d.old.cfg, d.cfg) {
		if err := d.apply(change); err != nil {
			return fmt.Errorf("endpoint %q: %w", change.Name(), err)
		}
	}
	if err := d.addDoors(); err != nil {
		return err
	}
	d.logAccess()
	d.addServices()
	if err := d.addEvents(); err != nil {
		return err
	}
	return d.addBridges()
}

// logAccess sets what is logged of clients.
func (d *draft) logAccess() {
	mode := map[string]engine.AccessLog{"off": engine.AccessOff, "refusals": engine.AccessRefusals, "all": engine.AccessAll}[d.cfg.Log.Access]
	d.onCommit(func() { d.engine.LogAccess(mode) })
}

// apply carries out the change of one endpoint.
func (d *draft) apply(change config.Change) error {
	previous := d.old.site(change.Name())
	if change.Ends() {
		d.closing = append(d.closing, previous)
	}
	switch {
	case change.New == nil:
		return nil
	case change.Old != nil && !change.Ends():
		return d.keep(previous, change)
	default:
		return d.add(change, previous)
	}
}

// add makes the site of an endpoint that is to be opened. previous is the old site of the same
// name, nil if there is none: its counters carry on, and its sessions too if they are stored in the
// same way.
func (d *draft) add(change config.Change, previous *site) error {
	c := change.New
	store, err := d.sessionStore(change, previous)
	if err != nil {
		return err
	}
	tlsConfig, err := d.tls(c)
	if err != nil {
		return err
	}
	stats := new(core.Stats)
	if previous != nil {
		stats = previous.endpoint.Stats
	}
	s, err := newSite(c, siteOptions{
		tls: tlsConfig, store: store, keys: d.program.Keys[c.Name], stats: stats,
		publisher: d.engine.Publisher, log: d.log.With("endpoint", c.Name),
	})
	if err != nil {
		return err
	}
	d.onDiscard(s.close)
	d.onStart(s.trust.start)
	if d.serving {
		if err := s.start(d.log); err != nil {
			return err
		}
	}
	d.sites = append(d.sites, s)
	d.opening = append(d.opening, s)
	return nil
}

// sessionStore returns the session store of an endpoint that is to be opened: the program's, the
// one that it has already, or a new one; nil if its format needs none.
func (d *draft) sessionStore(change config.Change, previous *site) (store core.SessionStore, err error) {
	c := change.New
	if own := d.program.Stores[c.Name]; own != nil {
		return own, nil
	}
	needs := c.Needs()
	if previous != nil && sessions.Same(needs, change.Old.Needs()) {
		store = previous.endpoint.Sessions
	} else if needs.Sessions == core.SessionsCluster {
		return d.cluster.sessions(needs)
	} else if store, err = sessions.Open(needs, d.log.With("endpoint", c.Name)); err != nil {
		return nil, err
	}
	if m, ok := store.(*sessions.Memory); ok {
		d.onCommit(func() { m.SetLimits(needs.SessionLimits) })
	}
	return store, nil
}

// keep prepares the changes to a site whose endpoint stays open.
func (d *draft) keep(s *site, change config.Change) error {
	d.sites = append(d.sites, s)
	c := change.New
	if _, err := d.tls(c); err != nil || len(change.Live) == 0 {
		return err
	}
	settings, err := networkSettings(c)
	if err != nil {
		return err
	}
	if slices.Contains(change.Live, "auth") {
		m, err := s.trust.prepare(c)
		if err != nil {
			return fmt.Errorf("changing auth: %w", err)
		}
		d.onDiscard(m.close)
		d.onCommit(func() { s.trust.use(m) })
		d.onStart(m.start)
	}
	d.onCommit(func() {
		s.endpoint.Limits.Set(clientLimits(c))
		s.trust.rules.Replace(acl(c.ACL))
		if err := d.network.Apply(s.name(), settings); err != nil {
			d.log.Error("reloading", "error", err)
		}
	})
	return nil
}

// tls returns the TLS of an endpoint's listener; nil if it has none.
func (d *draft) tls(c *config.Endpoint) (*tls.Config, error) {
	if !c.TLS.On() {
		return nil, nil
	}
	k, err := d.keysOf(listenerOf(c), c.Name, c.TLS)
	if err != nil {
		return nil, err
	}
	k.endpoints = append(k.endpoints, c.Name)
	return k.source.Config(), nil
}

// keysOf returns the keys of the listener of an endpoint. If the listener already has TLS, its files are
// read again.
func (d *draft) keysOf(listener, endpoint string, c config.TLS) (*keys, error) {
	if k := d.keys[listener]; k != nil {
		return k, nil
	}
	if old := d.old.keys[listener]; old != nil {
		k, use, err := old.renew(c.Settings())
		if err != nil {
			return nil, err
		}
		d.onCommit(use)
		d.keys[listener] = k
		return k, nil
	}
	k, err := newKeys(d.background.ctx, c.Settings(), d.log.With("endpoint", endpoint))
	if err != nil {
		return nil, err
	}
	d.onDiscard(k.unwatch)
	d.onStart(func() { d.background.run(k.watch) })
	d.keys[listener] = k
	return k, nil
}

// addServices makes the answerers of the configured services. An unchanged service keeps its
// upstream, with what that knows of the server.
func (d *draft) addServices() {
	for _, c := range d.cfg.Services {
		if i := slices.IndexFunc(d.old.services, func(s *service) bool { return s.config == c }); i >= 0 {
			d.services = append(d.services, d.old.services[i])
			continue
		}
		d.services = append(d.services, newService(c, d.log))
	}
	d.onCommit(func() {
		for _, s := range d.old.services {
			if !slices.Contains(d.services, s) {
				s.close()
			}
		}
	})
}

// commit puts the draft in force, except for its endpoints.
func (d *draft) commit() {
	callAll(d.commits)
	answerers := make([]engine.Service, len(d.services))
	for i, s := range d.services {
		answerers[i] = s.answerer
	}
	d.engine.Configure(answerers)
	d.network.SetLimits(d.limits)
	d.stopStaleWatchers()
}

// stopStaleWatchers stops watching the files of listeners that are not in the draft.
func (d *draft) stopStaleWatchers() {
	for listener, k := range d.old.keys {
		if d.keys[listener] == nil {
			k.unwatch()
		}
	}
}

// discard releases what was made for the draft.
func (d *draft) discard() { callAll(d.discards) }

func callAll(list []func()) {
	for _, f := range list {
		f()
	}
}
