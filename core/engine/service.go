package engine

import "sync/atomic"

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

	// Guarded by Engine.mu. The offers of connections of this process come first; these many.
	offers  []*offer
	offered int

	// Atomic. next counts calls, so that offers take turns.
	next atomic.Uint32
}

// offer is one owner's word that it answers a shared service.
type offer struct {
	// Static after construction.
	owner  owner
	shared *shared

	// Guarded by Engine.mu. Only who made the offer changes as and byTopic.
	as      uint32
	byTopic bool // made by topic: so are its requests
	index   int  // in shared.offers; -1 once it has ended
}

// holder returns whose the service is. The caller holds Engine.mu.
func (s *shared) holder() owner {
	// An owner has one offer of a service, so two of them are of two.
	if len(s.offers) > 1 {
		return several
	}
	return s.offers[0].owner
}

// addOffer makes an offer. The caller holds mu.
func (e *Engine) addOffer(by owner, name string) *offer {
	s := e.services[name]
	if s == nil {
		s = &shared{name: name}
		e.services[name] = s
	}
	o := &offer{owner: by, shared: s, index: len(s.offers)}
	s.offers = append(s.offers, o)
	if by.here() {
		s.swap(o.index, s.offered)
		if s.offered++; s.offered == 1 {
			e.offered.shared++
			e.noteService(name, true)
		}
	}
	e.claim(name)
	return o
}

// removeOffer ends an offer, if it has not ended. The caller holds mu.
func (e *Engine) removeOffer(o *offer) {
	if o.index < 0 {
		return
	}
	s := o.shared
	if o.owner.here() {
		s.offered--
		s.swap(o.index, s.offered)
		if s.offered == 0 {
			e.offered.shared--
			e.noteService(s.name, false)
		}
	}
	last := len(s.offers) - 1
	s.swap(o.index, last)
	o.index = -1
	s.offers[last] = nil
	s.offers = s.offers[:last]
	if last == 0 {
		delete(e.services, s.name)
	}
	e.claim(s.name)
}

// swap exchanges two offers. The caller holds Engine.mu.
func (s *shared) swap(i, k int) {
	s.offers[i], s.offers[k] = s.offers[k], s.offers[i]
	s.offers[i].index, s.offers[k].index = i, k
}

// target is who is asked next for a service: a Go handler, or the owner that offers it.
type target struct {
	handler *registered
	owner   owner
	service *service
	title   title
	as      uint32 // as and byTopic are those of the offer
	byTopic bool
	others  int // owners that offer the service too
}

// targetOf returns who answers a service, which is name for the caller and whole for the
// engine; handler and owner are nil if nobody does. The order is that of Handle,
// connections, Configure and Otherwise.
func (e *Engine) targetOf(name, whole []byte) target {
	handlers := e.handlers.table.Load()
	if h := handlers.first.find(name); h != nil {
		return target{handler: h}
	}
	if t, found := e.offerOf(whole, false); found {
		return t
	}
	if h := handlers.last.find(name); h != nil {
		return target{handler: h}
	}
	return target{handler: handlers.otherwise}
}

// offerOf returns the owner whose turn it is to answer a service: a connection of this process if
// one offers it, and no other with here.
func (e *Engine) offerOf(whole []byte, here bool) (t target, found bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if s := e.services[string(whole)]; s != nil {
		offers := s.offers
		if s.offered > 0 || here {
			offers = offers[:s.offered]
		}
		if len(offers) == 0 {
			return target{}, false
		}
		o := offers[(s.next.Add(1)-1)%uint32(len(offers))]
		return target{
			owner: o.owner, service: &s.service, title: title{name: s.name}, as: o.as, byTopic: o.byTopic, others: len(offers) - 1,
		}, true
	}
	if c, i := e.owned(whole); c != nil && (c.owner.here() || !here) {
		return target{owner: c.owner, service: &c.services[i], title: c.title(i), as: c.as}, true
	}
	return target{}, false
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
