package core

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"time"
)

// Endpoint is what the engine knows of an endpoint. Static after construction.
type Endpoint struct {
	// Name and Protocol are labels, for logs and metrics.
	Name, Protocol string
	// Format is the endpoint's wire format.
	Format Format
	// TopicPrefix is put before every topic of the endpoint's clients and taken
	// off again on the way out; they cannot see out of it.
	TopicPrefix string
	// CallsAtOnce bounds the unanswered calls of one connection, as Limits do, but its
	// further messages wait; 0 is no bound. Topic-borne calls are messages like any
	// other and do not count.
	CallsAtOnce int
	// Authenticator finds out who a client is; nil asks nobody.
	Authenticator Authenticator
	// Access is asked about every publish, subscription, call and offer; nil allows all
	// but MayPublishOwned.
	Access Access
	// Authorizer is asked about every connection and command; nil allows all. What
	// Access does not allow it is not asked about.
	Authorizer Authorizer
	// Sessions keeps the endpoint's sessions; nil turns them off.
	Sessions SessionStore
	// SessionKeys makes the keys of its sessions; nil is the default.
	SessionKeys SessionKeys
	// MaxSessionConnections bounds the connections of one session; 0 is no bound.
	MaxSessionConnections int
	// Limits bound what the clients may have and send; nil has none. They alone may
	// change while the endpoint serves.
	Limits *LiveLimits
	// Stats are the endpoint's counters; never nil.
	Stats *Stats
}

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
	// Unasked says that an event which asks the client (Event.Asks) did not reach it: the
	// call fails. r is ReasonUnwritable if the client's format cannot write it, and
	// ReasonOverload if too much waits for the client already.
	Unasked(id CallID, r Reason)
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
	// changed when the request is there: see Peer.Unasked. Any goroutine.
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

// Handshake is the client's upgrade request.
type Handshake struct {
	// Path is the path of the request target; Query its query.
	Path  string
	Query url.Values
	// Header has canonical names and is without Host.
	Header http.Header
	// Remote is the address of the client, "ip:port".
	Remote string
	// TLS is what the TLS handshake has settled, with the client's certificates, which
	// are verified if there are any; nil without TLS.
	TLS *tls.ConnectionState
	// Identity is who the client is; nil before that was asked, or if it is not.
	Identity *Identity
	// Info is where the hook BeforeUpgrade may leave what it found out, for the hooks and
	// handlers of the connection ([Client.Info]); nil for all others.
	Info *any
}

// Verdict is what an authorizer says.
type Verdict uint8

// The verdicts.
const (
	// Deny: the client may not do this.
	Deny Verdict = iota
	// Allow: go on.
	Allow
	// Unavailable: the authorizer could not be asked; the connection is ended.
	Unavailable
)

// Authorizer decides what a client may do. Its methods may block, are never
// called on an event loop, and may be called from many goroutines at once. When
// ctx ends the answer is not waited for any more.
type Authorizer interface {
	// AuthorizeConnect is asked before the upgrade.
	AuthorizeConnect(ctx context.Context, h Handshake) Verdict
	// AuthorizeCommand is asked before a command of a client is carried out. It may
	// keep nothing of c.
	AuthorizeCommand(ctx context.Context, by *Identity, c Command) Verdict
}

// Publisher publishes for somebody who is not a connection (an HTTP request),
// in the name of an endpoint. It may be called from any goroutine; the returned
// failure says why nothing was published.
type Publisher interface {
	Publish(topic []byte, p Payload) Failure
}

// Session is a named identity that outlives its connections.
type Session struct {
	// Key names the session; whoever knows it can restore it.
	Key string
	// Created and LastLookup are as the session store has them.
	Created, LastLookup time.Time
	// Info is the application's data: JSON, nil if there is none.
	Info []byte
}

// SessionStore keeps sessions. Its methods may block, are never called on an
// event loop, and may be called from many goroutines at once.
type SessionStore interface {
	// Create keeps a new session under key, which is as [SessionKeys.New] makes keys,
	// and returns it. The error is [ErrSessionTaken] if there is one under this key.
	// info is JSON or nil, and borrowed.
	Create(ctx context.Context, key string, info []byte) (Session, error)
	// Lookup finds a session by the key that a client sent, which may be any
	// bytes, and sets its last look-up to now; the returned LastLookup is the
	// one before. The error is a [Failure] with SessionUnknown if there is none.
	Lookup(ctx context.Context, key []byte) (Session, error)
	// Delete forgets a session; there may be none.
	Delete(ctx context.Context, key string) error
}
