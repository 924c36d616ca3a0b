package admin

import (
	"context"
	"crypto/tls"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/polywire/polywire/core"
)

// Source is what the admin server reads. All of it may be read from any goroutine; every field is
// required unless it says otherwise.
type Source struct {
	// Version is the broker's version.
	Version string
	// Endpoints returns the endpoints whose counters are shown.
	Endpoints func() []*core.Endpoint
	// Rejected counts connections that were rejected before their endpoint was known.
	Rejected *core.Counters
	// AcceptErrors counts failed accepts.
	AcceptErrors *atomic.Uint64
	// Panics returns how many panics were recovered.
	Panics func() uint64
	// Certificates returns the TLS certificates in use.
	Certificates func() []Certificate
	// Connections are the open connections, and Closed returns those that have ended last, the last one first.
	Connections Connections
	Closed      func() []core.ClosedConnection
	// Routing and Writing are what engine and network know of who hears what; trace and doctor ask them.
	Routing Routing
	Writing Writing
	// Tables are what connections have at the engine.
	Tables Tables
	// SessionStores returns the stores of the sessions of an endpoint, or of all if it is empty; a store may come twice.
	SessionStores func(endpoint string) []core.SessionStore
	// CloseSession closes a session as the application does. The error has [core.SessionUnknown] if there is none.
	CloseSession func(ctx context.Context, key string) error
	// Addresses returns where the endpoints are reached.
	Addresses func() []EndpointAddress
	// Nodes are the nodes of the cluster; nil if the broker is alone.
	Nodes Nodes
	// Publish publishes in the name of an endpoint, and Call asks a service. The errors are those of the
	// same methods of the broker.
	Publish func(endpoint, topic string, p core.Payload) error
	Call    func(ctx context.Context, endpoint, service string, p core.Payload) (core.Payload, error)
	// Services returns the services that HTTP servers answer.
	Services func() []Service
	// Bridges returns the bridges to old servers.
	Bridges func() []Bridge
	// Calls is the number of pending calls, Topics the number of topics with subscribers.
	Calls, Topics func() int
	// Counts counts more of what there is, and Loops are the event loops that have had connections.
	Counts func() Counts
	Loops  func() []Loop
	// Handshakes are the times of those that were rejected before their endpoint was known.
	Handshakes *core.Durations
	// Outbound is how many bytes are queued for clients, OutboundBudget the limit.
	Outbound       func() int64
	OutboundBudget int64
	// Inbound is how many bytes of unfinished input are held, InboundBudget the limit.
	Inbound, InboundBudget func() int64
	// Memory returns the bytes in use, and the watermark at which new clients are refused; a
	// watermark of 0 is no limit.
	Memory func() (used, watermark uint64)
	// Matrix is what the formats of the endpoints carry to one another, as JSON has it. Any goroutine; not two at once.
	Matrix func() any
	// LogDropped is how many log lines were dropped.
	LogDropped func() uint64
	// Ready reports whether the broker accepts new clients.
	Ready func() bool
	// Cluster is the broker as a node of a cluster; nil if it is alone.
	Cluster *Cluster
	// Traces count spans; nil if no traces are recorded.
	Traces *core.TraceStats
	// Reloads count the reloads of the configuration.
	Reloads *Reloads
	// Events returns the backends that are told what clients do; nil is none.
	Events func() []EventSink
	// Health is what only the broker can look at.
	Health Health
	// Reload makes the broker read its configuration again, or with dryRun only report what would
	// change; the report can be marshalled as JSON. Nil if there is nothing to read. This field and
	// those below are optional.
	Reload func(dryRun bool) (report any, err error)
	// LogLevel is the level of the log; nil if something else sets it.
	LogLevel *slog.LevelVar
	// Drain makes the broker end, and does not wait for that.
	Drain func()
	// Access returns who may ask, and what they may do; it may change. Nil is for programs on this machine.
	Access func() *Access
	// Refusals count who is refused; servers may share them. Nil are those of the server.
	Refusals *Refusals
	// TLS is what is spoken at the listener; nil is without TLS.
	TLS *tls.Config
	// Tap begins a tap; nil if there are no taps. The error is core.ErrNoEndpoint, core.ErrNoConnection, or says
	// why no tap is allowed.
	Tap func(ctx context.Context, on Tapped, o core.TapOptions) (Tap, error)
	// Taps returns how many taps there are, and how many events they have lost so far; nil if there are no taps.
	Taps func() (open int, lost uint64)
	// Redact are the rules by which taps leave something out.
	Redact Redact
	// Hosts are the host names under which the server answers, besides those of the loopback
	// interface; "*" is any.
	Hosts []string
}

// Tables are the tables of the engine.
type Tables interface {
	Topics
	Holders
	Sessions
}

// endpoints returns the names of the endpoints that clients connect to. Endpoints has those of bridges too.
func (s *Source) endpoints() (names []string) {
	bridges := s.Bridges()
	for _, ep := range s.Endpoints() {
		if !slices.ContainsFunc(bridges, func(b Bridge) bool { return b.Name == ep.Name }) {
			names = append(names, ep.Name)
		}
	}
	return names
}
