package engine

import (
	"slices"

	"github.com/polywire/polywire/core"
)

// maxOffers bounds the channels and offers of one connection.
const maxOffers = 1 << 16

// mayPublish reports whether the owners of channels allow a publish. sender is nil
// for somebody who is no connection. The caller holds mu.
func (e *Engine) mayPublish(sender *peer, topic []byte, asOwner bool, channel []byte) bool {
	if asOwner {
		return sender != nil && e.owners[string(channel)] == sender
	}
	if len(e.owners) == 0 {
		return true
	}
	allowed := true
	core.Owners(topic, func(channel []byte) bool {
		owner := e.owners[string(channel)]
		allowed = owner == nil || owner == sender
		return allowed
	})
	return allowed
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
	services := make([]string, len(c.Services))
	for i, s := range c.Services {
		services[i] = p.whole(s)
	}
	slices.Sort(services)
	services = slices.Compact(services)
	channel := ""
	if c.Exclusive {
		channel = p.whole(c.Channel)
	}
	x := p.more()
	if len(x.offers)+len(x.channels)+x.exclusive+len(services)+1 > maxOffers || x.weight+weightOf(channel, services) > maxWeight {
		return refusedTooMany
	}
	var given bool
	if c.Exclusive {
		given = p.engine.own(p, channel, services, c.As)
	} else {
		given = p.engine.share(p, services, c.As, byTopic)
	}
	if !given {
		return refusedTaken
	}
	return refusal{}
}

func checkOffer(l *core.Limits, c *core.Command) refusal {
	names := c.Services
	if c.Exclusive {
		names = append([][]byte{c.Channel}, names...)
	}
	for _, name := range names {
		if r := check(l, name); r.Failed() {
			return r
		}
		if core.Reserved(name) {
			return refusedReserved
		}
	}
	return refusal{}
}

// own makes p the owner of a channel and the only answerer of services. It reports
// false, and changes nothing, if one of them is taken: also by p itself.
func (e *Engine) own(p *peer, channel string, services []string, as uint32) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.owners[channel] != nil {
		return false
	}
	for _, name := range services {
		if e.services[name] != nil {
			return false
		}
	}
	e.owners[channel] = p
	offers := make([]*offer, len(services))
	for i, name := range services {
		offers[i] = e.addOffer(p, name)
		offers[i].as = as
		offers[i].service.exclusive = true
	}
	x := p.more()
	if x.channels == nil {
		x.channels = make(map[string][]*offer)
	}
	x.channels[channel] = offers
	x.exclusive += len(offers)
	x.weight += weightOf(channel, services)
	return true
}

// share makes p one of the answerers of services. It reports false, and changes
// nothing, if one of them is owned. What p offers already stays one offer, made anew.
func (e *Engine) share(p *peer, services []string, as uint32, byTopic bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, name := range services {
		if s := e.services[name]; s != nil && s.exclusive {
			return false
		}
	}
	x := p.more()
	if x.offers == nil {
		x.offers = make(map[string]*offer)
	}
	for _, name := range services {
		o := x.offers[name]
		if o == nil {
			o = e.addOffer(p, name)
			x.offers[o.service.name] = o
			x.weight += len(name)
		}
		o.as, o.byTopic = as, byTopic
	}
	return true
}

// withdraw carries out a Withdraw: it ends an offer of a channel with all its
// services, or of shared services.
func (p *peer) withdraw(c *core.Command) {
	if p.extra != nil {
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
func (e *Engine) disown(p *peer, channel string) {
	offers, owned := p.extra.channels[channel]
	if !owned {
		return
	}
	delete(p.extra.channels, channel)
	p.extra.exclusive -= len(offers)
	p.extra.weight -= len(channel)
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.owners, channel)
	for _, o := range offers {
		p.extra.weight -= len(o.service.name)
		e.removeOffer(o)
	}
}

// unshare ends a shared offer of p.
func (e *Engine) unshare(p *peer, service string) {
	o := p.extra.offers[service]
	if o == nil {
		return
	}
	delete(p.extra.offers, service)
	p.extra.weight -= len(service)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.removeOffer(o)
}

// withdrawAll ends all offers of a connection that leaves.
func (p *peer) withdrawAll() {
	for channel := range p.extra.channels {
		p.engine.disown(p, channel)
	}
	for service := range p.extra.offers {
		p.engine.unshare(p, service)
	}
}
