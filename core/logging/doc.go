// Package logging stands between the broker and the handler of its log, so that no log
// line can hurt what it is about.
//
// [Handler] does two things. It never makes who logs wait: records wait in a bounded
// queue, in order, and one goroutine at a time hands them to the program's handler; what
// the queue has no room for is counted and told. And it bounds lines that clients, or
// servers that fail, can cause as often as they like: such a line says what it is about
// with [Bounded]; the first is logged at once, and after that one a minute, with the count
// of those that were left out.
//
//	log.Warn("client reads too slowly", logging.Bounded(endpoint, "slow"), slog.Uint64("conn", id))
//
// To any other handler Bounded is the attributes endpoint and reason.
package logging
