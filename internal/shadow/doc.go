// Package shadow compares a new server with an old one, under the load of the old one's clients.
//
// Clients are served by the old server alone, through a relay. Of each connection the new server, the shadow,
// gets a twin: the same upgrade and the same messages, in which ids that the old server has made up are
// replaced by the shadow's. What both servers send is compared, for each connection: a message is paired with an
// equal one of the other server within a window of time, whatever their order. What finds no equal is a
// difference.
//
// One goroutine, the comparer, owns all that is compared. It reads one bounded queue, into which the relay and
// the readers of the twins put copies; nobody who serves clients waits for it.
package shadow
