package network

import (
	"bytes"
	"errors"
	"sync/atomic"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/polywire/polywire/core"
)

// relay is what a connection keeps whose format translates elsewhere. Its messages are
// on their way there and back while the next ones come in, so what must come behind
// them (a pong, a close frame) waits for the answers.
type relay struct {
	// Static after construction.
	codec core.RemoteCodec

	// Atomic. asked counts questions, telling the events among them that are unanswered.
	asked   atomic.Uint64
	telling atomic.Int64

	// Owned by the loop.
	answered uint64
	waiting  []settling
	next     func()     // what comes behind all that was read, and holds up what is read next
	passes   int        // how many times next has waited for all answers
	foreseen []foreseen // outcomes that are not told yet
	leaving  bool       // the goodbye is under way: messages are not looked at any more
	deaf     bool       // neither are those that are away: the client broke the format
	parted   bool       // the goodbye has been said
}

// settling is work that waits for answers.
type settling struct {
	until uint64 // how many questions must be answered
	then  func()
}

var _ core.RemoteConn = (*conn)(nil)

// openRemotely asks for the opening of a new connection. It is held until then.
func (c *conn) openRemotely() {
	c.relay = new(relay)
	remote := c.ep.remote
	c.relay.codec = remote.Attach(c.loop.index%remote.Shards(), c)
	c.hold(unopened)
	c.hearEarly()
	c.relay.asked.Add(1)
	c.relay.codec.Open()
}

// Opened begins the connection.
func (c *conn) Opened(greeting core.Frame, err error) {
	c.begin()
	c.relay.answered++
	if err != nil {
		c.sayGoodbye(reasonOfLoss(err))
		return
	}
	c.say(greeting)
	c.listen()
	c.settled()
	c.release(unopened)
}

// Pause and Unpause are Hold and Release by the codec itself, which wants to read no further
// message, but does not mind what becomes of those that are away.
func (c *conn) Pause() { c.hold(paused) }

// Unpause ends Pause.
func (c *conn) Unpause() { c.release(paused) }

// Held reports whether somebody else holds the connection: then no message that was away
// may be carried out.
func (c *conn) Held() bool { return c.holds.carryingOut() && c.state == open }

// begin connects the connection if it is not.
func (c *conn) begin() {
	if c.peer == nil {
		c.connect()
	}
}

// askMeaning asks what a message means.
func (c *conn) askMeaning(f core.Frame) {
	c.relay.asked.Add(1)
	c.relay.codec.Decode(f)
}

// Decoded goes on behind a message whose commands were carried out.
func (c *conn) Decoded(err error) {
	c.relay.answered++
	switch {
	case c.relay.deaf:
	case err == nil:
		c.spend(remoteCost)
		c.carriedOut(nil)
	default:
		c.relay.deaf = true
		c.inTurn(func() { c.carriedOut(err) })
	}
	c.settled()
}

// Command carries out a command of the client.
func (c *conn) Command(cmd core.Command, expected *core.Frame) {
	if c.relay.deaf {
		return
	}
	c.begin()
	c.foresee(cmd.Verb, cmd.Ref, expected, func() { c.peer.Do(cmd) })
}

// Refusal counts a message that the codec refused, and tells the client if f says so.
func (c *conn) Refusal(r core.Reason, ref []byte, f core.Failure, expected *core.Frame) {
	if c.relay.deaf {
		return
	}
	c.begin()
	c.foresee(core.None, ref, expected, func() { c.Refuse(r, ref, f) })
}

// ask asks how ev reads. Any goroutine.
func (c *conn) ask(ev core.Event) {
	c.relay.telling.Add(1)
	c.relay.asked.Add(1)
	c.relay.codec.Encode(ev)
}

// Encoded sends an event.
func (c *conn) Encoded(asked core.CallID, f core.Frame, err error) {
	c.relay.telling.Add(-1)
	c.relay.answered++
	switch v, ends := errors.AsType[*core.Violation](err); {
	case err == nil && asked != (core.CallID{}) && f.Kind != core.NoFrame && c.state == open:
		c.queueRequest(frameOf(f), asked)
	case err == nil:
		c.say(f)
	case errors.Is(err, core.ErrNoRoom):
		c.ep.Stats.Dropped.Inc(core.ReasonOverload)
		c.unasked(asked, core.ReasonOverload)
	case !ends:
		c.missEvent(asked, err)
	default:
		if f.Kind == core.NoFrame {
			c.ep.Stats.Dropped.Inc(v.Reason)
		}
		c.say(f)
		c.sayGoodbye(v.Reason)
	}
	c.settled()
}

// say queues what the client reads.
func (c *conn) say(f core.Frame) {
	if f.Kind != core.NoFrame && c.state == open {
		c.queueMessage(frameOf(f))
	}
}

// frameOf returns f with one reference.
func frameOf(f core.Frame) *frame {
	op := ws.OpText
	if f.Kind == core.BinaryFrame {
		op = ws.OpBinary
	}
	out := newFrame()
	out.seal(append(out.room(), f.Data...), op)
	return out
}

// reasonOfLoss returns why a question got no answer.
func reasonOfLoss(err error) core.Reason {
	if v, ok := errors.AsType[*core.Violation](err); ok {
		return v.Reason
	}
	return core.ReasonInternal
}

// settle runs then when all that has been asked is answered: now, if it is, or if the
// connection is ending, which ends the asking.
func (c *conn) settle(then func()) {
	if asked := c.relay.asked.Load(); c.state == open && c.relay.answered < asked {
		c.relay.waiting = append(c.relay.waiting, settling{asked, then})
		return
	}
	then()
}

// settled runs what has waited long enough.
func (c *conn) settled() {
	for r := c.relay; len(r.waiting) > 0 && r.answered >= r.waiting[0].until; {
		then := r.waiting[0].then
		r.waiting = r.waiting[1:]
		then()
	}
}

// controlLater puts a control frame off until the messages before it have been carried
// out and what came of them has been told, and reports whether it had to.
func (c *conn) controlLater(op ws.OpCode, payload []byte) bool {
	if c.state != open || c.relay.answered == c.relay.asked.Load() {
		return false
	}
	payload = bytes.Clone(payload)
	c.inTurn(func() { c.control(op, payload) })
	return true
}

// inTurn runs f behind all that was read before; nothing is read until then. What waits
// already does not come any more: f stands before it.
func (c *conn) inTurn(f func()) {
	c.relay.next, c.relay.passes = f, 0
	c.takeTurn()
}

// turnPasses is how many times a turn waits for all answers: for those to messages, and
// for those to the events behind them. Others may go on sending events for ever.
const turnPasses = 2

// takeTurn runs what waits for its turn, if it may now. It reports whether nothing waits
// any more.
func (c *conn) takeTurn() bool {
	r := c.relay
	if r == nil || r.next == nil {
		return true
	}
	if c.heldBack() {
		return false
	}
	if c.state == open && r.passes < turnPasses && r.answered < r.asked.Load() {
		r.passes++
		c.hold(ordering)
		c.settle(func() { c.release(ordering) })
		return false
	}
	next := r.next
	r.next = nil
	next()
	return true
}

// farewell reports whether the connection may be ended for r now. If not, it is when
// all messages of the client and the events behind them are done, and then is called.
func (c *conn) farewell(r core.Reason, then func()) bool {
	switch r {
	case core.ReasonSlow, core.ReasonLost, core.ReasonInternal, core.ReasonOverload, core.ReasonRestart:
		c.begin()
		return true
	}
	if c.relay.parted || c.relay.leaving {
		return c.relay.parted
	}
	c.relay.leaving = true
	c.settle(func() {
		c.ask(core.Event{Kind: core.Goodbye, Reason: r})
		c.settle(func() {
			c.relay.parted = true
			then()
		})
	})
	return false
}

// linger reports whether a connection whose socket is gone stays until what it has sent
// is carried out; gone is called again then. What waits for a release by others it
// loses, as any connection does.
func (c *conn) linger() bool {
	if c.state != open || c.Held() {
		return false
	}
	away := c.relay != nil && c.relay.answered < c.relay.asked.Load()
	if !away && c.aside == nil && c.inbox.size == 0 && !c.secure.waits() {
		return false
	}
	if !c.orphan {
		c.orphan = true
		if c.parked {
			_ = unix.Close(c.fd)
		}
		c.gc, c.fd, c.parked = nil, noFile, false
	}
	if away {
		c.settle(c.goneAtLast)
	}
	// Else there is input left that resume is about to read.
	return true
}

// goneAtLast is gone for a connection that lingers.
func (c *conn) goneAtLast() {
	if c.orphan && c.state != ended {
		c.gone()
	}
}

// detach ends the asking. What waits for answers goes on without.
func (c *conn) detach() {
	c.relay.codec.Close()
	waiting := c.relay.waiting
	c.relay.waiting = nil
	if len(waiting) == 0 {
		return
	}
	c.Post(func() {
		for _, w := range waiting {
			w.then()
		}
	})
}
