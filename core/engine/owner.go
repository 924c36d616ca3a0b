package engine

import (
	"slices"

	"github.com/polywire/polywire/core"
)

const (
	// maxOffers bounds the channels and offers of one connection.
	maxOffers = 1 << 16
	// maxOffered bounds the addresses, in bytes, of the services that one command offers.
	maxOffered = 1 << 20
)

// mayPublish reports whether the owners of channels allow a publish. sender is nil
// for somebody who is no connection. The caller holds mu.
func (e *Engine) mayPublish(sender *peer, topic []byte, asOwner bool, channel []byte) bool {
	if asOwner && (sender == nil || e.ownerOf(string(channel)) != sender) {
		return false
	}
	return e.outside(sender, topic)
}

// outside reports whether an address lies in no channel that somebody else than p owns.
// The caller holds mu.
func (e *Engine) outside(p *peer, address []byte) bool {
	free := true
	e.channels.around(address, func(c *channel) bool {
		if !c.has(address) {
			return true
		}
		// Channels within each other have one owner.
		free = c.owner == p
		return false
	})
	return free
}

// ownerOf returns who owns a channel; nil if nobody does. The caller holds mu.
func (e *Engine) ownerOf(name string) *peer {
	if c := e.channels.get(name); c != nil {
		return c.owner
	}
	return nil
}

// offer carries out an Offer: it takes a channel and services, all that the command
// names, or nothing. byTopic is how the peer is asked for the services.
func (p *peer) offer(c *core.Command, byTopic bool) refusal {
	if p.leaving {
		return refusedLeaving
	}
	if r := checkOffer(p.endpoint.Limits.Get(), c); r.Failed() {
		return r
	}
	if c.Exclusive {
		return p.own(c)
	}
	services := make([]string, len(c.Services))
	for i, s := range c.Services {
		services[i] = p.whole(s)
	}
	slices.Sort(services)
	services = slices.Compact(services)
	if !p.mayOffer(len(services), weightOf(services)) {
		return refusedTooMany
	}
	return p.engine.share(p, services, c.As, byTopic)
}

// mayOffer reports whether the peer may have so many more channels and services.
func (p *peer) mayOffer(n, weight int) bool {
	x := p.ensureRare()
	return len(x.offers)+len(x.channels)+x.exclusive+n <= maxOffers && x.weight+weight <= maxWeight
}

func checkOffer(l *core.Limits, c *core.Command) refusal {
	if c.Exclusive {
		if r := checkOffered(l, c.Channel); r.Failed() {
			return r
		}
	}
	var name []byte
	for _, s := range c.Services {
		name = c.AppendService(name[:0], s)
		if r := checkOffered(l, name); r.Failed() {
			return r
		}
	}
	return refusal{}
}

func checkOffered(l *core.Limits, name []byte) refusal {
	if r := check(l, name); r.Failed() {
		return r
	}
	if core.Reserved(name) {
		return refusedReserved
	}
	return refusal{}
}

// isVast reports whether the addresses of an offer are more than anybody has use for:
// whoever looks at one looks at all of them, and a short message can name many under a
// long channel.
func isVast(c *core.Command) bool {
	if c.Verb != core.Offer {
		return false
	}
	n := 0
	for _, s := range c.Services {
		if n += len(s); c.Exclusive {
			n += len(c.Channel) + 1
		}
	}
	return n > maxOffered || len(c.Services) > maxOffers
}

// own makes p the owner of a channel and the only answerer of the services below it. It
// changes nothing if one of them is taken, also by p itself, or if somebody else has
// something that the channel lies in or that lies in it: who owns a channel speaks for all
// below it.
func (p *peer) own(c *core.Command) refusal {
	made := &channel{owner: p, name: p.whole(c.Channel), as: c.As, names: newNames(c.Services)}
	if !p.mayOffer(1+made.names.size(), made.weight()) {
		return refusedTooMany
	}
	made.services = make([]service, made.names.size())
	if r := p.engine.own(made); r.Failed() {
		return r
	}
	x := p.ensureRare()
	if x.channels == nil {
		x.channels = make(map[string]*channel)
	}
	x.channels[made.name] = made
	x.exclusive += len(made.services)
	x.weight += made.weight()
	return refusal{}
}

func (e *Engine) own(c *channel) refusal {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.channels.get(c.name) != nil {
		return refusedTaken
	}
	if !e.outside(c.owner, []byte(c.name)) || !e.alone(c.owner, c.name) {
		return refusedWithin
	}
	// What is below is the owner's own, if there is anything.
	if e.claims.below(c.name) != nil || e.services[c.name] != nil || e.within(c.name) {
		if e.takes(c) {
			return refusedTaken
		}
	}
	e.channels.add(c)
	e.claim(c.name)
	return refusal{}
}

// takes reports whether one of the channel's services is there already. The caller holds mu.
func (e *Engine) takes(c *channel) bool {
	whole := []byte(c.name)
	for i := range c.names.size() {
		if name := c.names.at(i); name != "" {
			whole = append(append(whole[:len(c.name)], '/'), name...)
		}
		if e.services[string(whole)] != nil {
			return true
		}
		if in, _ := e.owned(whole); in != nil {
			return true
		}
	}
	return false
}

// within reports whether a channel lies in another one. The caller holds mu.
func (e *Engine) within(name string) bool {
	found := false
	e.channels.around([]byte(name), func(c *channel) bool {
		found = c.has([]byte(name))
		return !found
	})
	return found
}

// alone reports whether nobody else than p has the channel's own name for a service, or
// anything below it. The caller holds mu.
func (e *Engine) alone(p *peer, channel string) bool {
	all := e.claims.below(channel)
	if s := e.services[channel]; s != nil {
		all = both(all, s.holder())
	}
	return all == nil || all == p
}

// claim notes whose a name is, which is a channel, a service or both, or no more. The
// caller holds mu.
func (e *Engine) claim(name string) {
	holder := e.ownerOf(name)
	if s := e.services[name]; s != nil {
		holder = both(holder, s.holder())
	}
	e.claims.set(name, holder)
}

// share makes p one of the answerers of services. It changes nothing if one of them is
// owned, or lies in a channel that somebody else owns. What p offers already stays one
// offer, made anew.
func (e *Engine) share(p *peer, services []string, as uint32, byTopic bool) refusal {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, name := range services {
		if in, _ := e.owned([]byte(name)); in != nil {
			return refusedTaken
		}
		if !e.outside(p, []byte(name)) {
			return refusedWithin
		}
	}
	x := p.ensureRare()
	if x.offers == nil {
		x.offers = make(map[string]*offer)
	}
	for _, name := range services {
		o := x.offers[name]
		if o == nil {
			o = e.addOffer(p, name)
			x.offers[o.shared.name] = o
			x.weight += len(name)
		}
		o.as, o.byTopic = as, byTopic
	}
	return refusal{}
}

// withdraw carries out a Withdraw: it ends an offer of a channel with all its
// services, or of shared services.
func (p *peer) withdraw(c *core.Command) {
	if p.rare != nil {
		if c.Exclusive {
			p.engine.disown(p, p.whole(c.Channel))
		} else {
			for _, s := range c.Services {
				p.engine.unshare(p, p.whole(s))
			}
		}
	}
}

// disown frees a channel of p and its services.
func (e *Engine) disown(p *peer, name string) {
	c := p.rare.channels[name]
	if c == nil {
		return
	}
	delete(p.rare.channels, name)
	p.rare.exclusive -= len(c.services)
	p.rare.weight -= c.weight()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.channels.remove(c)
	e.claim(name)
}

// unshare ends a shared offer of p.
func (e *Engine) unshare(p *peer, service string) {
	o := p.rare.offers[service]
	if o == nil {
		return
	}
	delete(p.rare.offers, service)
	p.rare.weight -= len(service)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.removeOffer(o)
}

// withdrawAll ends all offers of a connection that leaves.
func (p *peer) withdrawAll() {
	for channel := range p.rare.channels {
		p.engine.disown(p, channel)
	}
	for service := range p.rare.offers {
		p.engine.unshare(p, service)
	}
}
