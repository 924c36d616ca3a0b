package assembly

import (
	"slices"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/admin"
)

// state is a configuration in force, and what was built from it. It never changes; Replace puts
// another one in its place.
type state struct {
	cfg      *config.Config
	sites    []*site          // in the order of cfg
	keys     map[string]*keys // of the listeners with TLS, by listener
	services []*service       // in the order of cfg
	bridges  []*bridging      // in the order of cfg
	doors    map[string]*door // of the servers for operators and backends, by key
	events   []*eventSink     // in the order of cfg
}

func newState(cfg *config.Config) *state {
	return &state{cfg: cfg, keys: make(map[string]*keys), doors: make(map[string]*door)}
}

// site returns the site of an endpoint; nil if there is none.
func (s *state) site(name string) *site {
	if i := slices.IndexFunc(s.sites, func(one *site) bool { return one.name() == name }); i >= 0 {
		return s.sites[i]
	}
	return nil
}

// Config returns the configuration in force. It must not be changed.
func (p *Parts) Config() *config.Config { return p.state.Load().cfg }

// Endpoint returns the endpoint with a name; nil if there is none.
func (p *Parts) Endpoint(name string) *core.Endpoint {
	if s := p.state.Load().site(name); s != nil {
		return s.endpoint
	}
	return nil
}

// Endpoints returns all endpoints in the order of the configuration.
func (p *Parts) Endpoints() []*core.Endpoint {
	var list []*core.Endpoint
	for _, s := range p.state.Load().sites {
		list = append(list, s.endpoint)
	}
	return list
}

// Certificates returns the certificates of all endpoints.
func (p *Parts) Certificates() []admin.Certificate {
	var list []admin.Certificate
	for _, k := range p.state.Load().keys {
		for _, c := range k.source.Certificates() {
			for _, name := range k.endpoints {
				list = append(list, admin.Certificate{Endpoint: name, File: c.File, Expires: c.Expires})
			}
		}
	}
	return list
}

// Counted returns all that has counters of an endpoint: the endpoints and the bridges, in the order of
// the configuration.
func (p *Parts) Counted() []*core.Endpoint {
	list := p.Endpoints()
	for _, b := range p.state.Load().bridges {
		list = append(list, b.endpoint)
	}
	return list
}

// Bridges returns the bridges to old servers.
func (p *Parts) Bridges() []admin.Bridge {
	var list []admin.Bridge
	for _, b := range p.state.Load().bridges {
		list = append(list, admin.Bridge{Name: b.config.Name, Health: b.health, Standby: b.standby})
	}
	return list
}

// Services returns the services that HTTP servers answer, with their counters.
func (p *Parts) Services() []admin.Service {
	var list []admin.Service
	for _, s := range p.state.Load().services {
		if s.stats != nil {
			list = append(list, admin.Service{Match: s.config.Match, Stats: s.stats})
		}
	}
	return list
}
