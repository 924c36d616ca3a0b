package core

import "errors"

// RemoteFormat is a Format that translates in another process, and so asynchronously. The
// network does not use its NewCodec and EncodeMessage; it sends requests instead, and the
// answers come later. Nothing here blocks.
//
// Each request is answered exactly once, whatever happens to the other process. Requests
// of one shard are answered in order.
type RemoteFormat interface {
	Format
	// Bind sets the host whose loops the connections are on. It is called once, before the
	// methods below.
	Bind(h RemoteHost)
	// Flush reports that a loop's turn has ended. It is called on that loop.
	Flush()
	// Shards returns the number of independent parts that connections are divided into, at
	// least 1. All connections of one loop are in one shard. Any goroutine.
	Shards() int
	// Attach returns the codec of a new connection of a shard. Any goroutine.
	Attach(shard int, c RemoteConn) RemoteCodec
	// AskMessage requests the encoding of the Message ev, once for all its subscribers. ev is
	// copied. done is called on another goroutine and must not block; it borrows the frame.
	// The error is a [Violation] if the request could not be sent. Any goroutine.
	AskMessage(shard int, ev Event, done func(Frame, error))
}

// RemoteHost is the set of loops, as a remote format sees them. All methods may be called
// from any goroutine.
type RemoteHost interface {
	// InTurn reports whether a loop is in the middle of a turn. Flush will be called at its
	// end, so a caller that sends more requests in this turn can wait for that.
	InTurn() bool
	// Together runs f. What f posts to connections, or hands to done of AskMessage, reaches
	// each loop in one turn, so that the clients get it in one write. f must be quick
	// and must not block.
	Together(f func())
}

// ErrNoRoom is the answer of [RemoteCodec.Encode] to a request when too much else is
// pending.
var ErrNoRoom = errors.New("too much waits for the plugin")

// RemoteCodec sends the requests of one connection. The answers go to its RemoteConn.
type RemoteCodec interface {
	// Open requests the connection's own commands and the greeting. It is the first
	// request. On the connection's loop.
	Open()
	// Decode requests the commands of f. f is copied. If too many requests of the
	// connection are pending, the connection is held. On the connection's loop.
	Decode(f Frame)
	// Expected returns the encoding of ev, which is told next, if it is known already; then
	// no request is needed. The caller borrows the frame. On the connection's loop.
	Expected(ev Event) (f Frame, known bool)
	// Encode requests the encoding of ev. ev is copied. If ev is a request (Event.IsRequest)
	// and there is no room for it, the answer is ErrNoRoom. Any goroutine.
	Encode(ev Event)
	// Admits reports whether there is room for a request of n bytes. Requests come from
	// other clients, without a limit. Any goroutine.
	Admits(n int) bool
	// Resume reports that commands may be carried out again: RemoteConn.Held is false. On
	// the connection's loop.
	Resume()
	// Close reports that the connection is gone. No answers come after it. It is
	// called once, on the connection's loop.
	Close()
}

// RemoteConn is a connection as its remote codec sees it. Its Sink takes the results of Open
// and Decode. All methods but ID, Post and Close are called on its loop (by Post), after Open
// and before Close. Their arguments are borrowed.
type RemoteConn interface {
	Sink
	// ID, Post and Close are those of [Link]. Any goroutine.
	ID() uint64
	Post(f func())
	Close(r Reason)
	// Held reports whether the answers to Decode must wait for Resume, because the
	// connection is held. A hold by Pause does not count.
	Held() bool
	// Pause stops Decode requests for further messages until Unpause.
	Pause()
	Unpause()
	// Opened is the answer to Open: the greeting, NoFrame if there is none.
	Opened(greeting Frame, err error)
	// Decoded is the answer to Decode, after its commands. err is what Codec.Decode
	// would have returned.
	Decoded(err error)
	// Encoded is the answer to Encode; asked is what Event.PendingCall returned. A [Violation]
	// ends the connection. ErrNoRoom means that the request was not sent; any other err means
	// that the event cannot be written in this format.
	Encoded(asked CallID, f Frame, err error)
}
