package network

import "github.com/polywire/polywire/core"

// translation is the format of an endpoint, as the network uses it. There are two: localFormat
// calls codecs in this process, and remoteFormat asks codecs in another, which answer later.
// Only newTranslation knows which of them an endpoint has.
type translation interface {
	// translator returns the translator of a new connection, which is not in a loop yet. Any
	// goroutine.
	translator(c *conn) translator
	// deliver delivers the Message ev to the members of to, which it borrows, and tells by if that is not
	// nil. m is the mail to fill in; its except and stamp are set. Any goroutine; messages of one
	// goroutine arrive in the order of its calls.
	deliver(m mail, ev core.Event, to []core.Audience, by core.Crossing)
	// writable returns the frame of the Message ev, or why it cannot be written; the zero value if that is not
	// known at once. Any goroutine.
	writable(ev core.Event) (core.Written, error)
	// begin is called before the first connection, end after the last. The caller holds the
	// server's mu.
	begin()
	end()
}

// translator translates for one connection. All methods but send and admits are called on the
// connection's loop.
type translator interface {
	// open opens a connection that has just entered its loop. It calls conn.connect, and
	// conn.listen after the greeting, now or later.
	open()
	// read carries out a message of the client, which it borrows. If done is true it has been
	// carried out, and err says how it broke the format; otherwise conn.carriedOut is called
	// later.
	read(f core.Frame) (done bool, err error)
	// keep keeps a copy of the message of the client that is read next, for saying: a tap watches topics.
	keep(f core.Frame)
	// saying returns the message that is carried out, if it was kept.
	saying() (f core.Frame, ok bool)
	// forget gives up what was kept of messages that have been carried out.
	forget()
	// busy reports whether input of the client is still being carried out, or events for it are
	// still being encoded.
	busy() bool
	// lingers reports whether a connection whose socket is closed must stay: for the input of
	// the client, and for events that were being encoded when the socket was closed.
	lingers() bool
	// behind runs f after all earlier input has been carried out; nothing more is read until
	// then. It is called only while the translator is busy and the connection is not held.
	behind(f func())
	// resume continues with the answers that waited while the connection was held. It reports
	// whether messages may be read.
	resume() bool
	// tell queues what the client reads for ev.
	tell(ev core.Event)
	// send is tell in a later turn, in the order of the calls. ev is copied. Any goroutine.
	send(ev core.Event)
	// admits reports whether there is room for a request of n bytes. Any goroutine.
	admits(n int) bool
	// farewell queues the format's Goodbye for r. If it returns false, conn.part is called
	// when that has been queued.
	farewell(r core.Reason) bool
	// close is called once, when the connection has left the engine. Later calls do nothing.
	close()
}

// newTranslation returns the translation of an endpoint.
func newTranslation(ep *endpoint) translation {
	if format, ok := ep.Format.(core.RemoteFormat); ok {
		return &remoteFormat{ep: ep, format: format}
	}
	return &localFormat{ep: ep}
}
