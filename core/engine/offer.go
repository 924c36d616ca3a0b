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

// pendingOffer is an Offer that is checked and not decided yet. It borrows nothing.
type pendingOffer struct {
	channel  *channel // to be owned; nil if services are to be shared
	services []string // to be shared: whole addresses, sorted, each once
	as       uint32
	byTopic  bool // how the connection is asked for the services
}

// decider decides an Offer of p. It calls decided with what came of it, on the loop and once
// at most: with the outcome of p.take, or with a refusal of its own. It may do so before it
// returns, as decideHere does. One that has to ask somewhere else first asks off the loop
// (offLoop), as session stores are asked: the connection is held meanwhile, so what follows
// the Offer waits for it, and if the connection is gone by then nothing is decided.
type decider func(p *peer, o *pendingOffer, decided func(refusal))

// decideHere decides by the channels and services that this engine knows.
func decideHere(p *peer, o *pendingOffer, decided func(refusal)) { decided(p.take(o)) }

// offer carries out the Offer c: the connection gets the channel and the services, all that
// it names, or nothing. told is the command whose outcome the client is told: c, or the
// subscription that stands for it, and then byTopic is true.
func (p *peer) offer(c, told *core.Command, byTopic bool) {
	o, r := p.newOffer(c, byTopic)
	if r.Failed() {
		p.refuse(told, r)
		return
	}
	kept := core.Command{Verb: told.Verb, Ref: told.Ref, Topic: told.Topic, As: told.As}.Clone()
	p.engine.decide(p, o, func(r refusal) {
		if !r.Failed() {
			p.noteOffered(o)
		}
		p.conclude(&kept, r)
	})
}

// newOffer returns what is to be decided about c, or why it is refused before.
func (p *peer) newOffer(c *core.Command, byTopic bool) (*pendingOffer, refusal) {
	if p.leaving {
		return nil, refusedLeaving
	}
	if r := checkOffer(p.endpoint.Limits.Get(), c); r.Failed() {
		return nil, r
	}
	o := &pendingOffer{as: c.As, byTopic: byTopic}
	n, weight := 0, 0
	if c.Exclusive {
		o.channel = &channel{owner: p, name: p.whole(c.Channel), as: c.As, names: newNames(c.Services)}
		n, weight = 1+o.channel.names.size(), o.channel.weight()
	} else {
		o.services = make([]string, len(c.Services))
		for i, s := range c.Services {
			o.services[i] = p.whole(s)
		}
		slices.Sort(o.services)
		o.services = slices.Compact(o.services)
		n, weight = len(o.services), weightOf(o.services)
	}
	if !p.mayOffer(n, weight) {
		return nil, refusedTooMany
	}
	return o, refusal{}
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

// take gives the connection what o names, unless this engine knows why it may not have it.
// On the loop.
func (p *peer) take(o *pendingOffer) refusal {
	switch {
	case p.leaving:
		// It was not when the offer was made: what it held is free by now, and stays so.
		return refusedLeaving
	case o.channel != nil:
		return p.own(o.channel)
	}
	return p.share(o)
}

// own makes the peer the owner of a channel (see addChannel).
func (p *peer) own(c *channel) refusal {
	if r := p.engine.addChannel(c); r.Failed() {
		return r
	}
	return p.keep(c)
}

// keep takes down a channel that the engine has given to the peer.
func (p *peer) keep(c *channel) refusal {
	if p.leaving {
		p.engine.freeChannel(c)
		return refusedLeaving
	}
	x := p.ensureRare()
	if x.channels == nil {
		x.channels = make(map[string]*channel)
	}
	x.channels[c.name] = c
	x.exclusive += len(c.services)
	x.weight += c.weight()
	return refusal{}
}

// share makes the peer one of the answerers of services, of all or of none. What it offers
// already stays one offer, made anew.
func (p *peer) share(o *pendingOffer) refusal {
	e := p.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.mayShare(p, o.services); r.Failed() {
		return r
	}
	x := p.ensureRare()
	if x.offers == nil {
		x.offers = make(map[string]*offer)
	}
	for _, name := range o.services {
		made := x.offers[name]
		if made == nil || made.index < 0 {
			if made == nil {
				x.weight += len(name)
			}
			made = e.addOffer(p, name)
			x.offers[made.shared.name] = made
		}
		made.as, made.byTopic = o.as, o.byTopic
	}
	return refusal{}
}

// withdraw carries out a Withdraw: it ends an offer of a channel with all its
// services, or of shared services.
func (p *peer) withdraw(c *core.Command) {
	if p.rare == nil {
		return
	}
	if c.Exclusive {
		if owned := p.rare.channels[p.whole(c.Channel)]; owned != nil {
			p.disown(owned.name)
			p.noteWithdrawn(owned, "", refusal{})
		}
		return
	}
	for _, s := range c.Services {
		if service := p.whole(s); p.rare.offers[service] != nil {
			p.unshare(service)
			p.noteWithdrawn(nil, service, refusal{})
		}
	}
}

// disown frees a channel of the peer and its services.
func (p *peer) disown(name string) {
	if c := p.rare.channels[name]; c != nil {
		p.forgetChannel(c)
		p.engine.freeChannel(c)
	}
}

func (p *peer) forgetChannel(c *channel) {
	delete(p.rare.channels, c.name)
	p.rare.exclusive -= len(c.services)
	p.rare.weight -= c.weight()
}

// unshare ends a shared offer of the peer.
func (p *peer) unshare(service string) {
	o := p.rare.offers[service]
	if o == nil {
		return
	}
	p.forgetOffer(o)
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	p.engine.removeOffer(o)
}

func (p *peer) forgetOffer(o *offer) {
	delete(p.rare.offers, o.shared.name)
	p.rare.weight -= len(o.shared.name)
}

// withdrawAll ends all offers of a connection that leaves.
func (p *peer) withdrawAll() {
	for channel := range p.rare.channels {
		p.disown(channel)
	}
	for service := range p.rare.offers {
		p.unshare(service)
	}
}

// lostChannel tells the client that it has a channel no longer. Any goroutine.
func (p *peer) lostChannel(c *channel, why core.Failure) {
	p.link.Post(func() {
		// It may have given the channel back meanwhile, and have got it again.
		if p.leaving || p.rare == nil || p.rare.channels[c.name] != c {
			return
		}
		p.forgetChannel(c)
		p.noteWithdrawn(c, "", refusalOf(why, core.ReasonTaken))
		p.link.Tell(core.Event{Kind: core.OfferLost, Topic: []byte(c.name[len(p.endpoint.TopicPrefix):]), As: c.as, Failure: why})
	})
}

// lostOffer tells the client that it offers a service no longer. Any goroutine.
func (p *peer) lostOffer(o *offer, why core.Failure) {
	p.link.Post(func() {
		if p.leaving || p.rare == nil || p.rare.offers[o.shared.name] != o {
			return
		}
		p.forgetOffer(o)
		p.noteWithdrawn(nil, o.shared.name, refusalOf(why, core.ReasonTaken))
		service := []byte(o.shared.name[len(p.endpoint.TopicPrefix):])
		if o.byTopic {
			p.link.Tell(core.OfferLostByTopic(service, why))
			return
		}
		p.link.Tell(core.Event{Kind: core.OfferLost, Topic: service, As: o.as, Failure: why})
	})
}
