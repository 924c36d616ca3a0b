package engine

import "github.com/polywire/polywire/core"

// An engine with a backplane is one node of a cluster. It tells the other nodes
//
//   - what somebody hears and offers here: announce.go
//   - each message that it has delivered here: publish.go
//   - which channels its connections want: claim.go
//   - calls that clients there are to answer, and their ends: node.go
//
// This file is what the others tell it.

var _ core.Cluster = (*Engine)(nil)

// Together runs f. An engine has no clients to which something could come together: who has the
// connections sees to that. Any goroutine.
func (e *Engine) Together(f func()) { f() }

// Joined does nothing: the engine knows a node by what it has. Any goroutine.
func (e *Engine) Joined(core.NodeID) {}

// Published delivers a message of another node to those here who hear it. Nobody judges it
// again, and it goes nowhere else. Any goroutine.
func (e *Engine) Published(topic []byte, payload core.Payload, headers []byte) {
	s := e.scratch.Get().(*scratch)
	defer e.release(s)
	e.mu.RLock()
	e.match(s, topic)
	e.mu.RUnlock()
	if e.tracer != nil {
		s.within(e.tracer, core.TraceFromHeaders(headers))
	}
	e.fanOut(s, topic, &publication{payload: payload, headers: headers, author: core.ClusterProtocol, from: core.FromNode})
}

// Served keeps up to date which services clients of another node offer. What lies in a channel
// that somebody else owns does not count: who offers it learns of the channel too. Any
// goroutine.
func (e *Engine) Served(by core.NodeID, changes []core.Service) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodeOf(by)
	for _, c := range changes {
		o := n.offers[c.Name]
		switch {
		case c.On && o == nil && e.outside(n, []byte(c.Name)):
			n.offers[c.Name] = e.addOffer(n, c.Name)
		case !c.On && o != nil:
			delete(n.offers, c.Name)
			e.removeOffer(o)
		}
	}
}

// Owned gives a channel to another node. Who has something here that does not go with it loses
// that. Any goroutine.
func (e *Engine) Owned(by core.NodeID, claim core.Claim) {
	e.mu.Lock()
	n := e.nodeOf(by)
	c := &channel{owner: n, name: claim.Channel, names: sortedNames(claim.Services)}
	c.services = make([]service, c.names.size())
	channels, offers := e.conflicts(c)
	for _, other := range channels {
		e.forgetChannel(other)
	}
	for _, o := range offers {
		e.removeOffer(o)
	}
	n.channels[c.name] = c
	e.channels.add(c)
	e.claim(c.name)
	e.mu.Unlock()
	for _, other := range channels {
		other.owner.lostChannel(other, refusedTaken.Failure)
	}
	for _, o := range offers {
		o.owner.lostOffer(o, refusedTaken.Failure)
	}
}

// Freed takes a channel of Owned back. Any goroutine.
func (e *Engine) Freed(by core.NodeID, channel string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := e.nodes[by]; n != nil && n.channels[channel] != nil {
		e.forgetChannel(n.channels[channel])
		delete(n.channels, channel)
	}
}

// Lost takes a channel from the connection that owns it here. Any goroutine.
func (e *Engine) Lost(channel string) {
	e.mu.Lock()
	c := e.channels.get(channel)
	if c == nil || !c.owner.here() {
		e.mu.Unlock()
		return
	}
	e.forgetChannel(c)
	e.mu.Unlock()
	c.owner.lostChannel(c, failureLeaseLost)
}

// failureLeaseLost is why a channel is lost that nobody else has got.
var failureLeaseLost = core.Failure{
	Code: core.Unreachable, Text: "the other nodes could not be reached for so long that the channel is free",
}

// Asked puts a call of another node to a client here that offers the service. Any goroutine.
func (e *Engine) Asked(from core.NodeID, q core.Question) {
	e.mu.Lock()
	n := e.nodeOf(from)
	e.mu.Unlock()
	if r := n.call(q); r.Failed() && q.Call != (core.CallID{}) {
		e.backplane.Answer(from, q.Call, core.Outcome{Failure: r.Failure, Reason: r.reason})
	}
}

// Answered ends a call that was put to another node. One that the node was not asked, or that
// has ended, is ignored. Any goroutine.
func (e *Engine) Answered(from core.NodeID, id core.CallID, o core.Outcome) {
	n := e.nodeIfAny(from)
	if n == nil {
		return
	}
	end := outcome{answer: o.Answer}
	if o.Failure.Failed() {
		end = outcome{refusal: refusalOf(o.Failure, core.ReasonAnswerer)}
		if o.Reason != core.ReasonNormal {
			end.reason = o.Reason
		}
	}
	n.callAnswered(id, end)
}

// Cancelled ends a call of another node, which waits for it no more. Any goroutine.
func (e *Engine) Cancelled(from core.NodeID, id core.CallID) {
	n := e.nodeIfAny(from)
	if n == nil {
		return
	}
	if k := e.calls.cancel(id, n); k != nil {
		k.answerer.callOver(k)
		e.recycle(k)
	}
}

// SessionEnded takes a session from the connections here that have it. Any goroutine.
func (e *Engine) SessionEnded(key string) {
	all, mine := e.sessions.expel(key)
	if !mine {
		return // it is being ended here, which tells them
	}
	for _, p := range all {
		p.link.Post(func() { p.sessionEnded(key) })
	}
	e.sessions.ended(key)
}

// Gone forgets a node: what it had is free, the calls that were put to it fail, and those that
// it made are over. Any goroutine.
func (e *Engine) Gone(id core.NodeID) {
	e.mu.Lock()
	n := e.nodes[id]
	delete(e.nodes, id)
	e.mu.Unlock()
	if n == nil {
		return
	}
	for n.forgetSome() {
	}
	asking, asked := e.calls.leave(&n.party)
	for _, k := range asking {
		k.answerer.callOver(k)
		e.recycle(k)
	}
	for _, k := range asked {
		k.answered = true // it is to be told nothing
		e.end(k, outcome{refusal: refusedGone})
	}
}
