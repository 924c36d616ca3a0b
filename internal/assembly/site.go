package assembly

import (
	"cmp"
	"crypto/tls"
	"log/slog"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/network"
)

// site is what was built for one endpoint of the configuration. Static after construction; only the
// contents of the limits, the trust and the counters change.
type site struct {
	endpoint *core.Endpoint   // as the engine and the format know it
	served   network.Endpoint // endpoint, and where and how it is served
	trust    *trust
}

// siteOptions are what a site needs besides its part of the configuration.
type siteOptions struct {
	tls       *tls.Config       // nil without TLS
	store     core.SessionStore // nil without sessions
	keys      core.SessionKeys  // nil is the default
	stats     *core.Stats
	publisher func(*core.Endpoint) core.Publisher
	log       *slog.Logger
}

// newSite makes a site. close releases what it opened; after an error nothing is open.
func newSite(c *config.Endpoint, o siteOptions) (*site, error) {
	settings, err := networkSettings(c)
	if err != nil {
		return nil, err
	}
	proxyProtocol, err := network.ParseProxyProtocol(c.ProxyProtocol)
	if err != nil {
		return nil, err
	}
	trust, err := newTrust(c, o.stats, o.log)
	if err != nil {
		return nil, err
	}
	needs := c.Needs()
	s := &site{trust: trust}
	s.endpoint = &core.Endpoint{
		Name: c.Name, Protocol: c.Protocol,
		TopicPrefix:   c.TopicPrefix,
		CallsAtOnce:   needs.CallsAtOnce,
		Authenticator: trust.chain, Access: trust.rules, Authorizer: trust.authorizer,
		Sessions: o.store, SessionKeys: o.keys, MaxSessionConnections: needs.MaxSessionConnections,
		Limits:   core.NewLiveLimits(clientLimits(c)),
		Possible: core.PossibleWith(c.Format),
		Stats:    o.stats,
	}
	s.served = network.Endpoint{
		Endpoint: s.endpoint, Format: c.Format,
		Listen: c.Listen, Path: c.Path, TLS: o.tls,
		MaxMessage: int(c.MaxMessageSize), Settings: settings, ProxyProtocol: proxyProtocol,
	}
	if f, ok := c.Format.(httpFormat); ok {
		s.served.HTTP = f.Handler(o.publisher(s.endpoint), o.stats)
	}
	return s, nil
}

// name is the name of the endpoint.
func (s *site) name() string { return s.endpoint.Name }

// start starts the plugin of the endpoint, if it has one. It runs until close.
func (s *site) start(log *slog.Logger) error {
	return startPlugin(s.served.Format, s.endpoint, log.With("endpoint", s.name()))
}

// close ends what the site runs. Its endpoint has no connections any more, or never had any.
func (s *site) close() {
	stopPlugin(s.served.Format)
	s.trust.close()
}

// served returns the endpoints of sites as the network serves them.
func served(sites []*site) []network.Endpoint {
	list := make([]network.Endpoint, len(sites))
	for i, s := range sites {
		list[i] = s.served
	}
	return list
}

// networkSettings are the connection settings that may change while the endpoint serves.
func networkSettings(c *config.Endpoint) (network.Settings, error) {
	policy, err := network.ParseSlowConsumer(c.SlowConsumer)
	return network.Settings{
		OutboundLimit: int(c.OutboundLimit), SlowConsumer: policy,
		PingInterval: c.PingInterval, PongTimeout: c.PongTimeout, IdleTimeout: c.IdleTimeout,
		Origins: c.Origins, TokenProtocols: tokenProtocols(c), Health: c.Health,
	}, err
}

// tokenProtocols returns the subprotocol names under which clients show tokens.
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
