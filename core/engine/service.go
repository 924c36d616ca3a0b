package engine

import (
	"sync/atomic"

	"github.com/polywire/polywire/core"
)

// service is what somebody answers.
type service struct {
	// Guarded by callTable.mu.
	unanswered int // calls that were put to who answers it
}

// shared is a service that whoever offers it answers in turn.
type shared struct {
	service

	// Static after construction.
	name string

	// Guarded by Engine.mu.
	offers []*offer

	// Atomic. next counts calls, so that offers take turns.
	next atomic.Uint32
}

// offer is one connection's word that it answers a shared service.
type offer struct {
	// Static after construction.
	peer   *peer
	shared *shared

	// Guarded by Engine.mu. Only the peer's own loop changes as and byTopic.
	as      uint32
	byTopic bool // made by topic: so are its requests
	index   int  // in shared.offers
}

// holder returns whose the service is. The caller holds Engine.mu.
func (s *shared) holder() *peer {
	// A connection has one offer of a service, so two of them are of two.
	if len(s.offers) > 1 {
		return several
	}
	return s.offers[0].peer
}

// addOffer makes an offer. The caller holds mu.
func (e *Engine) addOffer(p *peer, name string) *offer {
	s := e.services[name]
	if s == nil {
		s = &shared{name: name}
		e.services[name] = s
	}
	o := &offer{peer: p, shared: s, index: len(s.offers)}
	s.offers = append(s.offers, o)
	e.claim(name)
	return o
}

// removeOffer ends an offer. The caller holds mu.
func (e *Engine) removeOffer(o *offer) {
	s := o.shared
	last := len(s.offers) - 1
	moved := s.offers[last]
	s.offers[o.index] = moved
	moved.index = o.index
	s.offers[last] = nil
	s.offers = s.offers[:last]
	if last == 0 {
		delete(e.services, s.name)
	}
	e.claim(s.name)
}

// answerer is who is asked next for a service: a Go handler or a connection, by the
// service that it offers.
type answerer struct {
	handler *registered
	peer    *peer
	service *service
	title   title
	as      uint32
	byTopic bool
	others  int // connections that offer the service too
}

// answererOf returns who answers a service, which is name for the caller and whole
// for the engine; handler and peer are nil if nobody does. The order is that of
// Handle, connections, Configure and Otherwise.
func (e *Engine) answererOf(name, whole []byte) answerer {
	handlers := e.handlers.table.Load()
	if h := handlers.first.find(name); h != nil {
		return answerer{handler: h}
	}
	if a, found := e.offerOf(whole); found {
		return a
	}
	if h := handlers.last.find(name); h != nil {
		return answerer{handler: h}
	}
	return answerer{handler: handlers.otherwise}
}

// offerOf returns the connection whose turn it is to answer a service.
func (e *Engine) offerOf(whole []byte) (a answerer, found bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if s := e.services[string(whole)]; s != nil {
		o := s.offers[(s.next.Add(1)-1)%uint32(len(s.offers))]
		return answerer{
			peer: o.peer, service: &s.service, title: title{name: s.name}, as: o.as, byTopic: o.byTopic, others: len(s.offers) - 1,
		}, true
	}
	if c, i := e.owned(whole); c != nil {
		return answerer{peer: c.owner, service: &c.services[i], title: c.title(i), as: c.as}, true
	}
	return answerer{}, false
}

// owned returns the channel below which a service is, and which of its services that is;
// nil if it is below none. The caller holds mu.
func (e *Engine) owned(whole []byte) (in *channel, i int) {
	e.channels.around(whole, func(c *channel) bool {
		at, found := c.find(whole[len(c.name):])
		if found && c.has(whole) {
			in, i = c, at
		}
		return in == nil
	})
	return in, i
}

// request returns the call as the answering connection is told of it.
func (a answerer) request(c *core.Command, id core.CallID, service []byte) core.Event {
	if a.byTopic {
		return requestByTopic(id, service, c.Payload)
	}
	return core.Event{Kind: core.Request, Call: id, Topic: service, As: a.as, Payload: c.Payload, OneWay: c.OneWay}
}
