package engine

import (
	"cmp"
	"context"
	"slices"

	"github.com/polywire/polywire/core"
)

// This file answers operators who ask why a client hears nothing. What takes long, it does in pieces
// between which it gives up the lock.

// Reach returns who would hear a message that is published in the name of an endpoint. Nothing is published. Any
// goroutine; the payload is borrowed.
func (e *Engine) Reach(ep *core.Endpoint, topic string, p core.Payload) core.Reach {
	r := core.Reach{Topic: ep.TopicPrefix + topic}
	refused := checkMessage(ep.Limits.Get(), []byte(topic), p)
	if !refused.Failed() && core.Reserved([]byte(topic)) {
		refused = refusedReserved
	}
	r.Refusal, r.Reason = refused.Failure, refused.reason
	if h := e.handlers.table.Load().listeners.find([]byte(topic)); h != nil {
		r.Handler = h.match
	}
	s := e.scratch.Get().(*scratch)
	defer e.release(s)
	var by owner
	e.mu.RLock()
	if in := e.around([]byte(r.Topic)); in != nil {
		r.Channel, by = in.name, in.owner
	}
	e.match(s, []byte(r.Topic))
	r.Audiences = heardBy(s.hits)
	e.mu.RUnlock()
	if by != nil {
		h := holderOf(by)
		r.Owner = &h
	}
	sortHeard(r.Audiences)
	return r
}

// sortHeard puts what one endpoint hears together.
func sortHeard(all []core.HeardBy) {
	slices.SortFunc(all, func(a, b core.HeardBy) int {
		return cmp.Or(cmp.Compare(a.Endpoint.Name, b.Endpoint.Name), cmp.Compare(a.Name, b.Name), cmp.Compare(a.As, b.As))
	})
}

// heardBy describes audiences, in no order. The caller holds mu.
func heardBy(all []*audience) []core.HeardBy {
	list := make([]core.HeardBy, len(all))
	for i, a := range all {
		list[i] = core.HeardBy{
			Interest: interestOf(a.address), Endpoint: a.endpoint.Endpoint, As: a.as, Members: a.size, Outlet: a.endpoint.outlet, Audience: a.members,
		}
	}
	return list
}

// Heard returns the audiences of a topic or pattern that Interests has told. Any goroutine.
func (e *Engine) Heard(i core.Interest) []core.HeardBy {
	e.mu.RLock()
	a := e.topics[i.Name]
	if i.Pattern {
		a = nil
		for _, t := range e.tries {
			if t.prefix == i.Prefix {
				a = t.find(i.Name)
			}
		}
	}
	var all []core.HeardBy
	if a != nil {
		all = heardBy(a.audiences)
	}
	e.mu.RUnlock()
	sortHeard(all)
	return all
}

// interestOf returns what an address stands for.
func interestOf(a *address) core.Interest {
	i := core.Interest{Name: a.name, On: true}
	if a.place != nil {
		i.Pattern, i.Prefix = true, a.place.trie.prefix
	}
	return i
}

// holderOf describes an owner. Under no lock.
func holderOf(by owner) core.Holder {
	switch o := by.(type) {
	case *node:
		return core.Holder{Node: o.id}
	case *peer:
		return core.Holder{ID: o.link.ID(), Endpoint: o.endpoint.Name, Remote: o.link.Remote(), User: o.link.Identity().User(), Busy: !o.admits(0)}
	}
	return core.Holder{}
}

// Answerers returns who would answer a call in the name of an endpoint. Nobody is asked. Any goroutine.
func (e *Engine) Answerers(ep *core.Endpoint, service string) core.Answerers {
	a := core.Answerers{Service: ep.TopicPrefix + service}
	a.Refusal = check(ep.Limits.Get(), []byte(service)).Failure
	table := e.handlers.table.Load()
	if h := table.first.find([]byte(service)); h != nil {
		a.First = h.match
	}
	if h := table.last.find([]byte(service)); h != nil {
		a.Last = h.match
	}
	a.Otherwise = table.otherwise != nil
	var by owner
	var offers []owner
	whole := []byte(a.Service)
	e.mu.RLock()
	if s := e.services[a.Service]; s != nil {
		a.Offered = len(s.offers)
		for _, o := range s.offers[:min(len(s.offers), core.MaxOffers)] {
			offers = append(offers, o.owner)
		}
	}
	if in, _ := e.owned(whole); in != nil {
		a.Channel, a.Owns, by = in.name, true, in.owner
	} else if in := e.around(whole); in != nil {
		a.Channel, by = in.name, in.owner
	}
	e.mu.RUnlock()
	if by != nil {
		h := holderOf(by)
		a.Owner = &h
	}
	for _, o := range offers {
		a.Offers = append(a.Offers, holderOf(o))
	}
	return a
}

// Interests calls visit with the topics and patterns that somebody hears here, some at a time, until it returns
// false. Those that come or go meanwhile may be missing. The slice is visit's until it returns. Any goroutine;
// visit runs under no lock.
func (e *Engine) Interests(visit func([]core.Interest) bool) {
	l := lookUntil(e, visit)
	defer func() { _ = l.end() }() // its error is that visit has ended it
	add := func(a *address) bool {
		l.add(interestOf(a))
		return l.step(1)
	}
	for _, a := range e.topics {
		if !add(a) {
			return
		}
	}
	for _, t := range slices.Clone(e.tries) {
		if !t.root.each(add) || t.nothing.end != nil && !add(t.nothing.end) {
			return
		}
	}
}

// ServiceNames calls visit with the whole names of the services that clients of any node offer, as Interests does.
func (e *Engine) ServiceNames(visit func([]string) bool) {
	l := lookUntil(e, visit)
	defer func() { _ = l.end() }() // its error is that visit has ended it
	add := func(name string) bool {
		l.add(name)
		return l.step(1)
	}
	for name := range e.services {
		if !add(name) {
			return
		}
	}
	var name []byte
	for _, some := range e.channels.byHash {
		for _, c := range slices.Clone(some) {
			for i := range c.names.size() {
				title := c.title(i)
				if name = title.appendTo(name[:0]); !add(string(name)) {
					return
				}
			}
		}
	}
}

// lookUntil begins a list whose visit ends it by returning false.
func lookUntil[T any](e *Engine, visit func([]T) bool) *look[T] {
	ctx, stop := context.WithCancel(context.Background())
	return newLook(ctx, e.mu.RLocker(), func(some []T) {
		if ctx.Err() == nil && len(some) > 0 && !visit(some) {
			stop()
		}
	})
}

// each calls f with the patterns below n until it returns false, and reports whether it did not. The caller holds
// mu, which f may give up meanwhile: a node that is taken out then is empty, and the way on goes through its parents.
func (n *trieNode) each(f func(*address) bool) bool {
	for _, a := range []*address{n.end, n.rest} {
		if a != nil && !f(a) {
			return false
		}
	}
	for _, c := range []*trieNode{n.plus, n.any} {
		if c != nil && !c.each(f) {
			return false
		}
	}
	for _, c := range n.literal {
		if !c.each(f) {
			return false
		}
	}
	return true
}
