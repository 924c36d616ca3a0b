package core

import "sync/atomic"

// Stats are the counters of one endpoint. All fields are atomic: any goroutine
// adds, the metrics page reads. Everything that is refused, dropped or closed
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
	// Published counts accepted publishes, with or without subscribers.
	Published atomic.Uint64
	// Calls counts accepted calls.
	Calls atomic.Uint64
	// Throttled counts how often reading from a client was paused because it sent
	// faster than its limits.
	Throttled atomic.Uint64
	// Restarts counts how often a process of the endpoint's plugin was restarted.
	Restarts atomic.Uint64
	// Unanswered is the number of messages and events in flight in the plugin now.
	Unanswered atomic.Int64

	// Rejected counts connections turned away before their upgrade.
	Rejected Counters
	// Refused counts client messages that were ignored or answered with an error.
	Refused Counters
	// Dropped counts messages that did not reach a receiver, DroppedBytes their
	// payload bytes if they were encoded.
	Dropped, DroppedBytes Counters
	// Closed counts ended connections.
	Closed Counters
	// CallsFailed counts calls that ended with a failure.
	CallsFailed Counters

	// Handshakes are the times from the accept of a connection to the answer to its upgrade
	// request.
	Handshakes Outcomes
	// SizesIn and SizesOut are the payload bytes of each of MessagesIn and MessagesOut; their sums
	// are BytesIn and BytesOut.
	SizesIn, SizesOut Sizes
	// Delays are the times from when messages of clients were read to when the socket of a client of
	// this endpoint took them. Few messages are measured.
	Delays Durations
	// CallTimes are the times from when calls were put to their outcome, but for those that want no
	// answer. While there are many calls, few are measured.
	CallTimes Outcomes
	// Queued is how many bytes wait for clients whose sockets are full.
	Queued Level
	// Unwritable counts messages, requests and answers that clients here did not get because their
	// format cannot write them, by the format of their author: [ClusterProtocol] for those of other
	// nodes, "" if it is not known.
	Unwritable ByProtocol
	// Plugin are the times that messages and events take through the endpoint's plugin.
	Plugin Outcomes

	// IdentityHook and AuthorizerHook count the requests to webhooks that authenticate and
	// authorize clients.
	IdentityHook, AuthorizerHook HookStats
}

// Counters is one counter for each reason.
type Counters [NumReasons]atomic.Uint64

// Inc adds one for r.
func (c *Counters) Inc(r Reason) { c[r].Add(1) }

// Add adds n for r.
func (c *Counters) Add(r Reason, n uint64) { c[r].Add(n) }

// Sum returns the sum of all reasons.
func (c *Counters) Sum() (n uint64) {
	for i := range c {
		n += c[i].Load()
	}
	return n
}

// HookStats count the requests to a webhook. All fields are atomic.
type HookStats struct {
	// InUse is set once there is such a webhook.
	InUse atomic.Bool
	// Hits counts requests that were not needed: the answer was cached, or another request
	// for it was in flight.
	Hits atomic.Uint64
	// Misses counts requests that were needed. Errors counts those of them without an
	// answer, because the server failed or the circuit breaker is open.
	Misses, Errors atomic.Uint64
	// Times are those of the requests.
	Times Outcomes
	// Breaker is set while the circuit breaker is open because the server fails.
	Breaker atomic.Bool
}

// ServiceStats count the calls of a service that an HTTP server answers. All fields are
// atomic.
type ServiceStats struct {
	// Calls counts all calls, including those that an open circuit breaker kept from the server.
	Calls atomic.Uint64
	// Failed counts the calls without an answer, by [ServiceFailures].
	Failed Counters
	// Times are those of the requests.
	Times Outcomes
	// Breaker is set while the circuit breaker is open because the server fails.
	Breaker atomic.Bool
}

// ServiceFailures returns the reasons why a server did not answer a call: it cannot be reached
// (ReasonUnavailable), it did not answer in time (ReasonTimeout), its answer is an error or
// makes no sense (ReasonInternal), or the circuit breaker is open (ReasonOverload). A failure
// that the server itself returns is an answer.
func ServiceFailures() []Reason {
	return []Reason{ReasonInternal, ReasonOverload, ReasonTimeout, ReasonUnavailable}
}

// ClusterStats count what a [Backplane] does. All fields are atomic.
type ClusterStats struct {
	// Connected is set while the engine of the cluster can be reached.
	Connected atomic.Bool
	// Nodes is the number of other nodes that can be reached.
	Nodes atomic.Int64
	// Connects counts how often the engine was reached; more than one is after a loss.
	Connects atomic.Uint64
	// MessagesOut and BytesOut count messages passed on to other nodes and their payload bytes;
	// MessagesIn and BytesIn those that came from them.
	MessagesOut, BytesOut, MessagesIn, BytesIn atomic.Uint64
	// Queued is how many bytes wait to be passed on.
	Queued atomic.Int64
	// Dropped counts messages that could not be passed on, or got lost on their way here.
	Dropped Counters
	// Refused counts what came in that makes no sense.
	Refused Counters
	// Lost counts channels that were lost.
	Lost atomic.Uint64
	// Uncounted counts connections that were let in although the cluster could not be asked how many
	// their user has: then the limit of the node alone holds.
	Uncounted atomic.Uint64
}

// TraceStats count the spans of a [Tracer]. All fields are atomic.
type TraceStats struct {
	// Recorded counts spans that have ended, Sent those that a collector has taken.
	Recorded, Sent atomic.Uint64
	// Dropped counts spans that no collector has taken, by TracesDropped.
	Dropped Counters
}

// TracesDropped are the reasons why a span is dropped: too many wait, the collector does not take it, or the broker
// ends before it could be sent.
const TracesDropped = Reasons(1<<ReasonOverload | 1<<ReasonUnavailable | 1<<ReasonDrain)

// SinkStats count the events for a backend. All fields are atomic.
type SinkStats struct {
	// Sent counts the events that the backend has taken, and Retries the requests that were made once more.
	Sent, Retries atomic.Uint64
	// Dropped counts the events that it did not get, by [SinkDropped].
	Dropped Counters
	// Queued and QueuedBytes are what waits to be sent.
	Queued, QueuedBytes atomic.Int64
	// Failing is set while the backend does not take events.
	Failing atomic.Bool
}

// SinkDropped are the reasons why a backend does not get an event: too many wait (ReasonOverload), it refuses them
// (ReasonDenied), it has not taken them for too long (ReasonTimeout), the broker ends (ReasonDrain), or they cannot be
// written (ReasonUnwritable).
const SinkDropped = Reasons(1<<ReasonOverload | 1<<ReasonDenied | 1<<ReasonTimeout | 1<<ReasonDrain | 1<<ReasonUnwritable)
