// Package network moves bytes between sockets and codecs: the front door that
// accepts and upgrades connections, and the event loops on which they live.
//
// # The front door
//
// A listener of our own accepts (so that running out of file descriptors cannot
// stop the loops). Each new connection gets one short-lived goroutine that reads
// the request head, bounded and strict, and then either upgrades it with gobwas/ws
// and enrols the socket into a gnet event loop, or hands it to a net/http server.
//
//	accept ─> TLS ─> head ─┬─> upgrade ─> loop
//	                       └─> net/http
//
// # The loops
//
// A connection belongs to one loop for life. Everything it owns is touched on that
// loop alone: parser, codec, peer, queued output, timers. Other goroutines reach it
// only through the loop's mailbox, which keeps their order.
//
// A turn is one batch of work on a loop: one read of one connection, or one drain
// of the mailbox. What a turn queues is written when it ends, in one system call
// for each connection that has output.
//
// # TLS
//
// The handshake is made in the front door, on the socket. On the loop the tls.Conn
// reads and writes memory, so that it needs no goroutine: see secure.go.
//
// # Frames
//
// A frame is encoded once, with its WebSocket header, and shared by all who receive
// it on all loops; it is counted by references and goes back to a pool. Output never
// enters gnet's buffers: the loop writes to the socket itself and keeps what the
// kernel does not take as references to shared frames, so that a thousand stalled
// receivers of one message hold it once, and the bound on a connection's output is
// exact.
package network
