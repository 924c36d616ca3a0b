package network

import "github.com/polywire/polywire/core"

// Requests come from other clients, who can send as many and as big ones as they like: so
// they are not what an answerer is ended for as slow. They have a part of what may be owed
// to it, and a part of the budget; one that does not fit fails, and its caller is told. What
// is owed besides, and messages of subscriptions, have room beside them.

// requestLimit returns how many bytes of requests may wait under an outbound limit.
func requestLimit(outbound int) int { return outbound - outbound/4 }

// tinyShare is how much more memory than bytes requests may take that wait: a burst of tiny
// ones is usual, and each of them takes some hundred bytes.
const tinyShare = 3

// owedBehind returns what counts as owed of what waits for the client: its bytes, or a part of
// its memory where that is more.
func (c *conn) owedBehind() int {
	_, n := c.out.behind()
	return max(n, c.out.weightBehind().owed/tinyShare)
}

// admits reports whether a request of n bytes may be queued behind what waits, of which
// waits are owed. One is always taken.
func (ep *endpoint) admits(n, waits, limit int) bool {
	b := &ep.server.budget
	return waits == 0 || waits+n <= requestLimit(limit) && b.used.Load()+int64(frameBytes+slotBytes+n) <= b.limit-b.limit/4
}

// Admits reports whether a request of n bytes would be queued, as far as is known.
func (c *conn) Admits(n int) bool {
	return c.format.admits(n) && c.ep.admits(n, int(c.owes.Load()), c.ep.settings.Load().OutboundLimit)
}

// noteOwed makes known how much is owed to a client that does not read fast enough.
func (c *conn) noteOwed() {
	waits := int64(0)
	if c.out.list == stuck {
		waits = int64(c.owedBehind())
	}
	if c.owes.Load() != waits {
		c.owes.Store(waits)
	}
}

// queueRequest queues a request, which asks the client under an id, or under none if no
// answer is wanted. If it does not fit, the call fails.
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
