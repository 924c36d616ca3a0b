package network

import (
	"fmt"
	"log/slog"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// SlowConsumer is the policy for a client that reads more slowly than the broker writes to
// it. It applies when the client's backlog reaches the endpoint's outbound limit, or when the
// backlog of all clients exceeds the outbound budget.
//
// Only messages of subscriptions are dropped. Answers, outcomes and requests are
// owed to the client: if they do not fit, messages are dropped to make room, and if that is
// not enough the connection ends, whatever the policy.
type SlowConsumer uint8

// The policies.
const (
	// Disconnect ends the connection with the format's goodbye for a slow client.
	Disconnect SlowConsumer = iota
	// DropOldest drops the oldest queued messages.
	DropOldest
	// DropNewest drops the message that does not fit.
	DropNewest
	// Conflate keeps the newest message of each topic while the client's socket is
	// full: a new message replaces the previous one. At the bound, with too many
	// topics, it drops like DropOldest.
	Conflate
)

// ParseSlowConsumer parses a policy of the configuration.
func ParseSlowConsumer(s string) (SlowConsumer, error) {
	switch s {
	case "disconnect":
		return Disconnect, nil
	case "drop_oldest":
		return DropOldest, nil
	case "drop_newest":
		return DropNewest, nil
	case "conflate":
		return Conflate, nil
	}
	return 0, fmt.Errorf("unknown slow consumer policy %q: want disconnect, drop_oldest, drop_newest or conflate", s)
}

// losses counts the messages that a connection lost because it reads too slowly.
type losses struct {
	named           bool   // in the log
	lost, lostBytes uint64 // messages dropped by the policy, and their payload bytes
}

// makeRoom is called when f does not fit under the bound even after a flush. It applies the
// policy and reports whether f may be queued.
func (c *conn) makeRoom(f *frame) bool {
	policy := c.settings.SlowConsumer
	if policy == DropOldest || policy == Conflate || policy == DropNewest && f.purpose != published {
		for !c.fits(f) && c.dropMessage() {
		}
	}
	switch {
	case c.fits(f) || f.purpose == owed && c.owedFits(f):
		return true
	case policy == Disconnect && f.purpose == published && c.messageFits(f):
		return true
	case policy != Disconnect && f.purpose == published:
		c.dropSlow(f)
	default:
		c.dropSlow(f)
		c.sayGoodbye(core.ReasonSlow)
	}
	return false
}

// fits reports whether f may be queued under the endpoint's bound. The first queued frame
// is in flight and does not count: a client that reads a big message is not slow because
// another one follows. A control frame always fits: those that answer the client are bounded
// by choke.
func (c *conn) fits(f *frame) bool {
	all, _ := c.out.behind()
	return len(c.out.frames) == 0 || f.purpose.isControl() || all+len(f.bytes) <= c.settings.OutboundLimit
}

// owedFits reports whether f, which is owed to the client, may be queued, whatever messages
// wait: owed frames have the bound for themselves. One owed frame is always accepted.
func (c *conn) owedFits(f *frame) bool {
	_, n := c.out.behind()
	return n == 0 || n+len(f.bytes) <= c.settings.OutboundLimit
}

// messageFits reports whether f, a message, may be queued, whatever is owed. What is owed may
// be requests of others, because of which the client must not be disconnected.
func (c *conn) messageFits(f *frame) bool {
	all, ofOwed := c.out.behind()
	return all-ofOwed+len(f.bytes) <= c.settings.OutboundLimit
}

// dropMessage drops one queued message that is not partly written: the newest with
// DropNewest, else the oldest. It reports whether there was one.
func (c *conn) dropMessage() bool {
	frames := c.out.frames
	first := c.out.unwritten()
	if c.settings.SlowConsumer == DropNewest {
		for i := len(frames) - 1; i >= first; i-- {
			if frames[i].purpose == published {
				c.takeOut(i)
				return true
			}
		}
		return false
	}
	for i := first; i < len(frames); i++ {
		if frames[i].purpose == published {
			c.takeOut(i)
			return true
		}
	}
	return false
}

// takeOut drops the queued frame at i because the client is slow.
func (c *conn) takeOut(i int) {
	c.dropSlow(c.out.frames[i])
	c.out.remove(i)
	c.unchoke()
}

// relieve is called while the backlog of all clients is over the budget and this client is
// among those with the largest backlog: its policy drops half of that.
func (c *conn) relieve() {
	goal, dropped := c.burden()/2, false
	if c.settings.SlowConsumer != Disconnect {
		for c.burden() > goal && c.dropMessage() {
			dropped = true
		}
	}
	if !dropped {
		c.ep.server.log.Warn("client reads too slowly and is disconnected: what waits for all clients is over network.outbound_budget",
			append(c.attrs(core.ReasonSlow), slog.Int("waiting", c.waiting()))...)
		c.sayGoodbye(core.ReasonSlow)
	}
}

// count counts a message with a payload of n bytes that c does not get.
func (c *conn) count(n int, r core.Reason) {
	c.ep.Stats.Dropped.Inc(r)
	c.ep.Stats.DroppedBytes.Add(r, uint64(n))
}

// dropUnwritten drops all queued frames that are not partly written, but for the response to
// the upgrade.
func (c *conn) dropUnwritten() {
	for i := len(c.out.frames) - 1; i >= c.out.unwritten() && c.out.frames[i].purpose != response; i-- {
		c.takeOut(i)
	}
}

// dropOutput drops all output, even a partly written frame, counted under r. Waiting
// ciphertext stays.
func (c *conn) dropOutput(r core.Reason) {
	for _, f := range c.out.frames {
		if !f.purpose.isControl() {
			c.count(f.payload, r)
		}
	}
	c.out.drop()
}

// dropSlow counts a frame that c does not get because it is slow, and logs the first.
func (c *conn) dropSlow(f *frame) {
	if f.purpose.isControl() {
		return
	}
	c.count(f.payload, core.ReasonSlow)
	if c.tap != nil {
		c.tap.dropped(f.payload)
	}
	if l := c.lossesSoFar(); l.lost == 0 {
		l.named = true
		c.ep.server.log.Warn("client reads too slowly and loses messages; how many is logged when it leaves",
			append(c.attrs(core.ReasonSlow), slog.Int("waiting", c.waiting()))...)
	}
	c.losses.lost++
	c.losses.lostBytes += uint64(f.payload)
}

func (c *conn) lossesSoFar() *losses {
	if c.losses == nil {
		c.losses = new(losses)
	}
	return c.losses
}

// conflated counts a message with a payload of n bytes that a newer one has replaced, and logs
// the first.
func (c *conn) conflated(n int) {
	c.count(n, core.ReasonConflated)
	if c.tap != nil {
		c.tap.dropped(n)
	}
	if l := c.lossesSoFar(); !l.named {
		l.named = true
		c.ep.server.log.Info("client reads too slowly and gets only the newest message of each topic until it keeps up",
			append(c.attrs(core.ReasonConflated), slog.Int("waiting", c.waiting()))...)
	}
}

// logLost logs, when c is gone, what it has lost.
func (c *conn) logLost() {
	if c.losses == nil || c.losses.lost == 0 {
		return
	}
	c.ep.server.log.Warn("slow client left", append(c.attrs(c.reason),
		slog.Uint64("lost_messages", c.losses.lost), slog.Uint64("lost_bytes", c.losses.lostBytes))...)
}

// attrs returns the attributes of a frequent log line: the connection and the reason.
func (c *conn) attrs(r core.Reason) []any {
	return []any{logging.Bounded(c.ep.Name, r.String()), slog.Uint64("conn", c.id), slog.String("remote", c.remote), logging.Quoted("user", c.user.User())}
}

// relieve is called in every turn. While the backlog of all clients exceeds the budget, it
// applies the policies to the loop's slowest clients: all whose backlog is at least half of
// that of the slowest client of all loops.
func (l *loop) relieve() {
	s := l.server
	if !s.budget.over() {
		return
	}
	most := int64(0)
	for _, other := range s.loopList() {
		most = max(most, other.largest.Load())
	}
	for _, c := range l.stuck {
		if n := int64(c.burden()); c.isOpen() && n > 0 && n >= most/2 && s.budget.over() {
			s.guard(c, c.relieve)
		}
	}
	l.measure()
}

// burden returns the memory of the client's backlog. The budget bounds memory, and for many
// tiny messages that is far more than their bytes.
func (c *conn) burden() int {
	n := c.out.weight.all
	if c.secure != nil {
		n += len(c.secure.rest)
	}
	return n
}

// measure finds the largest backlog of the loop.
func (l *loop) measure() {
	largest := 0
	for _, c := range l.stuck {
		if c.isOpen() {
			largest = max(largest, c.burden())
		}
	}
	l.largest.Store(int64(largest))
}
