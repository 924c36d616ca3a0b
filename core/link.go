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
	// RequestUndeliverable reports that the request of a pending call (Event.PendingCall) did
	// not reach the client: the call fails. r is ReasonUnwritable if the client's format cannot
	// write it, and ReasonOverload if the client's backlog is full already.
	RequestUndeliverable(id CallID, r Reason)
	// Unwritten reports that an event that was told to this connection alone cannot be written in
	// its format, if that is known at once. It is borrowed.
	Unwritten(ev Event)
	// Refused reports that the format has refused a message, for the log.
	Refused(r Reason, f Failure)
	// Hears reports whether the connection hears a whole topic.
	Hears(topic string) bool
	// WasRefused returns the last refusal to carry out a command about a topic, named as the client does it;
	// Count is 0 if there was none lately.
	WasRefused(v Verb, topic string) RefusedCommand
	// Holdings returns what the connection has, for an operator.
	Holdings() Holdings
	// Leaving reports that the connection is about to close, before the client can see its
	// close frame or its end. When Leaving returns, what the connection held alone (channels,
	// services, its place in a session) is free, and no further command is carried out. The
	// connection still receives messages until Gone. Leaving may be called from within Do.
	Leaving()
	// Gone reports that the connection is closed, and why. It comes after Leaving and is the
	// last call.
	Gone(r Reason)
}

// Link is a connection as the engine sees it. Links are comparable.
type Link interface {
	// ID is unique in the process for as long as it runs. Any goroutine.
	ID() uint64
	// Endpoint returns the link's endpoint. It never changes. Any goroutine.
	Endpoint() *Endpoint
	// Identity returns who the client is; nil if the client was not authenticated. It never
	// changes. Any goroutine.
	Identity() *Identity
	// Outlet returns the outlet of the link's endpoint. Any goroutine.
	Outlet() Outlet
	// Trace returns the trace context of the upgrade request. Any goroutine.
	Trace() Trace
	// Remote returns the address of the client, "ip:port". Any goroutine.
	Remote() string
	// Info returns what BeforeUpgrade left in Handshake.Info; nil if nothing. Any goroutine.
	Info() any
	// OpenedAt returns when the connection was opened, to a tenth of a second. Any goroutine.
	OpenedAt() time.Time
	// Loop returns the number of the event loop that the link lives on. Any goroutine.
	Loop() int

	// Tell encodes ev now and queues the bytes. On the link's loop only.
	Tell(ev Event)
	// Hold pauses the link: no further message is read until Release. On the link's
	// loop only.
	Hold()
	// Release ends Hold. On the link's loop only.
	Release()

	// Send copies ev and calls Tell with it on the link's loop. The order is that of the
	// calls to Send and Outlet.Deliver. Nothing happens if the link is closed by then. Any
	// goroutine.
	Send(ev Event)
	// Admits reports whether the client may be sent a request of n bytes. It is false if the
	// client reads too slowly and the request would exceed its limit. This may change before
	// the request arrives: see Peer.RequestUndeliverable. Any goroutine.
	Admits(n int) bool
	// Post runs f on the link's loop, unless the link is closed by then. Any
	// goroutine.
	Post(f func())
	// Later runs f on the link's loop after the loop has handled all sockets that are
	// ready, even if the link is closed by then. Any goroutine.
	Later(f func())
	// Close ends the connection with the format's goodbye for r, after flushing what is
	// queued. Any goroutine.
	Close(r Reason)
}

// Outlet delivers messages from the engine to the connections of one endpoint. Outlets
// are comparable.
type Outlet interface {
	// Writable returns why the endpoint's format cannot write the Message ev, if that is
	// known at once. Any goroutine.
	Writable(ev Event) error
	// NewAudience returns an empty audience for the links of one loop that subscribe
	// under the same As. Any goroutine.
	NewAudience(loop int, as uint32) Audience
	// Deliver encodes the Message ev once and sends it to every member of the audiences.
	// All audiences belong to this outlet and have the same As; those of one loop are next
	// to each other. A link that is in several of them gets the message once. The link
	// except gets nothing; it may be nil, or not a link of this outlet. The call borrows the
	// slice. Any goroutine; messages of one goroutine arrive in the order of its calls.
	Deliver(ev Event, to []Audience, except Link)
}

// Audience is the set of links of one loop that subscribe to one address under one As. A
// message delivered before a link was added does not reach it.
type Audience interface {
	// Add and Remove are called on the audience's loop only. The caller allocates m; the
	// audience owns it from Add to Remove. It makes Remove O(1).
	Add(l Link, m *Member)
	Remove(m *Member)
}

// Member is the place of one link in one audience. The zero value is ready for
// Audience.Add; only the audience uses the field.
type Member struct{ Index int }
