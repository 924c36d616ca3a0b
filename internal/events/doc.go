// Package events tells HTTP servers of a program's backend what clients do: who connects, leaves, subscribes, offers.
// Each server is a [Sink] with a bounded queue and one goroutine, which POSTs the events in batches, in order, and
// tries again while the server does not take them. The event loops only put events into the queue: they never wait
// for a server. docs/events.md describes requests, their signature, and what gets lost when.
package events
