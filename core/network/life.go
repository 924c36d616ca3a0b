package network

import "github.com/polywire/polywire/core"

// state is how far a connection is in its life, which doc.go tells. It only grows.
type state uint8

const (
	// open: messages go both ways.
	open state = iota
	// parting: the format is asked for its last word. Messages are not carried out any more;
	// what was carried out before is still told.
	parting
	// failing: the same after the client has broken the protocol or the format. Nothing that
	// it sends is looked at any more.
	failing
	// closing: the connection has left the engine, and our close frame is queued; the
	// client's is awaited.
	closing
	// finishing: both close frames are seen, or there will be none. What is queued is written.
	finishing
	// shut: it is written, and our half of the stream is shut. The client's end is awaited.
	shut
	// ended: the socket is gone. Nothing may be written: its descriptor may already be
	// somebody else's.
	ended
)

// life is how far a connection has come, and how it ends. Owned by the loop.
type life struct {
	state  state
	reason core.Reason // why it ends, from closing on
	cutAt  uint32      // the tick at which it is cut, from closing on
}

// isOpen reports whether the client may be told something: the connection has not left the
// engine.
func (l *life) isOpen() bool { return l.state < closing }

// deaf reports whether nothing is looked at any more that comes from the client.
func (l *life) deaf() bool { return l.state == failing || l.state >= finishing }
