package engine

import "github.com/polywire/polywire/core"

// owner is who has channels and offers services, and answers the calls to them. Owners are
// comparable; nil is nobody. The connections of this process are owners, as peers, and the
// other nodes of a cluster are. Who looks up whose a channel or service is, compares owners or
// asks one needs to know no more of it.
type owner interface {
	answerer
	// here reports whether it is a connection of this process. Any goroutine.
	here() bool
	// admits reports whether it may be sent a request of n bytes; false if it does not take
	// them as fast as they come. Any goroutine, under no lock.
	admits(n int) bool
	// ask asks it a call. Any goroutine, under no lock.
	ask(q question)
	// lostChannel and lostOffer tell it that it has no longer what it has not given back, and
	// why. The engine has forgotten it already. Any goroutine, under no lock.
	lostChannel(c *channel, why core.Failure)
	lostOffer(o *offer, why core.Failure)
}

var _ owner = (*peer)(nil)

// mayPublish reports whether the owners of channels allow a publish. sender is nil
// for somebody who is no connection. The caller holds mu.
func (e *Engine) mayPublish(sender owner, topic []byte, asOwner bool, channel []byte) bool {
	if asOwner && (sender == nil || e.ownerOf(string(channel)) != sender) {
		return false
	}
	in := e.around(topic)
	switch {
	case in == nil && !asOwner:
		return true
	case in != nil && in.owner != sender:
		return false
	}
	return e.backplane == nil || e.backplane.Holds()
}

// outside reports whether an address lies in no channel that somebody else than by owns.
// The caller holds mu.
func (e *Engine) outside(by owner, address []byte) bool {
	in := e.around(address)
	return in == nil || in.owner == by
}

// around returns a channel that an address lies in; nil if there is none. Channels within each other
// have one owner. The caller holds mu.
func (e *Engine) around(address []byte) (in *channel) {
	e.channels.around(address, func(c *channel) bool {
		if c.has(address) {
			in = c
		}
		return in == nil
	})
	return in
}

// ownerOf returns who owns a channel; nil if nobody does. The caller holds mu.
func (e *Engine) ownerOf(name string) owner {
	if c := e.channels.get(name); c != nil {
		return c.owner
	}
	return nil
}

// addChannel makes the owner of c the owner of the channel and the only answerer of the
// services below it. It changes nothing if one of them is taken, also by the owner itself,
// or if somebody else has something that the channel lies in or that lies in it: who owns a
// channel speaks for all below it.
func (e *Engine) addChannel(c *channel) refusal {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.ownable(c); r.Failed() {
		return r
	}
	c.services = make([]service, c.names.size())
	e.channels.add(c)
	e.offered.count(c, 1)
	e.claim(c.name)
	return refusal{}
}

// ownable returns why addChannel refuses c. The caller holds mu.
func (e *Engine) ownable(c *channel) refusal {
	if e.channels.get(c.name) != nil {
		return refusedTaken
	}
	if !e.outside(c.owner, []byte(c.name)) || !e.alone(c.owner, c.name) {
		return refusedWithin
	}
	// What is below is the owner's own, if there is anything.
	if e.claims.below(c.name) != nil || e.services[c.name] != nil || e.within(c.name) {
		if e.takes(c) {
			return refusedTaken
		}
	}
	return refusal{}
}

// removeChannel frees a channel and its services. It reports false if that was done before.
func (e *Engine) removeChannel(c *channel) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.forgetChannel(c)
}

// forgetChannel is removeChannel. The caller holds mu.
func (e *Engine) forgetChannel(c *channel) bool {
	if !e.channels.remove(c) {
		return false
	}
	e.offered.count(c, -1)
	e.claim(c.name)
	return true
}

// takes reports whether one of the channel's services is there already. The caller holds mu.
func (e *Engine) takes(c *channel) bool {
	whole := []byte(c.name)
	for i := range c.names.size() {
		if name := c.names.at(i); name != "" {
			whole = append(append(whole[:len(c.name)], '/'), name...)
		}
		if e.services[string(whole)] != nil {
			return true
		}
		if in, _ := e.owned(whole); in != nil {
			return true
		}
	}
	return false
}

// within reports whether a channel lies in another one. The caller holds mu.
func (e *Engine) within(name string) bool {
	found := false
	e.channels.around([]byte(name), func(c *channel) bool {
		found = c.has([]byte(name))
		return !found
	})
	return found
}

// alone reports whether nobody else than by has the channel's own name for a service, or
// anything below it. The caller holds mu.
func (e *Engine) alone(by owner, channel string) bool {
	all := e.claims.below(channel)
	if s := e.services[channel]; s != nil {
		all = both(all, s.holder())
	}
	return all == nil || all == by
}

// mayShare returns why by may not be one of the answerers of services: one of them is owned,
// or lies in a channel that somebody else owns. The caller holds mu.
func (e *Engine) mayShare(by owner, services []string) refusal {
	for _, name := range services {
		if in, _ := e.owned([]byte(name)); in != nil {
			return refusedTaken
		}
		if !e.outside(by, []byte(name)) {
			return refusedWithin
		}
	}
	return refusal{}
}

// claim notes whose a name is, which is a channel, a service or both, or no more. The
// caller holds mu.
func (e *Engine) claim(name string) {
	holder := e.ownerOf(name)
	if s := e.services[name]; s != nil {
		holder = both(holder, s.holder())
	}
	e.claims.set(name, holder)
}
