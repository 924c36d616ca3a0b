package core

import "context"

// Hooks are what an application is told of connections and sessions. A nil hook is
// not called. Static once the broker is made.
//
// Hooks run on goroutines, never on an event loop, and may block; those of different
// connections run at the same time. For one connection the order is: BeforeUpgrade,
// Connected, then what its messages bring about, and Disconnected last. A hook that opens
// or closes a session of its client returns after the hook that is told of it. While Connected
// or SessionRestored runs the client's further messages wait, and SessionCreated holds
// back the answer of the call that made the session: a hook that blocks delays its own
// connection alone. At most 256 of Connected and Disconnected run at once; further
// connections wait for their turn, and the hooks hear nothing of one that leaves before.
//
// ctx ends when the client leaves, or when the broker has said goodbye to all, and nothing
// waits for a hook that has seen it. A panic in a hook, and the end of its goroutine
// (runtime.Goexit), is logged and counted; all goes on as if the hook had returned.
type Hooks struct {
	// BeforeUpgrade is called with the request of a client that wants to connect, before
	// it is upgraded, and when it is known who the client is (h.Identity). An error refuses it: the client reads HTTP 403, and the
	// log has the error at level debug. A panic refuses too. What it leaves in *h.Info the
	// other hooks, and handlers, get from [Client.Info].
	BeforeUpgrade func(ctx context.Context, endpoint string, h Handshake) error

	// Connected is called when the client has been greeted. No message of the client,
	// and no subscription that its endpoint makes for it, is carried out before it
	// returns. It may sign the client in ([Client.OpenSession]) and end the connection
	// ([Client.Close]).
	Connected func(ctx context.Context, c Client)

	// Disconnected is called when the connection has ended, for whatever reason, and
	// all other hooks of it have returned; Go handlers may still be at work on what the
	// client asked. It is called if and only if Connected was, or would have been if it
	// were set.
	Disconnected func(c Client, r Reason)

	// SessionCreated is called when a session was made for the client and the client
	// was told: before the client's call that brought it about is answered.
	SessionCreated func(ctx context.Context, c Client, s Session)

	// SessionRestored is called when the client has joined a session, which was looked
	// up by the key that it sent, and was told. s.LastLookup is the look-up before.
	SessionRestored func(ctx context.Context, c Client, s Session)

	// SessionClosed is called when a session has been closed and its store has
	// forgotten it. It is not called for a client that leaves a session which goes on.
	SessionClosed func(ctx context.Context, key string)
}
