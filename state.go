package polywire

import (
	"fmt"
	"slices"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core/engine"
	"github.com/polywire/polywire/core/network"
)

// state is a configuration in force, and what has been made of it. It is not changed after
// it was made; Reload puts another in its place.
type state struct {
	cfg      *config.Config
	sites    []*site          // in the order of cfg
	keys     map[string]*keys // of the listeners with TLS, by listener
	services []*service       // in the order of cfg
	limits   network.Limits
}

// site returns the site of an endpoint; nil if there is none.
func (s *state) site(name string) *site {
	if i := slices.IndexFunc(s.sites, func(one *site) bool { return one.Name == name }); i >= 0 {
		return s.sites[i]
	}
	return nil
}

// draft is a state that is being made. All that can fail but listening is done while it
// is, and nothing of it holds yet; then either commit or discard is called.
type draft struct {
	*state
	b   *Broker
	old *state // the state in force; an empty one at first
	own *settings

	opening []network.Endpoint // endpoints to be opened
	closing []*site            // sites whose endpoints are closed

	commits, discards []func()
	starts            []func() // what begins to run
}

// draft makes a draft of a configuration that is to follow old.
func (b *Broker) draft(cfg *config.Config, old *state) (*draft, error) {
	d := &draft{state: &state{cfg: cfg, keys: make(map[string]*keys)}, b: b, old: old}
	if err := d.fill(); err != nil {
		d.discard()
		return nil, err
	}
	return d, nil
}

func (d *draft) fill() (err error) {
	for i := range d.cfg.Endpoints {
		if ep := &d.cfg.Endpoints[i]; ep.Format == nil {
			return fmt.Errorf("endpoint %q has no format: the configuration was not loaded by config.Load", ep.Name)
		}
	}
	if d.own, err = gather(d.cfg, d.b.options); err != nil {
		return err
	}
	if d.limits, err = networkLimits(d.cfg.Network); err != nil {
		return err
	}
	for _, c := range config.Compare(d.old.cfg, d.cfg) {
		if err := d.add(c); err != nil {
			return fmt.Errorf("endpoint %q: %w", c.Name(), err)
		}
	}
	d.addServices()
	return nil
}

// add does for one endpoint what becomes of it.
func (d *draft) add(c config.Change) error {
	previous := d.old.site(c.Name())
	if c.Ends() {
		d.closing = append(d.closing, previous)
	}
	switch {
	case c.New == nil:
		return nil
	case c.Old != nil && !c.Ends():
		d.sites = append(d.sites, previous)
		return d.keep(previous, c)
	}
	s, err := d.makeSite(c.New, c.Old, previous)
	if err != nil {
		return err
	}
	d.onDiscard(s.close)
	if d.b.life.serving() {
		if err := s.start(d.b.log); err != nil {
			return err
		}
	}
	d.sites = append(d.sites, s)
	d.opening = append(d.opening, s.Endpoint)
	return nil
}

// onCommit has f called, which cannot fail, when the draft is to hold, and onDiscard when
// it is not.
func (d *draft) onCommit(f func())  { d.commits = append(d.commits, f) }
func (d *draft) onDiscard(f func()) { d.discards = append(d.discards, f) }

// onStart has f called, which returns at once, when the draft holds and the broker runs.
func (d *draft) onStart(f func()) { d.starts = append(d.starts, f) }

// commit makes the draft hold, but for the endpoints to be opened and closed.
func (d *draft) commit() {
	for _, f := range d.commits {
		f()
	}
	if d.b.life.serving() {
		for _, f := range d.starts {
			f()
		}
	} else {
		d.b.starts = d.starts
	}
	services := make([]engine.Service, len(d.services))
	for i, s := range d.services {
		services[i] = s.answerer
	}
	d.b.engine.Configure(services)
	d.b.network.SetLimits(d.limits)
	if d.own.level != nil {
		d.own.level.Set(d.cfg.Log.Level.Level())
	}
	d.b.state.Store(d.state)
}

// discard ends what was made for the draft.
func (d *draft) discard() {
	for _, f := range d.discards {
		f()
	}
}

// changes reports whether key is applied to the running endpoint.
func changes(c config.Change, key string) bool { return slices.Contains(c.Live, key) }
