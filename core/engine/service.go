package engine

import (
	"sync/atomic"

	"github.com/polywire/polywire/core"
)

// service is a name that somebody answers.
type service struct {
	// Static after construction.
	name string

	// Guarded by Engine.mu.
	exclusive bool // the one offer is an owner's
	offers    []*offer

	// Atomic. next counts calls, so that offers take turns.
	next atomic.Uint32
}

// offer is one connection's word that it answers a service.
type offer struct {
	// Static after construction.
	peer    *peer
	service *service

	// Guarded by Engine.mu.
	as    uint32
	index int // in service.offers
}

// addOffer makes an offer. The caller holds mu.
func (e *Engine) addOffer(p *peer, name string, as uint32) *offer {
	s := e.services[name]
	if s == nil {
		s = &service{name: name}
		e.services[name] = s
	}
	o := &offer{peer: p, service: s, as: as, index: len(s.offers)}
	s.offers = append(s.offers, o)
	return o
}

// removeOffer ends an offer. The caller holds mu.
func (e *Engine) removeOffer(o *offer) {
	s := o.service
	last := len(s.offers) - 1
	moved := s.offers[last]
	s.offers[o.index] = moved
	moved.index = o.index
	s.offers[last] = nil
	s.offers = s.offers[:last]
	if last == 0 {
		delete(e.services, s.name)
	}
}

// answerer is who is asked next for a service: a Go handler or a connection.
type answerer struct {
	handler core.Handler
	peer    *peer
	as      uint32
}

// answererOf returns who answers a service; both fields are nil if nobody does.
func (e *Engine) answererOf(name string) answerer {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if h := e.handlers[name]; h != nil {
		return answerer{handler: h}
	}
	s := e.services[name]
	if s == nil {
		return answerer{}
	}
	o := s.offers[(s.next.Add(1)-1)%uint32(len(s.offers))]
	return answerer{peer: o.peer, as: o.as}
}
