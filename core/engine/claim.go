package engine

import (
	"context"
	"time"

	"github.com/polywire/polywire/core"
)

// claimTimeout bounds how long a connection is held for a channel: until the lease of a node that
// has died is over.
const claimTimeout = 30 * time.Second

// decideInCluster decides by what all nodes have: a channel is this node's when the cluster has
// given it. Services that are shared need nobody's leave.
func decideInCluster(p *peer, o *pendingOffer, decided func(refusal)) {
	c := o.channel
	if c == nil {
		decideHere(p, o, decided)
		return
	}
	e := p.engine
	if r := e.mayOwn(c); r.Failed() {
		decided(r)
		return
	}
	p.offLoop(func(ctx context.Context, resume func(func()) bool) {
		ctx, cancel := context.WithTimeout(ctx, claimTimeout)
		defer cancel()
		f := e.backplane.Claim(ctx, claimOf(c), func() core.Failure { return e.addChannel(c).Failure })
		if f.Failed() {
			resume(func() { decided(claimRefused(f)) })
			return
		}
		if !resume(func() { decided(p.keep(c)) }) {
			e.freeChannel(c)
		}
	})
}

// claimRefused returns what a client is told of a claim that failed: nothing of nodes, and nothing
// of what joins them. That is in the log.
func claimRefused(f core.Failure) refusal {
	switch f.Code {
	case core.Taken:
		return refusedTaken
	case core.NotOwner:
		return refusedWithin
	case core.Gone:
		return refusedLeaving
	}
	return refusedUndecided
}

// claimOf returns what the cluster is asked for. It shares the memory of c.
func claimOf(c *channel) core.Claim {
	services := make([]string, c.names.size())
	for i := range services {
		services[i] = c.names.at(i)
	}
	return core.Claim{Channel: c.name, Services: services}
}

// mayOwn returns why addChannel would refuse c now.
func (e *Engine) mayOwn(c *channel) refusal {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.ownable(c)
}

// freeChannel frees a channel and its services, here and, if it is in force, in the cluster.
func (e *Engine) freeChannel(c *channel) {
	if e.removeChannel(c) && e.backplane != nil {
		e.backplane.Release(c.name)
	}
}

// conflicts returns what others than the owner of c have that does not go with its owning the
// channel: channels of the same name, around it and within it, and offers of what it is or of
// what lies in it. The caller holds mu.
func (e *Engine) conflicts(c *channel) (channels []*channel, offers []*offer) {
	name := []byte(c.name)
	e.channels.around(name, func(other *channel) bool {
		if other.has(name) && other.owner != c.owner {
			channels = append(channels, other)
		}
		return true
	})
	check := func(name string) {
		if other := e.channels.get(name); other != nil && other.owner != c.owner && name != c.name {
			channels = append(channels, other)
		}
		if s := e.services[name]; s != nil {
			for _, o := range s.offers {
				if o.owner != c.owner {
					offers = append(offers, o)
				}
			}
		}
	}
	check(c.name)
	if all := e.claims.below(c.name); all == nil || all == c.owner {
		return channels, offers
	}
	e.claims.eachBelow(c.name, check)
	return channels, offers
}
