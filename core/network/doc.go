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
// loop alone: parser, translator, peer, queued output, timers. Other goroutines reach it
// only through the loop's mailbox, which keeps their order.
//
// A turn is one batch of work on a loop: one read of one connection, or one drain
// of the mailbox. When its work is done a turn ends in three steps, again until nothing is
// left: woken connections resume with their kept input (conn.wake), the engine
// is told who has left (Peer.Gone), and what was queued is written, in one system call for
// each connection that has output. So nothing that happens to a connection makes it read on
// from within.
//
// # The life of a connection
//
//  1. The front door has accepted it (door.accepted), found out who it is (identify), read its
//     request (receive) and answered it (upgrade). It becomes a conn, and its format makes
//     the translator. EnrollContext hands its socket to a loop.
//
//  2. OnOpen is its first turn. The translator opens it: the response to the upgrade is queued,
//     the engine gives it a Peer (conn.connect), it is greeted, and heard (conn.listen). With a
//     codec in another process that takes as long as the answer.
//
//  3. It is open. OnTraffic brings its bytes, the parser finds messages in them (input.go), the
//     translator hands these to the codec, and the codec's commands go to the Peer. What
//     the client reads is queued by conn.Tell and by Outlet.Deliver (write.go), and written.
//
//  4. It may be held, for as many reasons as there are at a time (holds.go): then no message is
//     read, and what comes is kept. When that becomes much the connection is parked: its
//     socket leaves gnet, so that TCP holds the client back (park.go). The last release
//     wakes it, and brings the socket back.
//
//  5. It ends, by one of three calls (closing.go): sayGoodbye is for us, fail for what the
//     client did wrong, and onClose answers its close frame. The states below (life.go) only
//     grow. parting and failing wait for the Goodbye of the format; with a codec here that
//     is no time at all. closing has left the engine (depart) and waits for the client's close
//     frame. finishing writes what is queued. shut waits for the client's end of the stream: to
//     close a socket before would reset what is under way. Each of the last three is cut when
//     its time is up (expiry.go).
//
//  6. Its socket is closed, by us (end) or by the client: gone is called, from whatever state.
//     A connection that was open then lingers, without a socket, until what its client has
//     said is carried out. Then it leaves all tables and lists: it has ended. A core.Link
//     to it may be held for longer, and does nothing.
//
// Beside them a loop serves guests: connections that this process has made, as a client of another server
// (guest.go). A guest has its turn at the end of a turn of the loop, so that what a client publishes is written to
// the other server in the turn that has read it.
//
// The states:
//
//	open ─┬──────────────┬─> closing ─> finishing ─> shut ─> ended
//	      ├─> parting ─┬─┤
//	      └─> failing ─┴─┘
//
// What a line of this package may do with a connection follows from three things: its state,
// where its socket is (attachment.go), and what holds it. The tests are isOpen (it may be told
// something), deaf (nothing of it is looked at), heldBack (no message is read now) and
// attachment.writable.
//
// # Formats
//
// What a message means is the business of a translator (translator.go). One asks a codec in
// this process at once (local.go; big messages off the loop, aside.go), the other a codec in
// another process (remote.go, remote_deliver.go, remote_batch.go). Nothing else asks which of them
// it has.
//
// # Taps
//
// A Tap reports what an endpoint sees (tap.go; plain HTTP, tapplain.go), or one connection (tapconn.go). A
// connection that opens while its endpoint is tapped, or is tapped itself, has a *tapped, and whoever owns the
// connection tells it what is heard and said; all others have none, which is what they pay for it.
//
// Taps on topics are the engine's. While there is one, connections keep what their clients say until it is
// carried out, and deliveries tell what they have encoded (crossing.go).
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
//
// Who owns a frame is said by its type. A *frame comes with a reference, which whoever has it
// releases or hands on: a mail has one, loop.lend takes one. A lent is a frame that the turn
// holds: it must not be stored without lent.keep, but by an output, which knows how many of
// its frames are kept (output.go).
package network
