// Package logging sits between the broker and the handler of its log, so that logging
// never slows down or floods the broker.
//
// [Handler] does two things. It never blocks the caller: records wait in a bounded
// queue, in order, and one goroutine at a time hands them to the program's handler. If the
// queue is full, records are dropped, counted and reported. And it limits the rate of lines
// that clients, or failing servers, can cause without a limit: such a line names its subject
// with [Bounded]; the first is logged at once, and after that one per minute, with the count
// of those that were left out.
//
//	log.Warn("client reads too slowly", logging.Bounded(endpoint, "slow"), slog.Uint64("conn", id))
//
// For any other handler, Bounded is just the attributes endpoint and reason.
package logging
