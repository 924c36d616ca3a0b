// Package record passes the bytes of clients on to a server and those of the server back, and writes what
// it sees as a conversation that [the player of conversations] plays against another server.
//
// A [Proxy] has two halves. The first passes bytes on and puts a copy into a bounded queue (the tap); it
// knows neither HTTP nor WebSocket, and never waits for the second. The second, on one goroutine, reads the
// queue, takes the copies apart, and writes. When the queue is full the recording loses, and says so.
//
// [the player of conversations]: https://pkg.go.dev/github.com/polywire/polywire/conversations
package record
