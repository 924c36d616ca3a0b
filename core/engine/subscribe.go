package engine

import (
	"cmp"
	"slices"

	"github.com/polywire/polywire/core"
)

const (
	// maxSubscriptions bounds the subscriptions of one connection if its endpoint does
	// not.
	maxSubscriptions = 1 << 17
	// indexFrom is the number of subscriptions from which they are found by a map.
	indexFrom = 16
	// leaveAtOnce is how many subscriptions end under one taking of the lock.
	leaveAtOnce = 1024
)

// subscription is one connection's place in one audience.
type subscription struct {
	audience *audience
	member   core.Member
}

// subscriptionKey names a subscription of a connection.
type subscriptionKey struct {
	name    string // the whole topic, or the pattern as the client wrote it
	pattern bool
	sys     bool // of the broker's topics, which are kept as patterns are
	as      uint32
}

// key returns the key of a subscription to a topic.
func (s *subscription) key() subscriptionKey {
	return subscriptionKey{name: s.audience.address.name, as: s.audience.as}
}

// keyOf returns the name of the subscription that c is about. A pattern without
// wildcards is a topic.
func (p *peer) keyOf(c *core.Command) subscriptionKey {
	if p.engine.isSys(c.Topic) {
		return subscriptionKey{name: string(c.Topic), pattern: true, sys: true, as: c.As}
	}
	k := subscriptionKey{as: c.As}
	if c.Pattern {
		k.name = string(c.Topic)
		k.pattern = core.HasWildcard(k.name)
	}
	if !k.pattern {
		k.name = p.whole(c.Topic)
	}
	return k
}

func (p *peer) subscribe(c *core.Command) {
	limits := p.endpoint.Limits.Get()
	if r := check(limits, c.Topic); r.Failed() {
		p.refuse(c, r)
		return
	}
	if core.Reserved(c.Topic) {
		p.subscribeByTopic(c)
		return
	}
	k := p.keyOf(c)
	if !p.hears(k) {
		if r := p.mayHear(k, limits); r.Failed() {
			p.refuse(c, r)
			return
		}
		if k.pattern {
			p.addPattern(k)
		} else {
			p.add(k)
		}
		p.noteSubscribed(c.Topic)
	}
	p.tellDone(c)
}

// hears reports whether there is a subscription.
func (p *peer) hears(k subscriptionKey) bool {
	if k.pattern {
		return p.rare != nil && p.rare.patterns.has(k)
	}
	return p.find(k) >= 0
}

// mayHear returns why the connection may not have one more subscription.
func (p *peer) mayHear(k subscriptionKey, limits *core.Limits) refusal {
	var patterns *patterns
	if p.rare != nil {
		patterns = p.rare.patterns
	}
	switch {
	case len(p.subscriptions)+patterns.size() >= bound(limits.Subscriptions, maxSubscriptions), p.weight+k.weight() > maxWeight:
		return refusedTooMany
	case k.pattern && patterns.count()+k.count() > cmp.Or(limits.Patterns, defaultMaxPatterns):
		return refusedPatterns
	}
	return refusal{}
}

func (p *peer) unsubscribe(c *core.Command) {
	var room core.Command
	if m := fromTopic(c, &room); m.Verb == core.Withdraw {
		p.withdraw(m)
	} else if k := p.keyOf(c); p.hears(k) {
		if k.pattern {
			p.removePattern(k)
		} else {
			p.engine.leave([]*subscription{p.remove(p.find(k))})
		}
		p.noteUnsubscribed(c.Topic)
	}
	p.engine.access.unsubscribed(p.link, c.Topic)
	p.tellDone(c)
}

func (p *peer) unsubscribeAll(c *core.Command) {
	if len(p.subscriptions) > 0 || p.rare != nil && p.rare.patterns != nil {
		p.leaveAll()
		p.noteUnsubscribed(nil)
	}
	p.withdrawByTopic()
	p.tellDone(c)
}

// leaveAll ends all subscriptions.
func (p *peer) leaveAll() {
	for some := range slices.Chunk(append(p.subscriptions, p.takePatterns()...), leaveAtOnce) {
		p.engine.leave(some)
	}
	p.subscriptions, p.index, p.weight = nil, nil, 0
}

// find returns the index of a subscription to a topic, or -1.
func (p *peer) find(k subscriptionKey) int {
	if p.index != nil {
		if i, ok := p.index[k]; ok {
			return i
		}
		return -1
	}
	for i, s := range p.subscriptions {
		if s.key() == k {
			return i
		}
	}
	return -1
}

// add makes a subscription to a topic that is not there yet.
func (p *peer) add(k subscriptionKey) {
	s := &subscription{audience: p.engine.join(k, p.endpoint, p.link.Loop())}
	s.audience.members.Add(p.link, &s.member)
	p.subscriptions = append(p.subscriptions, s)
	p.weight += k.weight()
	switch n := len(p.subscriptions); {
	case p.index != nil:
		p.index[s.key()] = n - 1
	case n > indexFrom:
		p.index = make(map[subscriptionKey]int, 2*n)
		for i, s := range p.subscriptions {
			p.index[s.key()] = i
		}
	}
}

// remove takes out the subscription to a topic at i. Its audience is not told.
func (p *peer) remove(i int) *subscription {
	s := p.subscriptions[i]
	last := len(p.subscriptions) - 1
	moved := p.subscriptions[last]
	p.subscriptions[i], p.subscriptions[last] = moved, nil
	p.subscriptions = p.subscriptions[:last]
	p.weight -= s.key().weight()
	if p.index != nil {
		p.index[moved.key()] = i
		delete(p.index, s.key())
	}
	if last == 0 {
		p.subscriptions, p.index = nil, nil
	}
	return s
}

// join returns the audience for one more member. On the loop of the audience, so that
// nobody else makes it at the same time.
func (e *Engine) join(k subscriptionKey, ep *endpoint, loop int) *audience {
	wanted := &audience{endpoint: ep, loop: loop, as: k.as}
	if aud := e.joinExisting(k, wanted); aud != nil {
		return aud
	}
	wanted.members = ep.outlet.NewAudience(loop, k.as)
	wanted.size = 1
	e.mu.Lock()
	defer e.mu.Unlock()
	var a *address
	if k.pattern {
		a = e.trieFor(ep, k).add(k.name)
	} else if a = e.topics[k.name]; a == nil {
		a = &address{name: k.name}
		e.topics[k.name] = a
	}
	if len(a.audiences) == 0 {
		e.noteInterest(a, true)
	}
	a.add(wanted)
	return wanted
}

// joinExisting is join, if there is such an audience already; else it returns nil.
func (e *Engine) joinExisting(k subscriptionKey, wanted *audience) *audience {
	e.mu.Lock()
	defer e.mu.Unlock()
	var a *address
	if k.pattern {
		a = e.trieFor(wanted.endpoint, k).find(k.name)
	} else {
		a = e.topics[k.name]
	}
	if a == nil {
		return nil
	}
	aud := a.audience(wanted)
	if aud != nil {
		aud.size++
	}
	return aud
}

// leave takes the members out of their audiences, and drops audiences and addresses
// that become empty. On the loop of the audiences.
func (e *Engine) leave(some []*subscription) {
	for _, s := range some {
		s.audience.members.Remove(&s.member)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range some {
		aud := s.audience
		if aud.size--; aud.size > 0 {
			continue
		}
		a := aud.address
		a.drop(aud)
		if len(a.audiences) > 0 {
			continue
		}
		e.noteInterest(a, false)
		if a.place != nil {
			a.place.trie.remove(a)
		} else {
			delete(e.topics, a.name)
		}
	}
}
