package network

import (
	"container/list"
	"net/netip"
	"sync"

	"github.com/polywire/polywire/core"
)

// places are those of connections that are no WebSockets: of the handshakes under way, or of
// the plain HTTP connections of one door. An address may have a part of them. A connection
// that only waits for its next request keeps its place as long as nobody else needs it, one
// whose request is not all there as long as nobody needs it who has fewer of these. Any
// goroutine.
type places struct {
	// Guarded by mu.
	mu    sync.Mutex
	taken int
	of    map[core.Host]*tenant
	turns uint64 // counts what is put into the lists of the tenants
}

// tenant is what one address has of the places. Who waits longest comes first in a list.
type tenant struct {
	address netip.Addr
	taken   int
	waiting [working]list.List // of *place
}

// stage is what the connection of a place is about.
type stage byte

const (
	idle    stage = iota // it is between two requests
	unheard              // its request is not all there
	working              // its request is being answered
)

// place is the place of one visitor. The zero value is none. It is not copied.
type place struct {
	// Static once it is taken.
	visitor *visitor

	// Guarded by the places' mu.
	tenant  *tenant
	element *list.Element // in tenant.waiting[stage]; nil while it is working
	stage   stage
	since   uint64 // the turn in which it came there
	evicted bool   // somebody else has got it
}

// take gives v the place at; it is working until set says otherwise. If there is none left, of
// all or of its address, which may have most (0: no bound), it gets that of another, evicted,
// which is to be closed; nil if there was one left.
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

// spare returns the place that somebody of t, or of an address without places (nil), gets
// where there is none left; nil if there is none for it. The caller holds mu.
func (p *places) spare(t *tenant, l *Limits) *place {
	if most := p.most(idle, l); most != nil {
		return most.first(idle)
	}
	own := 0
	if t != nil {
		if own = t.waiting[unheard].Len(); !l.bounds(t.address) {
			own = min(own, 1) // it stands for many
		}
	}
	if most := p.most(unheard, l); most != nil && most.waiting[unheard].Len() > own {
		return most.first(unheard)
	}
	return nil
}

// most returns who has the most connections in a stage, if possible among those that are no
// proxies with clients of their own, and of equals who has the one that waits longest; nil if
// nobody has any. The caller holds mu.
func (p *places) most(s stage, l *Limits) *tenant {
	var most *tenant
	for _, t := range p.of {
		if t.waiting[s].Len() > 0 && (most == nil || t.before(most, s, l)) {
			most = t
		}
	}
	return most
}

// before reports whether t is to lose a place in a stage sooner than o. Both have one.
func (t *tenant) before(o *tenant, s stage, l *Limits) bool {
	if b := l.bounds(t.address); b != l.bounds(o.address) {
		return b
	}
	if n, m := t.waiting[s].Len(), o.waiting[s].Len(); n != m {
		return n > m
	}
	return t.first(s).since < o.first(s).since
}

// first returns the place that is longest in a stage; nil if none is.
func (t *tenant) first(s stage) *place {
	if e := t.waiting[s].Front(); e != nil {
		return e.Value.(*place)
	}
	return nil
}

// bounds reports whether the connections of an address are bounded: not those of trusted
// proxies, and not those that have none.
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

// set tells in which stage the connection of a place is now. It reports false if somebody
// else has got the place.
func (p *places) set(at *place, s stage) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.tenant != nil && at.stage != s {
		p.enter(at, s)
	}
	return !at.evicted
}

// move counts a place for the address at which its client turned out to be. At the one where
// it is counted it stays where it is, so that who came first is the first to make room.
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

// lost reports whether somebody else has got the place.
func (p *places) lost(at *place) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return at.evicted
}

// leave is the end of a place.
func (p *places) leave(at *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remove(at)
}

// remove takes a place away, if it is taken still. The caller holds mu.
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
