package network

import "github.com/polywire/polywire/core"

// state is a stage in the life of a connection; doc.go describes them. It only grows.
type state uint8

const (
	// open: messages go both ways.
	open state = iota
	// parting: the format is asked for its farewell. Messages that are read now are ignored;
	// the outcomes of earlier ones are still sent.
	parting
	// failing: parting because the client broke the protocol or the format. All its input is
	// ignored.
	failing
	// closing: the connection has left the engine, our close frame is queued, and the
	// client's is awaited.
	closing
	// finishing: the close handshake is over, or there is none. Queued output is written.
	finishing
	// shut: all output is written and our half of the stream is shut. The client's end is
	// awaited.
	shut
	// ended: the socket is closed. Nothing may be written: its descriptor may already belong
	// to another connection.
	ended
)

// life is the state of a connection and how it ends. Owned by the loop.
type life struct {
	state  state
	reason core.Reason // why it ends, from closing on
	cutAt  uint32      // the tick at which it is cut, from closing on
}

// isOpen reports whether events may be sent to the client: the connection has not left the
// engine.
func (l *life) isOpen() bool { return l.state < closing }

// deaf reports whether all input of the client is ignored.
func (l *life) deaf() bool { return l.state == failing || l.state >= finishing }
