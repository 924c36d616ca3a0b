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

func (f *remoteFormat) translator(c *conn) translator             { return &remote{conn: c, format: f.format} }
func (f *remoteFormat) writable(core.Event) (core.Written, error) { return core.Written{}, nil }
func (f *remoteFormat) begin()                                    { f.ep.server.bind(f.format) }
func (f *remoteFormat) end()                                      { f.ep.server.unbind(f.format) }

// remote is the translator of a codec in another process, and the core.RemoteConn of that codec.
// Messages are pipelined: the next ones are read while earlier ones are in flight. So whatever
// must come after them (a pong, a close frame) waits for their answers.
type remote struct {
	// Static after open.
	conn   *conn
	format core.RemoteFormat
	codec  core.RemoteCodec

	// Atomic.
	asked atomic.Uint64 // questions so far

	// Owned by the loop.
	answered uint64 // questions so far
	messages int    // unanswered messages of the client, and the opening
	last     uint64 // asked, when the socket was closed; 0 before
	waiting  []waiting
	next     func()       // runs after all that was read before it; nil if nothing waits
	passes   int          // how often next has waited for all answers
	broken   bool         // the client broke the format: answers to its later messages are ignored
	parting  bool         // the Goodbye is being encoded
	said     []core.Frame // the oldest unanswered messages, in order, since a tap has watched topics; without data if not kept
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

// open asks for the greeting. The connection is held until it comes.
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

// reasonOfLoss returns the reason for which a question got no answer.
func reasonOfLoss(err error) core.Reason {
	if v, ok := errors.AsType[*core.Violation](err); ok {
		return v.Reason
	}
	return core.ReasonInternal
}

// Pause stops the reading of messages, but not the carrying out of those in flight.
func (r *remote) Pause() { r.conn.hold(paused) }

// Unpause ends Pause.
func (r *remote) Unpause() { r.conn.release(paused) }

// Held reports whether messages in flight must wait.
func (r *remote) Held() bool { return r.conn.in.holds.stopCarryingOut() && r.conn.isOpen() }

// keep keeps a message behind those that are in flight, of which some may not have been kept.
func (r *remote) keep(f core.Frame) {
	for len(r.said) < r.messages {
		r.said = append(r.said, core.Frame{})
	}
	r.said = append(r.said, f.Clone())
}

func (r *remote) saying() (f core.Frame, ok bool) {
	if len(r.said) > 0 {
		f = r.said[0]
	}
	return f, f.Kind != core.NoFrame
}

// forget does nothing: a message is forgotten when it is answered.
func (r *remote) forget() {}

// read asks the codec to decode a message.
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

// Decoded continues after a message whose commands have been carried out.
func (r *remote) Decoded(err error) {
	r.answered++
	r.messages--
	if len(r.said) > 0 {
		defer func() { r.said = r.said[1:] }()
	}
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

// tell queues ev at once if its encoding is known.
func (r *remote) tell(ev core.Event) {
	if f, known := r.codec.Expected(ev); known {
		r.say(f)
		return
	}
	r.send(ev)
}

// send asks the codec to encode ev.
func (r *remote) send(ev core.Event) {
	r.asked.Add(1)
	r.codec.Encode(ev)
}

func (r *remote) admits(n int) bool { return r.codec.Admits(n) }

// Encoded queues an encoded event.
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
		c.dropUnwritableEvent("", asked, err)
	default:
		if f.Kind == core.NoFrame {
			c.ep.Stats.Dropped.Inc(v.Reason)
		}
		r.say(f)
		c.sayGoodbye(v.Reason)
	}
	r.settled()
}

// say queues f for the client.
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

// settle runs then when all questions so far are answered. It runs then at once if they are, or
// if the connection has left the engine: there are no answers after that.
func (r *remote) settle(then func()) {
	if r.conn.isOpen() && r.busy() {
		r.waiting = append(r.waiting, waiting{r.asked.Load(), then})
		return
	}
	then()
}

// settled runs the waiting work whose answers have come.
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

// lingers ignores events that are sent after the socket was closed: they may never stop.
func (r *remote) lingers() bool {
	if r.last == 0 {
		r.last = r.asked.Load()
	}
	return r.parting || r.messages > 0 || r.answered < r.last
}

// behind replaces the work that waits already, if any: f comes before it.
func (r *remote) behind(f func()) {
	r.next, r.passes = f, 0
	r.goOn()
}

// maxPasses is how often the work of behind waits for all answers: once for those to the messages,
// and once for those to the events that resulted. Others may keep sending events for ever.
const maxPasses = 2

// goOn runs the work of behind if its time has come. It reports whether no such work waits.
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
			r.resume() // at once, before other work that waits for these answers
		})
		return false
	}
	next := r.next
	r.next = nil
	next()
	return true
}

// resume lets the codec hand on the answers that had to wait.
func (r *remote) resume() bool {
	if r.conn.isOpen() && !r.Held() {
		r.codec.Resume()
	}
	return r.goOn()
}

// farewell asks for the Goodbye after all messages of the client and their events are done. It
// does not ask if the client would not read it, or if the codec might not answer.
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

// close closes the codec. Work that waits for answers runs without them.
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
