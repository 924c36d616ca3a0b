package admin

import (
	"sync/atomic"

	"github.com/polywire/polywire/core"
)

// Source is what the admin server reads. All of it may be read from any
// goroutine; every field is required.
type Source struct {
	// Version is the broker's.
	Version string
	// Endpoints are those whose counters are shown.
	Endpoints func() []*core.Endpoint
	// Rejected counts connections turned away before their endpoint was known.
	Rejected *core.Counters
	// AcceptErrors counts failed accepts.
	AcceptErrors *atomic.Uint64
	// Panics returns how many panics were caught.
	Panics func() uint64
	// Certificates are the TLS certificates in use.
	Certificates func() []Certificate
	// Services are those that HTTP servers answer.
	Services func() []Service
	// Calls is the number of calls that wait for their answer, Topics the number
	// of topics that somebody hears.
	Calls, Topics func() int
	// Outbound is how many bytes wait for clients, OutboundBudget how many may.
	Outbound       func() int64
	OutboundBudget int64
	// Inbound is how many bytes of unfinished input wait, InboundBudget how many may.
	Inbound, InboundBudget func() int64
	// Memory returns the bytes that are in use and how many may be before new clients
	// are refused; 0 is no bound.
	Memory func() (used, watermark uint64)
	// LogDropped is how many lines of the log are lost.
	LogDropped func() uint64
	// Ready reports whether new clients are welcome.
	Ready func() bool
	// Reloads count the reloads of the configuration.
	Reloads *Reloads
	// Reload has the broker read its configuration again, or only say what would become of
	// what; the report can be written as JSON. Nil if it cannot. This field and those below
	// are not required.
	Reload func(dryRun bool) (report any, err error)
	// ReloadToken is what whoever asks for that must show; "" leaves it to programs of
	// this machine.
	ReloadToken string
	// Hosts are the names by which the server is asked, besides those of the loopback
	// interface; "*" is any.
	Hosts []string
}
