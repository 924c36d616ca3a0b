package core

import "sync/atomic"

// Stats are the counters of one endpoint. All fields are atomic: any goroutine
// may add, the metrics page reads. Everything that is refused, dropped or ended
// is counted with its reason; nothing is lost silently.
type Stats struct {
	// Opened counts connections that finished their upgrade.
	Opened atomic.Uint64
	// Open is the number of connections that are open now.
	Open atomic.Int64
	// MessagesIn and BytesIn count client messages and their payload bytes.
	MessagesIn, BytesIn atomic.Uint64
	// MessagesOut and BytesOut count messages handed to connections and their
	// payload bytes.
	MessagesOut, BytesOut atomic.Uint64
	// Published counts publishes that were taken, whether or not anybody heard them.
	Published atomic.Uint64
	// Calls counts calls that were taken.
	Calls atomic.Uint64
	// Throttled counts how often a client was not read for a while because it sent
	// faster than its limits.
	Throttled atomic.Uint64
	// Restarts counts how often a process of the plugin that translates was started again.
	Restarts atomic.Uint64
	// Unanswered is how many messages and events are on their way through the plugin now.
	Unanswered atomic.Int64

	// Rejected counts connections turned away before their upgrade.
	Rejected Counters
	// Refused counts client messages that were ignored or answered with an error.
	Refused Counters
	// Dropped counts messages that did not reach a receiver, DroppedBytes their
	// payload bytes as far as they were encoded.
	Dropped, DroppedBytes Counters
	// Closed counts ended connections.
	Closed Counters
	// CallsFailed counts calls that ended with a failure.
	CallsFailed Counters

	// IdentityHook and AuthorizerHook count what webhooks are asked: who a client is,
	// and what it may do.
	IdentityHook, AuthorizerHook HookStats
}

// Counters is one counter for each reason.
type Counters [NumReasons]atomic.Uint64

// Inc adds one for r.
func (c *Counters) Inc(r Reason) { c[r].Add(1) }

// Add adds n for r.
func (c *Counters) Add(r Reason, n uint64) { c[r].Add(n) }

// HookStats count the questions to a webhook. All fields are atomic.
type HookStats struct {
	// InUse is set once there is such a webhook.
	InUse atomic.Bool
	// Hits counts questions that were not sent: the answer was known, or on its way to
	// somebody else.
	Hits atomic.Uint64
	// Misses counts questions that were to be sent, and Errors those without an answer,
	// because the server failed or is left alone.
	Misses, Errors atomic.Uint64
	// Breaker is set while the server is left alone because it fails.
	Breaker atomic.Bool
}

// ServiceStats count the calls of a service that an HTTP server answers. All fields are
// atomic.
type ServiceStats struct {
	// Calls counts those that the server was, or was to be, asked.
	Calls atomic.Uint64
	// Failed counts those that it has not answered, by [ServiceFailures].
	Failed Counters
	// Breaker is set while the server is left alone because it fails.
	Breaker atomic.Bool
}

// ServiceFailures are why a server has not answered a call: it cannot be reached
// (ReasonUnavailable), it did not answer in time (ReasonTimeout), its answer is an error or
// makes no sense (ReasonInternal), or it is left alone for such things (ReasonOverload). A
// failure of the server's own is an answer.
func ServiceFailures() []Reason {
	return []Reason{ReasonInternal, ReasonOverload, ReasonTimeout, ReasonUnavailable}
}
