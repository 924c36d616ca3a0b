package network

import (
	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// where says where the socket of a connection is.
type where uint8

const (
	// nowhere: not in its loop yet, or gone. A connection whose socket is gone and that has
	// not ended lingers: what its client has said is still being carried out.
	nowhere where = iota
	// attached: gnet reads from it.
	attached
	// parked: nobody reads from it, so that TCP holds the client back. It is the
	// connection's own.
	parked
	// returning: it is on its way back to gnet. Nothing can be written meanwhile.
	returning
)

// attachment is how a connection hangs on its socket. Owned by the loop.
type attachment struct {
	gc    gnet.Conn // while it is attached
	fd    int       // while it is attached or parked
	where where
}

// attach is called with what gnet reads from.
func (s *attachment) attach(gc gnet.Conn) { *s = attachment{gc: gc, fd: gc.Fd(), where: attached} }

// writable reports whether there is a descriptor to write to.
func (s *attachment) writable() bool { return s.where == attached || s.where == parked }

// leave is called when the socket is closed, or about to be. What is parked is closed here.
func (s *attachment) leave() {
	if s.where == parked {
		_ = unix.Close(s.fd)
	}
	*s = attachment{}
}
