// Package record passes the bytes of clients on to a server and those of the server back, or reads the tap of a
// running broker, and writes what it sees as a conversation that [the player of conversations] plays against another
// server.
//
// A [Proxy] is a relay, which puts copies into a bounded queue and never waits, and a recorder, which reads the
// queue on one goroutine, takes the copies apart, and writes. When the queue is full the recording loses, and says
// so. [Tap] is the same recorder behind a tap, whose queue is the broker's.
//
// [the player of conversations]: https://pkg.go.dev/github.com/polywire/polywire/conversations
package record
