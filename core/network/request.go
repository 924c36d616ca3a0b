package network

import "github.com/polywire/polywire/core"

// Requests come from other clients, without a limit on their number and size. So an answerer
// is never disconnected as slow because of them. They may use a part of what may be owed to
// it, and a part of the budget; a request that does not fit fails, and its caller is told. The
// rest of what is owed, and messages of subscriptions, have their own room.

// requestLimit returns how many bytes of requests may wait under an outbound limit.
func requestLimit(outbound int) int { return outbound - outbound/4 }

// tinyShare is how many times more memory than bytes waiting requests may take: bursts of tiny
// requests are common, and each takes some hundred bytes.
const tinyShare = 3

// owedBehind returns the owed part of the client's backlog: its bytes, or a share of its
// memory if that is more.
func (c *conn) owedBehind() int {
	_, n := c.out.behind()
	return max(n, c.out.weightBehind().owed/tinyShare)
}

// admits reports whether a request of n bytes may be queued when waits bytes are owed already.
// One request is always accepted.
func (ep *endpoint) admits(n, waits, limit int) bool {
	b := &ep.server.budget
	return waits == 0 || waits+n <= requestLimit(limit) && b.used.Load()+int64(frameBytes+slotBytes+n) <= b.limit-b.limit/4
}

// Admits reports whether a request of n bytes would be queued, by what is known now.
func (c *conn) Admits(n int) bool {
	return c.format.admits(n) && c.ep.admits(n, int(c.owes.Load()), c.ep.settings.Load().OutboundLimit)
}

// noteOwed publishes how much is owed to a client that does not read fast enough.
func (c *conn) noteOwed() {
	waits := int64(0)
	if c.out.list == stuck {
		waits = int64(c.owedBehind())
	}
	if c.owes.Load() != waits {
		c.owes.Store(waits)
	}
}

// queueRequest queues a request. id is that of the call, zero if no answer is wanted. If the
// request does not fit, the call fails.
func (c *conn) queueRequest(f *frame, id core.CallID) {
	if !c.requestFits(len(f.bytes)) && c.out.list != stuck {
		c.flush()
	}
	switch {
	case !c.isOpen():
		f.release()
	case c.requestFits(len(f.bytes)):
		c.queueMessage(f)
		c.noteOwed()
	default:
		c.count(f.payload, core.ReasonOverload)
		f.release()
		c.requestUndeliverable(id, core.ReasonOverload)
	}
}

func (c *conn) requestFits(n int) bool {
	return c.ep.admits(n, c.owedBehind(), c.settings.OutboundLimit)
}
