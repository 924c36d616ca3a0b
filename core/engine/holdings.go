package engine

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/polywire/polywire/core"
)

// Hears reports whether the connection hears a whole topic, by a subscription to it or to a pattern.
func (p *peer) Hears(topic string) bool {
	for _, s := range p.subscriptions {
		if s.audience.address.name == topic {
			return true
		}
	}
	name, within := strings.CutPrefix(topic, p.link.Endpoint().TopicPrefix)
	sys := p.engine.isSys([]byte(topic))
	if sys {
		name, within = topic, true
	}
	if !within || p.rare == nil || p.rare.patterns == nil {
		return false
	}
	for key := range p.rare.patterns.byCanonical {
		if key.sys == sys && core.MatchPattern(key.name, []byte(name)) {
			return true
		}
	}
	return false
}

// Holdings returns what the connection has, for an operator.
func (p *peer) Holdings() core.Holdings {
	var h core.Holdings
	prefix := p.link.Endpoint().TopicPrefix
	names := func(all iter.Seq[string], n int) (some []string) {
		for name := range all {
			if len(some) == core.MaxHoldings {
				h.More += n - len(some)
				break
			}
			some = append(some, strings.TrimPrefix(name, prefix))
		}
		slices.Sort(some)
		return some
	}
	h.Topics = names(func(yield func(string) bool) {
		for _, s := range p.subscriptions {
			if !yield(s.audience.address.name) {
				return
			}
		}
	}, len(p.subscriptions))
	if r := p.rare; r != nil {
		if r.patterns != nil {
			h.Patterns = names(func(yield func(string) bool) {
				for key := range r.patterns.byName {
					if !yield(prefix + key.name) {
						return
					}
				}
			}, len(r.patterns.byName))
		}
		h.Services = names(maps.Keys(r.offers), len(r.offers))
		h.Channels = names(maps.Keys(r.channels), len(r.channels))
		h.Refused = r.refused.list()
	}
	h.Session = p.session.Load() != nil
	h.Asking, h.Asked = p.engine.calls.of(&p.party)
	return h
}
