package network

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"

	"github.com/panjf2000/gnet/v2"

	"github.com/polywire/polywire/core"
)

// parkAt is how much kept input a held connection may have before its socket is
// taken out of the event loop, so that TCP backpressure slows the client down.
const parkAt = 256 << 10

// parkIfMuch parks a held connection with much kept input. While more than half of the
// inbound budget is used, any kept input is much.
func (c *conn) parkIfMuch() {
	n, limit := c.in.kept.size, parkAt
	if c.secure != nil {
		n += c.secure.sealed.size
	}
	if b := &c.ep.server.inbound; b.used.Load() > b.allowed()/2 {
		limit = 0
	}
	if n > limit && c.socket.where == attached {
		c.park()
	}
}

// park stops reading from the socket, until unpark.
func (c *conn) park() {
	gc, err := c.socket.park()
	if err != nil {
		c.fail(core.ReasonOverload, fmt.Errorf("stopping to read: %w", err))
		return
	}
	if err := c.loop.el.Close(gc); err != nil {
		c.ep.server.log.Debug("parking connection", "conn", c.id, "error", err)
	}
}

// unpark hands the socket back to the event loop, which calls OnOpen for it.
func (c *conn) unpark() {
	switch err := c.socket.unpark(c.loop.el, c); {
	case errors.Is(err, errReset):
		c.gone()
	case err != nil:
		c.cannotReturn(err)
	}
}

// cannotReturn ends a connection that the event loop does not take back.
func (c *conn) cannotReturn(err error) {
	c.ep.server.log.Error("resuming to read", append(c.attrs(core.ReasonOverload), slog.Any("error", err))...)
	c.end(core.ReasonOverload)
}

// errNotEnrolled is the error if gnet reports none but did not enrol the connection.
var errNotEnrolled = errors.New("the event loop did not take the connection")

// parkable is a connection that can be parked.
type parkable interface {
	// post runs a function on the loop, at most as long as the connection has not ended. Any goroutine.
	post(f func())
	// arrive is OnOpen when the connection has come back.
	arrive(gc gnet.Conn) gnet.Action
	// cannotReturn ends the connection: the event loop does not take it back.
	cannotReturn(err error)
}

// comeback is a parked connection on its way back to the event loop.
type comeback struct {
	conn parkable

	// Owned by the loop.
	arrived bool // OnOpen was called
}

// await ends the connection if it does not come back.
func (b *comeback) await(opened <-chan gnet.RegisteredResult) {
	// gnet reports neither a poller that refuses nor a panic of its own.
	err := cmp.Or((<-opened).Err, errNotEnrolled)
	b.conn.post(func() {
		if !b.arrived {
			b.conn.cannotReturn(err)
		}
	})
}

// arrive is OnOpen for a connection that was parked.
func (b *comeback) arrive(gc gnet.Conn) gnet.Action {
	b.arrived = true
	gc.SetContext(b.conn)
	return b.conn.arrive(gc)
}

func (c *conn) post(f func()) { c.Post(f) }

// arrive goes on with a connection that was parked.
func (c *conn) arrive(gc gnet.Conn) gnet.Action {
	defer c.ep.server.recovered(c)
	if c.state == ended {
		return gnet.Close
	}
	c.socket.attach(gc)
	if c.waiting() > 0 {
		c.flush()
	} else if c.state == finishing {
		c.shutdown()
	}
	return gnet.None
}
