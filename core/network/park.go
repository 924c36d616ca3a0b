package network

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

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

// park stops reading from the socket. gnet cannot pause a connection, so the
// connection leaves gnet with a duplicate of its descriptor, and returns with
// unpark. Meanwhile output is written to the duplicate.
func (c *conn) park() {
	fd, err := unix.FcntlInt(uintptr(c.socket.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		c.fail(core.ReasonOverload, fmt.Errorf("stopping to read: %w", err))
		return
	}
	gc := c.socket.gc
	c.socket = attachment{fd: fd, where: parked}
	if err := c.loop.el.Close(gc); err != nil {
		c.ep.server.log.Debug("parking connection", "conn", c.id, "error", err)
	}
}

// unpark hands the socket back to the event loop, which calls OnOpen for it.
func (c *conn) unpark() {
	f := os.NewFile(uintptr(c.socket.fd), "parked")
	nc, err := net.FileConn(f)
	_ = f.Close()
	c.socket = attachment{where: returning}
	if err == nil && nc.RemoteAddr() == nil {
		// The client has reset the connection meanwhile. gnet does not expect that.
		_ = nc.Close()
		c.gone()
		return
	}
	if err == nil {
		var opened <-chan gnet.RegisteredResult
		back := &comeback{conn: c}
		if opened, err = c.loop.el.Enroll(gnet.NewContext(context.Background(), back), nc); err == nil {
			go back.await(opened)
			return
		}
		_ = nc.Close()
	}
	c.cannotReturn(err)
}

// cannotReturn ends a connection that the event loop does not take back.
func (c *conn) cannotReturn(err error) {
	c.ep.server.log.Error("resuming to read", append(c.attrs(core.ReasonOverload), slog.Any("error", err))...)
	c.end(core.ReasonOverload)
}

// errNotEnrolled is the error if gnet reports none but did not enrol the connection.
var errNotEnrolled = errors.New("the event loop did not take the connection")

// comeback is a parked connection on its way back to the event loop.
type comeback struct {
	conn *conn

	// Owned by the loop.
	arrived bool // OnOpen was called
}

// await ends the connection if it does not come back.
func (b *comeback) await(opened <-chan gnet.RegisteredResult) {
	// gnet reports neither a poller that refuses nor a panic of its own.
	err := cmp.Or((<-opened).Err, errNotEnrolled)
	b.conn.Post(func() {
		if !b.arrived {
			b.conn.cannotReturn(err)
		}
	})
}

// arrive is OnOpen for a connection that was parked.
func (b *comeback) arrive(gc gnet.Conn) gnet.Action {
	c := b.conn
	b.arrived = true
	gc.SetContext(c)
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
