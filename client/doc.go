// Package client is a connection to a server of any format, ours or an original, as a client of that
// format has it: it says commands and hears events through a [core.ClientCodec].
//
//	Do ──> queue ──> writer ──> ClientCodec.Say ──> frames ──> server
//	          Heard <── reader <── ClientCodec.Hear <── frames <──┘
//
// Reader and writer are goroutines, or one event loop of who has it ([Options].Host).
//
// A connection that ends is made again, with pauses that grow, until [Client.Close]: subscriptions and
// offers are restored, and what was not said yet is said then. What was said and has no outcome fails
// with [ErrLost]: nothing is said twice.
package client
