package core

import "context"

// Hooks are an application's callbacks for connections and sessions. A nil hook is
// not called. Static once the broker is made.
//
// Hooks run on goroutines, never on an event loop, and may block; those of different
// connections run concurrently. For one connection the order is: BeforeUpgrade,
// Connected, then the hooks that its messages cause, and Disconnected last. A hook that opens
// or closes a session of its client returns after the session hook for it. While Connected
// or SessionRestored runs, the client's further messages wait. SessionCreated delays the
// answer of the call that made the session. So a hook that blocks delays only its own
// connection. At most 256 of Connected and Disconnected run at once; further connections
// wait for their turn. If a connection leaves before its turn, neither is called for it.
//
// ctx ends when the client leaves, or when the broker has said goodbye to all clients. After
// that nothing waits for the hook. A panic in a hook, or the end of its goroutine
// (runtime.Goexit), is logged and counted; the broker continues as if the hook had returned.
type Hooks struct {
	// BeforeUpgrade is called with the request of a client that wants to connect, after
	// authentication (h.Identity) and before the upgrade. An error refuses the client: it
	// gets HTTP 403, and the log has the error at level debug. A panic refuses it too. The
	// other hooks and the handlers get what BeforeUpgrade stores in *h.Info from
	// [Client.Info].
	BeforeUpgrade func(ctx context.Context, endpoint string, h Handshake) error

	// Connected is called when the client has been greeted. No message of the client,
	// and no subscription that its endpoint makes for it, is carried out before it
	// returns. It may sign the client in ([Client.OpenSession]) and end the connection
	// ([Client.Close]).
	Connected func(ctx context.Context, c Client)

	// Disconnected is called when the connection has ended, for whatever reason, and all
	// its other hooks have returned. Go handlers may still be working on the client's calls.
	// It is called if and only if Connected was, or would have been if it were set.
	Disconnected func(c Client, r Reason)

	// SessionCreated is called when a session was made for the client and the client
	// was told, before the client's call that caused it is answered.
	SessionCreated func(ctx context.Context, c Client, s Session)

	// SessionRestored is called when the client has joined a session, which was looked
	// up by the key that it sent, and was told. s.LastLookup is the previous look-up.
	SessionRestored func(ctx context.Context, c Client, s Session)

	// SessionClosed is called when a session has been closed and its store has deleted it.
	// It is not called for a client that leaves a session which continues. In a cluster it is called
	// at the node that has closed the session.
	SessionClosed func(ctx context.Context, key string)
}
