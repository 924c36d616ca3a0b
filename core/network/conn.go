package network

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws/wsflate"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/core/timers"
)

// conn is one WebSocket connection and the core.Link of the engine.
type conn struct {
	// Static after the connection was enrolled.
	ep     *endpoint
	loop   *loop
	id     uint64
	remote string
	user   *core.Identity
	trace  *core.Trace // of the upgrade request; nil without
	info   *any        // the application's; nil without
	format translator
	tap    *tapped   // nil unless the endpoint was tapped when the connection opened
	peer   core.Peer // nil until connect

	// Owned by the loop.
	life
	settings *settings // those that the connection uses
	upgrade  *upgrade  // nil once it is done
	socket   attachment
	meter    *meter  // nil until the endpoint has had rates
	secure   *secure // nil without TLS
	in       input
	out      output
	losses   *losses // nil until it loses a message
	stamp    uint64  // the last delivery that it got
	traffic  traffic

	// Owned by the loop. How much the connection may still send before it waits for room again.
	allowance int32

	// Owned by the loop. These are small, and grouped to save memory.
	window  wsflate.WindowBits // of permessage-deflate; 0 without
	counted bool               // its user's connections are counted in the cluster; static
	bridge  bool               // Options.Bridges knows it; static
	awake   bool               // it is in loop.awake
	missed  bool               // an unwritable message was logged
	backoff uint8              // retries since the socket was found full

	// Atomic. The bytes owed to the client after the frame in flight, while its socket is
	// full; else 0.
	owes atomic.Int64

	// Owned by the loop.
	timer       timers.Timer[conn]
	opened      uint32 // ticks of the server; static after the connection was enrolled
	lastMessage uint32
	lastPong    uint32
	nextPing    uint32
}

var _ core.Link = (*conn)(nil)

// upgrade is what a connection must handle first.
type upgrade struct {
	response []byte // to the upgrade request; nil once queued
	early    []byte // what the client sent after the request; nil once received
}

func (c *conn) ID() uint64                 { return c.id }
func (c *conn) Endpoint() *core.Endpoint   { return c.ep.Endpoint.Endpoint }
func (c *conn) Identity() *core.Identity   { return c.user }
func (c *conn) Outlet() core.Outlet        { return &c.ep.outlet }
func (c *conn) Remote() string             { return c.remote }
func (c *conn) Loop() int                  { return c.loop.index }
func (c *conn) Timer() *timers.Timer[conn] { return &c.timer }
func (c *conn) OpenedAt() time.Time {
	return c.ep.server.started.Add(time.Duration(c.opened) * timers.Tick)
}

// Info returns what the application has stored with the connection.
func (c *conn) Info() any {
	if c.info == nil {
		return nil
	}
	return *c.info
}

// Trace returns the trace context of the upgrade request.
func (c *conn) Trace() core.Trace {
	if c.trace == nil {
		return core.Trace{}
	}
	return *c.trace
}

// Tell has the format encode ev, and queues the bytes.
func (c *conn) Tell(ev core.Event) {
	if !c.isOpen() {
		return
	}
	c.format.tell(ev)
}

// queueMessage queues a message for this connection alone, and takes the caller's reference.
func (c *conn) queueMessage(f *frame) {
	if n := f.payload; c.queue(c.loop.lend(f)) {
		c.ep.Stats.MessagesOut.Add(1)
		c.ep.Stats.BytesOut.Add(uint64(n))
		c.ep.Stats.SizesOut.Observe(n, 1)
		c.traffic.said(n)
	}
}

// dropUnwritableEvent is dropUnwritable for an event of this connection alone; if a call is
// pending, its caller learns that the client was not asked.
func (c *conn) dropUnwritableEvent(author string, asked core.CallID, err error) {
	c.dropUnwritable(author, err)
	c.requestUndeliverable(asked, core.ReasonUnwritable)
}

// requestUndeliverable reports that the client was not asked, if an answer was wanted.
func (c *conn) requestUndeliverable(asked core.CallID, r core.Reason) {
	if asked != (core.CallID{}) && c.peer != nil {
		c.peer.RequestUndeliverable(asked, r)
	}
}

// dropUnwritable counts a message that cannot be written in the client's format, and logs the
// first. author is the format of who has written it; see core.Event.
func (c *conn) dropUnwritable(author string, err error) {
	c.ep.Stats.Dropped.Inc(core.ReasonUnwritable)
	c.ep.Stats.Unwritable.Inc(author)
	if !c.missed {
		c.missed = true
		c.ep.server.log.Warn("dropping a message that the receiver's format cannot write; further ones are only counted",
			append(c.attrs(core.ReasonUnwritable), slog.Any("error", err))...)
	}
}

// Send has the format tell ev later.
func (c *conn) Send(ev core.Event) { c.format.send(ev) }

// Post posts f to the loop.
func (c *conn) Post(f func()) { c.loop.post(mail{conn: c, fn: f}) }

// Later posts f to the loop.
func (c *conn) Later(f func()) { c.loop.post(mail{fn: f}) }

// Close posts the end of the connection to the loop.
func (c *conn) Close(r core.Reason) { c.Post(func() { c.sayGoodbye(r) }) }

// guard runs f. If f panics, the panic is logged and counted, and c is ended (if there is
// one): a fault in one connection's handling never ends the process.
func (s *Server) guard(c *conn, f func()) {
	defer s.recovered(c)
	f()
}

// tellGuarded is Tell under guard, without the closure.
func (c *conn) tellGuarded(ev core.Event) {
	defer c.ep.server.recovered(c)
	c.Tell(ev)
}

// recovered is deferred around every handler.
func (s *Server) recovered(c *conn) {
	r := recover()
	if r == nil {
		return
	}
	s.panicked(c, r)
	if c != nil {
		s.endAfterPanic(c)
	}
}

// endAfterPanic ends c with a goodbye, or cuts it at once if that panics too.
func (s *Server) endAfterPanic(c *conn) {
	defer func() {
		if fault := recover(); fault != nil {
			s.cutAfterPanic(c, fault)
		}
	}()
	c.sayGoodbye(core.ReasonInternal)
}

// cutAfterPanic ends c at once, because the state of its output is unknown.
func (s *Server) cutAfterPanic(c *conn, fault any) {
	s.panicked(c, fault)
	s.guard(nil, func() { c.end(core.ReasonInternal) })
}

// panicked counts and logs a panic. c may be nil.
func (s *Server) panicked(c *conn, r any) {
	s.stats.Panics.Add(1)
	about := []any{logging.Bounded("", core.ReasonInternal.String())}
	if c != nil {
		about = c.attrs(core.ReasonInternal)
	}
	s.log.Error("handler panicked", append(about, slog.String("panic", fmt.Sprint(r)), slog.String("stack", stack()))...)
}
