package network

import (
	"errors"
	"sync/atomic"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// remoteFormat is a format whose codecs are in another process. Static after construction.
type remoteFormat struct {
	ep     *endpoint
	format core.RemoteFormat
}

func (f *remoteFormat) translator(c *conn) translator { return &remote{conn: c, format: f.format} }
func (f *remoteFormat) writable(core.Event) error     { return nil }
func (f *remoteFormat) begin()                        { f.ep.server.bind(f.format) }
func (f *remoteFormat) end()                          { f.ep.server.unbind(f.format) }

// remote is the translator of a codec in another process, and the connection as that sees it.
// Messages are on their way there and back while the next ones come in, so what must come
// behind them (a pong, a close frame) waits for the answers.
type remote struct {
	// Static after open.
	conn   *conn
	format core.RemoteFormat
	codec  core.RemoteCodec

	// Atomic.
	asked atomic.Uint64 // questions

	// Owned by the loop.
	answered uint64
	messages int    // of the client that are unanswered, and the opening
	last     uint64 // how many questions were asked when the socket was gone; 0 before
	waiting  []waiting
	next     func() // what comes behind all that was read
	passes   int    // how many times next has waited for all answers
	broken   bool   // the client broke the format: answers to its further messages are not looked at
	parting  bool   // the last word is being asked for
}

// waiting is work that waits for answers.
type waiting struct {
	until uint64 // how many questions must be answered
	then  func()
}

var (
	_ translator      = (*remote)(nil)
	_ core.RemoteConn = (*remote)(nil)
)

// ID, Post and Close are those of the link.
func (r *remote) ID() uint64               { return r.conn.id }
func (r *remote) Post(f func())            { r.conn.Post(f) }
func (r *remote) Close(reason core.Reason) { r.conn.Close(reason) }

// open asks how the client is greeted. The connection is held until then.
func (r *remote) open() {
	c := r.conn
	r.codec = r.format.Attach(c.loop.index%r.format.Shards(), r)
	c.hold(unopened)
	r.messages++
	r.asked.Add(1)
	r.codec.Open()
	c.hearEarly() // which may end the connection
}

// Opened begins the connection.
func (r *remote) Opened(greeting core.Frame, err error) {
	c := r.conn
	c.connect()
	r.answered++
	r.messages--
	if err != nil {
		c.sayGoodbye(reasonOfLoss(err))
		return
	}
	r.say(greeting)
	c.listen()
	r.settled()
	c.release(unopened)
}

// reasonOfLoss returns why a question got no answer.
func reasonOfLoss(err error) core.Reason {
	if v, ok := errors.AsType[*core.Violation](err); ok {
		return v.Reason
	}
	return core.ReasonInternal
}

// Pause and Unpause are by the codec itself, which wants to read no further message, but
// does not mind what becomes of those that are away.
func (r *remote) Pause() { r.conn.hold(paused) }

// Unpause ends Pause.
func (r *remote) Unpause() { r.conn.release(paused) }

// Held reports whether no message that was away may be carried out.
func (r *remote) Held() bool { return r.conn.in.holds.carryingOut() && r.conn.isOpen() }

// read asks what a message means.
func (r *remote) read(f core.Frame) (done bool, err error) {
	r.messages++
	r.asked.Add(1)
	r.codec.Decode(f)
	return false, nil
}

// Do carries out a command of the client.
func (r *remote) Do(cmd core.Command) {
	if r.broken {
		return
	}
	r.conn.connect()
	r.conn.Do(cmd)
}

// Refuse counts a message that the codec refused, and tells the client if f says so.
func (r *remote) Refuse(reason core.Reason, ref []byte, f core.Failure) {
	if r.broken {
		return
	}
	r.conn.connect()
	r.conn.Refuse(reason, ref, f)
}

// Decoded goes on behind a message whose commands were carried out.
func (r *remote) Decoded(err error) {
	r.answered++
	r.messages--
	switch {
	case r.broken:
	case err == nil:
		r.conn.spend(remoteCost)
		r.conn.carriedOut(nil)
	default:
		r.broken = true
		r.behind(func() { r.conn.carriedOut(err) })
	}
	r.settled()
}

// tell queues ev at once if it is known how it reads.
func (r *remote) tell(ev core.Event) {
	if f, known := r.codec.Expected(ev); known {
		r.say(f)
		return
	}
	r.send(ev)
}

// send asks how ev reads.
func (r *remote) send(ev core.Event) {
	r.asked.Add(1)
	r.codec.Encode(ev)
}

func (r *remote) admits(n int) bool { return r.codec.Admits(n) }

// Encoded sends an event.
func (r *remote) Encoded(asked core.CallID, f core.Frame, err error) {
	c := r.conn
	r.answered++
	switch v, ends := errors.AsType[*core.Violation](err); {
	case err == nil && asked != (core.CallID{}) && f.Kind != core.NoFrame && c.isOpen():
		c.queueRequest(frameOf(f), asked)
	case err == nil:
		r.say(f)
	case errors.Is(err, core.ErrNoRoom):
		c.ep.Stats.Dropped.Inc(core.ReasonOverload)
		c.requestUndeliverable(asked, core.ReasonOverload)
	case !ends:
		c.dropUnwritableEvent(asked, err)
	default:
		if f.Kind == core.NoFrame {
			c.ep.Stats.Dropped.Inc(v.Reason)
		}
		r.say(f)
		c.sayGoodbye(v.Reason)
	}
	r.settled()
}

// say queues what the client reads.
func (r *remote) say(f core.Frame) {
	if f.Kind != core.NoFrame && r.conn.isOpen() {
		r.conn.queueMessage(frameOf(f))
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

// settle runs then when all that has been asked is answered: now, if it is, or if the
// connection is ending, which ends the asking.
func (r *remote) settle(then func()) {
	if r.conn.isOpen() && r.busy() {
		r.waiting = append(r.waiting, waiting{r.asked.Load(), then})
		return
	}
	then()
}

// settled runs what has waited long enough.
func (r *remote) settled() {
	for len(r.waiting) > 0 && r.answered >= r.waiting[0].until {
		then := r.waiting[0].then
		r.waiting = r.waiting[1:]
		then()
	}
	if r.conn.socket.where == nowhere && !r.lingers() {
		r.conn.wake()
	}
}

func (r *remote) busy() bool { return r.answered < r.asked.Load() }

// lingers does not look at what is asked later for others: they may go on for ever.
func (r *remote) lingers() bool {
	if r.last == 0 {
		r.last = r.asked.Load()
	}
	return r.parting || r.messages > 0 || r.answered < r.last
}

// behind runs f behind all that was read before. What waits already does not come any more:
// f stands before it.
func (r *remote) behind(f func()) {
	r.next, r.passes = f, 0
	r.goOn()
}

// maxPasses is how many times what comes behind all that was read waits for all answers: for
// those to messages, and for those to the events behind them. Others may go on sending events
// for ever.
const maxPasses = 2

// goOn runs what waits behind all that was read, if it may now. It reports whether nothing
// waits any more.
func (r *remote) goOn() bool {
	c := r.conn
	if r.next == nil {
		return true
	}
	if c.heldBack() {
		return false
	}
	if c.isOpen() && r.passes < maxPasses && r.busy() {
		r.passes++
		c.hold(ordering)
		r.settle(func() {
			c.release(ordering)
			r.resume() // now: what else waits for these answers comes behind it
		})
		return false
	}
	next := r.next
	r.next = nil
	next()
	return true
}

// resume hands on the answers that had to wait.
func (r *remote) resume() bool {
	if !r.Held() {
		r.codec.Resume()
	}
	return r.goOn()
}

// farewell asks for the last word when all messages of the client and the events behind them
// are done. It does not where the client would not read it, or nobody would answer.
func (r *remote) farewell(reason core.Reason) bool {
	c := r.conn
	switch {
	case reason == core.ReasonSlow || reason == core.ReasonLost || reason == core.ReasonInternal ||
		reason == core.ReasonOverload || reason == core.ReasonRestart:
		c.connect()
		return true
	case r.parting:
		return false
	}
	r.parting = true
	if c.state == open {
		c.state = parting
	}
	r.settle(func() {
		r.send(core.Event{Kind: core.Goodbye, Reason: reason})
		r.settle(func() { c.part(reason) })
	})
	return false
}

// close ends the asking. What waits for answers goes on without.
func (r *remote) close() {
	if r.codec != nil { // nil if Attach has panicked
		r.codec.Close()
	}
	rest := r.waiting
	r.waiting = nil
	if len(rest) == 0 {
		return
	}
	r.conn.Post(func() {
		for _, w := range rest {
			w.then()
		}
	})
}
