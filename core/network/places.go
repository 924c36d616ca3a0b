package network

import (
	"container/list"
	"net/netip"
	"sync"

	"github.com/polywire/polywire/core"
)

// places is a pool of places for connections that are not WebSockets: for the pending
// handshakes, or for the plain HTTP connections of one door. An address may have a part of
// them. A connection that only waits for its next request is evicted when another one needs
// its place. One whose request is incomplete is evicted when a client needs the place whose
// address has fewer of these. Any goroutine.
type places struct {
	// Guarded by mu.
	mu    sync.Mutex
	taken int
	of    map[core.Host]*tenant
	turns uint64 // counts the insertions into the lists of the tenants
}

// tenant holds the places of one address. The longest waiting comes first in a list.
type tenant struct {
	address netip.Addr
	taken   int
	waiting [working]list.List // of *place
}

// stage is what the connection of a place is doing.
type stage byte

const (
	idle    stage = iota // it is between two requests
	unheard              // its request is incomplete
	working              // its request is being answered
)

// place is the place of one visitor. The zero value is no place. It must not be copied.
type place struct {
	// Static once it is taken.
	visitor *visitor

	// Guarded by the places' mu.
	tenant  *tenant
	element *list.Element // in tenant.waiting[stage]; nil while it is working
	stage   stage
	since   uint64 // the value of turns when it entered the stage
	evicted bool   // another visitor has got it
}

// take gives v the place at, in the stage working. If no place is left, in total or for its
// address, which may have most (0: no bound), v gets the place of another connection: the
// caller must close evicted. evicted is nil if a place was left.
func (p *places) take(at *place, v *visitor, most int, l *Limits) (evicted *place, r core.Reason, ok bool) {
	a := v.client.Addr()
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.of[core.HostOf(a)]; t != nil && most > 0 && t.taken >= most && l.bounds(a) {
		if evicted = t.first(idle); evicted == nil {
			return nil, core.ReasonLimit, false
		}
	} else if p.taken >= l.MaxHandshakes {
		if evicted = p.spare(t, l); evicted == nil {
			return nil, core.ReasonOverload, false
		}
	}
	if evicted != nil {
		p.remove(evicted)
		evicted.evicted = true
	}
	*at = place{visitor: v}
	p.settle(at, a)
	p.enter(at, working)
	return evicted, 0, true
}

// spare returns the place to evict for a visitor of t (nil: an address without places) when
// none is left; nil if there is none for it. The caller holds mu.
func (p *places) spare(t *tenant, l *Limits) *place {
	if most := p.most(idle, l); most != nil {
		return most.first(idle)
	}
	own := 0
	if t != nil {
		if own = t.waiting[unheard].Len(); !l.bounds(t.address) {
			own = min(own, 1) // it stands for many clients
		}
	}
	if most := p.most(unheard, l); most != nil && most.waiting[unheard].Len() > own {
		return most.first(unheard)
	}
	return nil
}

// most returns the tenant with the most connections in a stage; nil if there are none.
// Addresses that are not proxies come first, and among equals the one whose connection
// waits longest. The caller holds mu.
func (p *places) most(s stage, l *Limits) *tenant {
	var most *tenant
	for _, t := range p.of {
		if t.waiting[s].Len() > 0 && (most == nil || t.before(most, s, l)) {
			most = t
		}
	}
	return most
}

// before reports whether t loses a place in a stage before o does. Both have one.
func (t *tenant) before(o *tenant, s stage, l *Limits) bool {
	if b := l.bounds(t.address); b != l.bounds(o.address) {
		return b
	}
	if n, m := t.waiting[s].Len(), o.waiting[s].Len(); n != m {
		return n > m
	}
	return t.first(s).since < o.first(s).since
}

// first returns the place that has been in a stage the longest; nil if none is.
func (t *tenant) first(s stage) *place {
	if e := t.waiting[s].Front(); e != nil {
		return e.Value.(*place)
	}
	return nil
}

// bounds reports whether the connections of an address are bounded: not for trusted
// proxies, and not without an address.
func (l *Limits) bounds(a netip.Addr) bool { return a.IsValid() && !l.trusts(a) }

// settle counts a place for the address a. The caller holds mu.
func (p *places) settle(at *place, a netip.Addr) {
	if p.of == nil {
		p.of = make(map[core.Host]*tenant)
	}
	t := p.of[core.HostOf(a)]
	if t == nil {
		t = &tenant{address: a}
		p.of[core.HostOf(a)] = t
	}
	t.taken++
	p.taken++
	at.tenant = t
}

// enter puts a place into a stage. The caller holds mu.
func (p *places) enter(at *place, s stage) {
	at.unlist()
	at.stage = s
	if s != working {
		p.turns++
		at.element, at.since = at.tenant.waiting[s].PushBack(at), p.turns
	}
}

// unlist takes a place out of its list. The caller holds mu.
func (at *place) unlist() {
	if at.element != nil {
		at.tenant.waiting[at.stage].Remove(at.element)
		at.element = nil
	}
}

// set sets the stage of a place. It reports false if the place was evicted.
func (p *places) set(at *place, s stage) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.tenant != nil && at.stage != s {
		p.enter(at, s)
	}
	return !at.evicted
}

// move counts a place for the client's real address. If that is the address where it is
// counted already, it keeps its position in the list, so that the oldest is evicted first.
func (p *places) move(at *place, a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.tenant == nil || at.tenant == p.of[core.HostOf(a)] {
		return
	}
	s := at.stage
	p.remove(at)
	p.settle(at, a)
	p.enter(at, s)
}

// lost reports whether the place was evicted.
func (p *places) lost(at *place) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return at.evicted
}

// leave gives a place back.
func (p *places) leave(at *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remove(at)
}

// remove frees a place, if it is still taken. The caller holds mu.
func (p *places) remove(at *place) {
	t := at.tenant
	if t == nil {
		return
	}
	at.unlist()
	at.tenant = nil
	p.taken--
	if t.taken--; t.taken == 0 {
		delete(p.of, core.HostOf(t.address))
	}
}

// Load returns how many places are taken.
func (p *places) Load() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.taken)
}
