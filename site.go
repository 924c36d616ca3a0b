package polywire

import (
	"cmp"
	"fmt"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/network"
	"github.com/polywire/polywire/sessions"
)

// site is what has been made of one endpoint of the configuration. Static after
// construction.
type site struct {
	network.Endpoint
	trust *trust
}

// close ends what the site runs. Its endpoint has no connections any more, or never had.
func (s *site) close() {
	if t, ok := s.Format.(translator); ok {
		t.Stop()
	}
	s.trust.close()
}

// makeSite makes a site of an endpoint of the configuration. previous is what there is of
// its name: the counters carry on, and the sessions if they are kept in the same way; nil
// if there is nothing.
func (d *draft) makeSite(c, old *config.Endpoint, previous *site) (*site, error) {
	settings, err := networkSettings(c)
	if err != nil {
		return nil, err
	}
	proxyProtocol, err := network.ParseProxyProtocol(c.ProxyProtocol)
	if err != nil {
		return nil, err
	}
	needs := c.Needs()
	store, err := d.storeOf(c, old, previous)
	if err != nil {
		return nil, err
	}
	if m, ok := store.(*sessions.Memory); ok && d.own.stores[c.Name] == nil {
		d.onCommit(func() { m.SetLimits(needs.SessionLimits) })
	}
	tlsConfig, err := d.tls(c)
	if err != nil {
		return nil, err
	}
	stats := new(core.Stats)
	if previous != nil {
		stats = previous.Stats
	}
	trust, err := newTrust(c, stats, d.b.log.With("endpoint", c.Name))
	if err != nil {
		return nil, err
	}
	d.onStart(trust.start)
	s := &site{trust: trust, Endpoint: network.Endpoint{
		Endpoint: &core.Endpoint{
			Name: c.Name, Protocol: c.Protocol, Format: c.Format,
			TopicPrefix:   c.TopicPrefix,
			CallsAtOnce:   needs.CallsAtOnce,
			Authenticator: trust.chain, Access: trust.rules, Authorizer: trust.authorizer,
			Sessions: store, SessionKeys: d.own.keys[c.Name], MaxSessionConnections: needs.MaxSessionConnections,
			Limits: core.NewLiveLimits(clientLimits(c)),
			Stats:  stats,
		},
		Listen: c.Listen, Path: c.Path, TLS: tlsConfig,
		MaxMessage: int(c.MaxMessageSize), Settings: settings, ProxyProtocol: proxyProtocol,
	}}
	if f, ok := c.Format.(httpFormat); ok {
		s.HTTP = f.Handler(d.b.engine.Publisher(s.Endpoint.Endpoint), stats)
	}
	return s, nil
}

// storeOf returns the session store of an endpoint: the program's, or the one that it has
// already, or a new one; nil if its format needs none.
func (d *draft) storeOf(c, old *config.Endpoint, previous *site) (core.SessionStore, error) {
	if own := d.own.stores[c.Name]; own != nil {
		return own, nil
	}
	needs := c.Needs()
	if previous != nil && sessions.Same(needs, old.Needs()) {
		return previous.Sessions, nil
	}
	return sessions.Open(needs, d.b.log.With("endpoint", c.Name))
}

// networkSettings are what of an endpoint's connections may change while it serves.
func networkSettings(c *config.Endpoint) (network.Settings, error) {
	policy, err := network.ParseSlowConsumer(c.SlowConsumer)
	return network.Settings{
		OutboundLimit: int(c.OutboundLimit), SlowConsumer: policy,
		PingInterval: c.PingInterval, PongTimeout: c.PongTimeout, IdleTimeout: c.IdleTimeout,
		Origins: c.Origins, TokenProtocols: tokenProtocols(c), Health: c.Health,
	}, err
}

// tokenProtocols returns the names by which clients show tokens as subprotocols.
func tokenProtocols(c *config.Endpoint) []string {
	var names []string
	for _, a := range c.Auth {
		for _, place := range a.From {
			if place.In == "subprotocol" {
				names = append(names, cmp.Or(place.Name, "bearer"))
			}
		}
	}
	return names
}

// keep prepares what changes about a site whose endpoint goes on.
func (d *draft) keep(s *site, change config.Change) error {
	c := change.New
	if _, err := d.tls(c); err != nil || len(change.Live) == 0 {
		return err
	}
	settings, err := networkSettings(c)
	if err != nil {
		return err
	}
	if changes(change, "auth") {
		m, err := s.trust.prepare(c)
		if err != nil {
			return fmt.Errorf("changing auth: %w", err)
		}
		d.onDiscard(m.close)
		d.onCommit(func() { s.trust.use(m) })
		d.onStart(m.start)
	}
	d.onCommit(func() {
		s.Limits.Set(clientLimits(c))
		s.trust.rules.Replace(acl(c.ACL))
		if err := d.b.network.Apply(s.Name, settings); err != nil {
			d.b.log.Error("reloading", "error", err)
		}
	})
	return nil
}
