package clients

import (
	"fmt"
	"testing"
	"time"
)

// message is one WebSocket message.
type message struct {
	data   string
	binary bool
}

func (m message) String() string {
	if m.binary {
		return fmt.Sprintf("binary %q", m.data)
	}
	return "text " + m.data
}

func text(format string, args ...any) message { return message{data: fmt.Sprintf(format, args...)} }

// event is an event of a library.
type event struct {
	kind    string // open, message, pong, close or error
	message message
	// extensions are those of an open connection, if the library reports them.
	extensions string
	// wire is how many bytes came from the server up to this message; 0 if the library does not
	// report it.
	wire   int
	code   int    // of a close
	reason string // of a close or an error
}

// library is one WebSocket client library. dial begins to connect to url; the events from then on
// go to tell, in order, and from one goroutine at a time. The doer may be used only after open. The
// end of the test releases the library.
type library struct {
	name string
	dial func(t *testing.T, url string, tell func(event)) doer
	// pings says whether the library can send pings.
	pings bool
	// deflates says whether it offers permessage-deflate.
	deflates bool
}

// doer is a library's connection. Its methods are called from one goroutine.
type doer interface {
	send(message) error
	ping() error
	// close begins the closing handshake with code 1000.
	close() error
}

// client is a connected client. It is used from one goroutine.
type client struct {
	t      *testing.T
	name   string
	events chan event
	doer
	extensions string
}

// connect returns a client once it is connected.
func connect(t *testing.T, l library, url string) *client {
	t.Helper()
	// The channel has room for all events of a test: a full one stops the library.
	c := &client{t: t, name: l.name, events: make(chan event, 256)}
	c.doer = l.dial(t, url, func(e event) { c.events <- e })
	c.extensions = c.next("open").extensions
	return c
}

// next waits for the next event, which must have the given kind.
func (c *client) next(kind string) event {
	c.t.Helper()
	select {
	case e := <-c.events:
		if e.kind != kind {
			c.t.Fatalf("%s: got %+v, want %s", c.name, e, kind)
		}
		return e
	case <-time.After(patience):
		c.t.Fatalf("%s: waited in vain for %s", c.name, kind)
	}
	panic("unreachable")
}

// say sends messages.
func (c *client) say(messages ...message) {
	c.t.Helper()
	for _, m := range messages {
		if err := c.send(m); err != nil {
			c.t.Fatalf("%s: sending %s: %v", c.name, m, err)
		}
	}
}

// hear expects messages, in this order, and nothing else between them.
func (c *client) hear(messages ...message) {
	c.t.Helper()
	for _, want := range messages {
		if got := c.next("message").message; got != want {
			c.t.Fatalf("%s: got %s, want %s", c.name, got, want)
		}
	}
}

// leave closes the connection and expects the server to complete the close handshake.
func (c *client) leave() {
	c.t.Helper()
	if err := c.close(); err != nil {
		c.t.Fatalf("%s: closing: %v", c.name, err)
	}
	if e := c.next("close"); e.code != 1000 {
		c.t.Errorf("%s: closed with %d %q, want 1000", c.name, e.code, e.reason)
	}
}
