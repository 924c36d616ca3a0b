package core

import "time"

// Hub is the engine as the network sees it.
type Hub interface {
	// Connect introduces an open connection. It is called on the connection's
	// loop, before any other call about it.
	Connect(Link) Peer
}

// Peer is one connection's side of the engine. All methods are called on the
// connection's loop.
type Peer interface {
	// Do carries out one command. Its outcome comes back through [Link.Tell],
	// often before Do returns.
	Do(Command)
	// RequestUndeliverable says that an event which asks the client (Event.PendingCall) did not
	// reach it: the call fails. r is ReasonUnwritable if the client's format cannot write it,
	// and ReasonOverload if too much waits for the client already.
	RequestUndeliverable(id CallID, r Reason)
	// Leaving says that the connection is about to close: before its close frame, or its
	// end, can be seen by the client. What the connection held alone (channels, services,
	// its place in a session) is free when Leaving returns, and no further command is
	// carried out. It hears on until Gone, and may be called from within Do.
	Leaving()
	// Gone says that the connection is closed, and why. It comes after Leaving; no other
	// call follows.
	Gone(r Reason)
}

// Link is a connection as the engine sees it. Links are comparable.
type Link interface {
	// ID is unique in the process for as long as it runs. Any goroutine.
	ID() uint64
	// Endpoint is static. Any goroutine.
	Endpoint() *Endpoint
	// Identity is who the client is, and static; nil if nobody asked. Any goroutine.
	Identity() *Identity
	// Outlet is the way to the audiences of the link's endpoint. Any goroutine.
	Outlet() Outlet
	// Trace is the trace context of the upgrade request. Any goroutine.
	Trace() Trace
	// Remote is the address of the client, "ip:port". Any goroutine.
	Remote() string
	// Info is what Handshake.Info has become; nil if nothing. Any goroutine.
	Info() any
	// OpenedAt is when the connection was opened, to a tenth of a second. Any goroutine.
	OpenedAt() time.Time
	// Loop is the number of the event loop that the link lives on. Any goroutine.
	Loop() int

	// Tell encodes ev now and queues the bytes. On the link's loop only.
	Tell(ev Event)
	// Hold stops the reading of further messages until Release. On the link's
	// loop only.
	Hold()
	// Release ends Hold. On the link's loop only.
	Release()

	// Send copies ev and tells it on the link's loop, in the order of the calls
	// and of Outlet.Deliver. Nothing happens if the link is closed by then. Any
	// goroutine.
	Send(ev Event)
	// Admits reports whether the client may be sent a request of n bytes: false if it does
	// not read fast enough, and the request would take it over its limit. That may have
	// changed when the request is there: see Peer.RequestUndeliverable. Any goroutine.
	Admits(n int) bool
	// Post runs f on the link's loop, unless the link is closed by then. Any
	// goroutine.
	Post(f func())
	// Later runs f on the link's loop, once the loop has looked at all sockets that
	// have something for it; also if the link is closed by then. Any goroutine.
	Later(f func())
	// Close ends the connection with the format's goodbye for r, after what is
	// queued. Any goroutine.
	Close(r Reason)
}

// Outlet is the way from the engine to all connections of one endpoint. Outlets
// are comparable.
type Outlet interface {
	// Writable returns why the endpoint's format cannot write the Message ev, as far as that
	// can be said at once. Any goroutine.
	Writable(ev Event) error
	// NewAudience returns an empty audience for the links of one loop that hear
	// under the same As. Any goroutine.
	NewAudience(loop int, as uint32) Audience
	// Deliver encodes the Message ev once and sends it to every member of the
	// audiences, which are all of this outlet and of the same As, those of one loop
	// next to each other; a link that is in several of them gets it once, except gets
	// nothing (it may be nil, or no link of this outlet). The call borrows the slice. Any
	// goroutine; messages of one goroutine arrive in the order of its calls.
	Deliver(ev Event, to []Audience, except Link)
}

// Audience is the set of links of one loop that hear one address in one way. A
// message delivered before a link was added does not reach it.
type Audience interface {
	// Add and Remove are called on the audience's loop only. m is owned by the
	// caller, belongs to the audience from Add to Remove and makes Remove O(1).
	Add(l Link, m *Member)
	Remove(m *Member)
}

// Member is the place of one link in one audience. The zero value is ready for
// Audience.Add; its field is the audience's own.
type Member struct{ Index int }
