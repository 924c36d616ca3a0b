package network

import (
	"container/list"
	"net/netip"
	"sync"

	"github.com/polywire/polywire/core"
)

// places are those of the plain HTTP connections of one door. An address has a part of
// them. A connection that only waits for its next request keeps its place as long as
// nobody else needs it. Any goroutine.
type places struct {
	// Guarded by mu.
	mu    sync.Mutex
	taken int
	of    map[host]*tenant
}

// tenant is what one address has of the places.
type tenant struct {
	address netip.Addr
	taken   int
	idle    list.List // visitors: those between two requests; who waits longest comes first
}

// place is the place of one visitor. The zero value is none.
type place struct {
	// Guarded by the places' mu.
	tenant *tenant
	idle   *list.Element // in tenant.idle; nil during a request
}

// take gives v a place. If there is none left, of all or of its address, it gets that of
// an idle connection, evicted, which is to be closed; nil if there was one left.
func (p *places) take(v *visitor, l *Limits) (evicted *visitor, r core.Reason, ok bool) {
	a := v.client.Addr()
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.of[hostOf(a)]; t != nil && t.taken >= l.MaxHTTPPerAddress && l.bounds(a) {
		if t.idle.Len() == 0 {
			return nil, core.ReasonLimit, false
		}
		evicted = t.longestIdle()
	} else if p.taken >= l.MaxHandshakes {
		if t = p.mostIdle(l); t == nil {
			return nil, core.ReasonOverload, false
		}
		evicted = t.longestIdle()
	}
	if evicted != nil {
		p.remove(evicted)
	}
	if p.of == nil {
		p.of = make(map[host]*tenant)
	}
	t := p.of[hostOf(a)]
	if t == nil {
		t = &tenant{address: a}
		p.of[hostOf(a)] = t
	}
	t.taken++
	p.taken++
	v.place = place{tenant: t}
	return evicted, 0, true
}

// mostIdle returns who has the most idle connections, if possible among those that are no
// proxies with clients of their own; nil if none is idle. The caller holds mu.
func (p *places) mostIdle(l *Limits) *tenant {
	var most *tenant
	for _, t := range p.of {
		switch {
		case t.idle.Len() == 0:
		case most == nil, l.bounds(t.address) && !l.bounds(most.address),
			l.bounds(t.address) == l.bounds(most.address) && t.idle.Len() > most.idle.Len():
			most = t
		}
	}
	return most
}

func (t *tenant) longestIdle() *visitor { return t.idle.Front().Value.(*visitor) }

// bounds reports whether the connections of an address are bounded: not those of trusted
// proxies, and not those that have none.
func (l *Limits) bounds(a netip.Addr) bool { return a.IsValid() && !l.trusts(a) }

// setIdle tells that v is between two requests, or no longer.
func (p *places) setIdle(v *visitor, idle bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch at := &v.place; {
	case at.tenant == nil: // it was evicted
	case idle && at.idle == nil:
		at.idle = at.tenant.idle.PushBack(v)
	case !idle && at.idle != nil:
		at.tenant.idle.Remove(at.idle)
		at.idle = nil
	}
}

// leave is the end of v's place.
func (p *places) leave(v *visitor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remove(v)
}

// remove takes v's place away, if it has one still. The caller holds mu.
func (p *places) remove(v *visitor) {
	t := v.place.tenant
	if t == nil {
		return
	}
	if v.place.idle != nil {
		t.idle.Remove(v.place.idle)
	}
	v.place = place{}
	p.taken--
	if t.taken--; t.taken == 0 {
		delete(p.of, hostOf(t.address))
	}
}

// Load returns how many places are taken.
func (p *places) Load() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.taken)
}
