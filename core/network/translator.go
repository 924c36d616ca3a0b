package network

import "github.com/polywire/polywire/core"

// translation is the format of an endpoint, as the network uses it. There are two: localFormat
// asks a codec in this process, and remoteFormat one in another, so that answers come later.
// No other file asks which of them it is.
type translation interface {
	// translator returns that of a new connection, which is not in a loop yet. Any goroutine.
	translator(c *conn) translator
	// deliver gives the Message ev to the members of to, which it borrows; m says to whom it
	// does not go. Any goroutine; messages of one goroutine arrive in the order of its calls.
	deliver(m mail, ev core.Event, to []core.Audience)
	// writable returns why ev, a Message, cannot be written, as far as that can be said at
	// once. Any goroutine.
	writable(ev core.Event) error
	// begin and end enclose the time in which there can be connections. The caller holds the
	// server's mu.
	begin()
	end()
}

// translator is the format of one connection. All methods but send and admits are called on
// the loop of the connection.
type translator interface {
	// open begins a connection that has come into its loop. It calls conn.connect, then
	// conn.listen when the client has been greeted; both at once if it can.
	open()
	// read takes a message of the client, which it borrows. done says that it has been carried
	// out, and err that it broke the format; else carriedOut is called when it has been.
	read(f core.Frame) (done bool, err error)
	// busy reports whether something that the client said is still being carried out, or
	// something else is on its way to it.
	busy() bool
	// lingers reports whether a connection whose socket is gone must stay: for what the client
	// has said, and for what was on its way to it by then.
	lingers() bool
	// behind runs f behind all that was read before; until then nothing more is read. It is
	// called while the translator is busy.
	behind(f func())
	// resume goes on with what had to wait while the connection was held. It reports whether
	// messages may be read.
	resume() bool
	// tell queues what the client reads for ev.
	tell(ev core.Event)
	// send copies ev and tells it in the order of the calls. Any goroutine.
	send(ev core.Event)
	// admits reports whether there is room for a request of n bytes. Any goroutine.
	admits(n int) bool
	// farewell queues the format's last word for r. It reports whether it could: else
	// conn.part is called when it can.
	farewell(r core.Reason) bool
	// close is the last call. The connection has left the engine.
	close()
}

// newTranslation returns that of an endpoint.
func newTranslation(ep *endpoint) translation {
	if format, ok := ep.Format.(core.RemoteFormat); ok {
		return &remoteFormat{ep: ep, format: format}
	}
	return &localFormat{ep: ep}
}
