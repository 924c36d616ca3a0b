package engine

import (
	"cmp"

	"github.com/polywire/polywire/core"
)

const (
	// maxCallsOfNode bounds the unanswered calls of one other node.
	maxCallsOfNode = 1 << 16
	// forgetAtOnce is how many things of a node end under one taking of the lock.
	forgetAtOnce = 1024
)

// node is another node of the cluster: it owns what its clients own, answers what they answer
// and calls for them. There is one as long as the backplane reaches it.
type node struct {
	// Static after construction.
	engine *Engine
	id     core.NodeID

	party party // guarded by callTable.mu

	// Guarded by Engine.mu.
	channels map[string]*channel
	offers   map[string]*offer
}

var (
	_ owner  = (*node)(nil)
	_ caller = (*node)(nil)
)

// nodeOf returns the node of an id, made if need be. The caller holds mu.
func (e *Engine) nodeOf(id core.NodeID) *node {
	n := e.nodes[id]
	if n == nil {
		n = &node{engine: e, id: id, channels: make(map[string]*channel), offers: make(map[string]*offer)}
		e.nodes[id] = n
	}
	return n
}

// nodeIfAny returns the node of an id; nil if there is none.
func (e *Engine) nodeIfAny(id core.NodeID) *node {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.nodes[id]
}

// here: it is no connection of this process.
func (n *node) here() bool { return false }

// callParty is the node's part in the table.
func (n *node) callParty() *party { return &n.party }

// admits reports true: ask fails calls for which there is no room.
func (n *node) admits(int) bool { return true }

// ask passes a call on to the node.
func (n *node) ask(q question) {
	f := n.engine.backplane.Ask(n.id, core.Question{Call: q.call, Service: q.service, Payload: q.payload, Timeout: q.timeout})
	if f.Failed() && q.call != (core.CallID{}) {
		n.callAnswered(q.call, outcome{refusal: refusalOf(f, core.ReasonUnavailable)})
	}
}

// callAnswered ends a call that was put to the node, if it waits still.
func (n *node) callAnswered(id core.CallID, o outcome) {
	if k := n.engine.calls.take(id, n, nil); k != nil {
		k.answered = true
		n.engine.end(k, o)
	}
}

// callOver tells the node that nobody waits for its answer, unless it has given one.
func (n *node) callOver(c *call) {
	if !c.answered {
		n.engine.backplane.Cancel(n.id, c.id)
	}
}

// call puts a call of the node to a connection here. If it is refused, nothing has been done.
func (n *node) call(q core.Question) refusal {
	for tries := 0; ; tries++ {
		t, found := n.engine.offerOf(q.Service, true)
		if !found {
			return refusedNoService
		}
		if r := n.askOwner(q, t); !t.another(r, tries) {
			return r
		}
	}
}

// askOwner is that of a connection, for calls of the node.
func (n *node) askOwner(q core.Question, t target) refusal {
	e := n.engine
	if !t.owner.admits(q.Payload.Size() + len(q.Service)) {
		return refusedSlow
	}
	if q.Call == (core.CallID{}) {
		if e.calls.isClosed() {
			return refusedShutdown
		}
	} else {
		k := e.records.Get().(*call)
		k.id, k.caller, k.answerer, k.service, k.title, k.far = q.Call, n, t.owner, t.service, t.title, true
		timeout := min(cmp.Or(q.Timeout, defaultTimeout), maxTimeout)
		if _, r := e.calls.add(k, maxCallsOfNode, e.now(), timeout); r.Failed() {
			e.recycle(k)
			return r
		}
	}
	t.owner.ask(question{call: q.Call, service: q.Service, payload: q.Payload, as: t.as, byTopic: t.byTopic, author: core.ClusterProtocol})
	return refusal{}
}

// callEnded answers a call of the node.
func (n *node) callEnded(c *call, o outcome) {
	n.engine.backplane.Answer(n.id, c.id, core.Outcome{Answer: o.answer, Failure: o.Failure, Reason: o.reason})
}

// lostChannel and lostOffer forget what the node has lost here: it learns of it from the
// cluster itself.
func (n *node) lostChannel(c *channel, _ core.Failure) {
	n.engine.mu.Lock()
	defer n.engine.mu.Unlock()
	if n.channels[c.name] == c {
		delete(n.channels, c.name)
	}
}

func (n *node) lostOffer(o *offer, _ core.Failure) {
	n.engine.mu.Lock()
	defer n.engine.mu.Unlock()
	if n.offers[o.shared.name] == o {
		delete(n.offers, o.shared.name)
	}
}

// forgetSome frees some of what a node has that is gone, and reports whether there is more.
func (n *node) forgetSome() (more bool) {
	e := n.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	left := forgetAtOnce
	for name, c := range n.channels {
		if left--; left < 0 {
			return true
		}
		e.forgetChannel(c)
		delete(n.channels, name)
	}
	for name, o := range n.offers {
		if left--; left < 0 {
			return true
		}
		e.removeOffer(o)
		delete(n.offers, name)
	}
	return false
}
