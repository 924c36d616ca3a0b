package core

import "errors"

// RemoteFormat is a Format that translates in another process, so later. The network
// does not use its NewCodec and EncodeMessage; where it would call them it asks, and the
// answer comes when it comes. Nothing here blocks.
//
// Each question is answered once, whatever happens to the other process, and questions
// of one shard are answered in the order in which they were asked.
type RemoteFormat interface {
	Format
	// Bind says whose loops the connections are on. It is called once, before all that
	// follows here.
	Bind(h RemoteHost)
	// Flush says that a turn of a loop has come to its end, and is called on that loop.
	Flush()
	// Shards is into how many independent parts connections are divided, at least 1.
	// All connections of one loop are of one shard. Any goroutine.
	Shards() int
	// Attach returns the codec of a new connection of a shard. Any goroutine.
	Attach(shard int, c RemoteConn) RemoteCodec
	// AskMessage asks how the Message ev reads, once for all who hear it. ev is copied.
	// done is called on another goroutine and must not block; it borrows the frame. The
	// error is a [Violation] if nobody could be asked. Any goroutine.
	AskMessage(shard int, ev Event, done func(Frame, error))
}

// RemoteHost are the loops, as a remote format sees them. All methods may be called from
// any goroutine.
type RemoteHost interface {
	// InTurn reports whether a loop is in the midst of a turn, so that Flush will be
	// called: who asks more in it can wait for that.
	InTurn() bool
	// Together runs f. What f posts to connections, or hands to done of AskMessage, comes
	// to each loop in one turn, so that the clients get it in one write. f must be quick
	// and not block.
	Together(f func())
}

// ErrNoRoom is the answer to [RemoteCodec.Encode] of a request when too much else is
// unanswered.
var ErrNoRoom = errors.New("too much waits for the plugin")

// RemoteCodec asks for one connection. The answers go to its RemoteConn.
type RemoteCodec interface {
	// Open asks for the commands of the connection's own and the greeting. It is the
	// first question. On the connection's loop.
	Open()
	// Decode asks what f means. f is copied. If too much of the connection is
	// unanswered, it is held. On the connection's loop.
	Decode(f Frame)
	// Expected returns how ev, which is told next, reads, if that is known already: then it
	// need not be asked. The caller borrows the frame. On the connection's loop.
	Expected(ev Event) (f Frame, known bool)
	// Encode asks how ev reads. ev is copied. A request (Event.IsRequest) for which there
	// is no room is answered with ErrNoRoom. Any goroutine.
	Encode(ev Event)
	// Admits reports whether there is room for a request of n bytes: other clients make
	// them, as many as they like. Any goroutine.
	Admits(n int) bool
	// Resume says that commands may be carried out again: RemoteConn.Held is false. On
	// the connection's loop.
	Resume()
	// Close says that the connection is gone. There are no answers after it. It is
	// called once, on the connection's loop.
	Close()
}

// RemoteConn is a connection as its remote codec sees it. Its Sink takes what Open and Decode
// have asked. All methods but ID, Post and Close are called on its loop (by Post), after Open
// and before Close. What they are given is borrowed.
type RemoteConn interface {
	Sink
	// ID, Post and Close are those of [Link]. Any goroutine.
	ID() uint64
	Post(f func())
	Close(r Reason)
	// Held reports whether the answers to Decode must wait for Resume: somebody holds the
	// connection. Holding it with Pause does not count.
	Held() bool
	// Pause stops the asking about further messages until Unpause.
	Pause()
	Unpause()
	// Opened is the answer to Open: the greeting, NoFrame if there is none.
	Opened(greeting Frame, err error)
	// Decoded is the answer to Decode, after its commands. err is what Codec.Decode
	// would have returned.
	Decoded(err error)
	// Encoded is the answer to Encode; asked is what Event.PendingCall returned. A [Violation]
	// ends the connection; ErrNoRoom means that the request was not asked about, any other
	// err that the event cannot be written in this format.
	Encoded(asked CallID, f Frame, err error)
}
