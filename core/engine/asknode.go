package engine

import (
	"context"
	"time"

	"github.com/polywire/polywire/core"
)

// AskNode asks another node itself, and not one of its clients: name is a service that no client can offer. It waits
// until ctx ends, but a minute at most. name and p are borrowed; the answer is the caller's own. Not on an event loop.
func (e *Engine) AskNode(ctx context.Context, id core.NodeID, name []byte, p core.Payload) (core.Payload, core.Failure) {
	e.mu.Lock()
	n := e.nodeOf(id)
	e.mu.Unlock()
	timeout := defaultTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline))
	}
	if timeout <= 0 {
		return core.Payload{}, refusedTimeout.Failure
	}
	var asked service // whose bound is for this call alone
	o, _ := e.programAsksOwner(ctx, nil, name, p, target{owner: n, service: &asked, title: title{name: string(name)}}, timeout)
	return o.answer, o.Failure
}

// NodeHoldings returns what this node knows of another one: how many channels and services its clients have, how
// many calls clients here wait for it to answer, and it for them. Any goroutine.
func (e *Engine) NodeHoldings(id core.NodeID) (h core.NodeHoldings) {
	e.mu.RLock()
	n := e.nodes[id]
	if n != nil {
		h.Channels, h.Services = len(n.channels), len(n.offers)
	}
	e.mu.RUnlock()
	if n != nil {
		h.Asking, h.Asked = e.calls.of(&n.party)
	}
	return h
}
