package network

import (
	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// where says where the socket of a connection is.
type where uint8

const (
	// nowhere: not in its loop yet, or closed. A connection whose socket is closed but that has
	// not ended lingers: the input of its client is still being carried out.
	nowhere where = iota
	// attached: gnet reads from it.
	attached
	// parked: nobody reads from it, so that TCP slows the client down. The connection owns the
	// descriptor.
	parked
	// returning: it is being enrolled in gnet again. Nothing can be written meanwhile.
	returning
)

// attachment is the link of a connection to its socket. Owned by the loop.
type attachment struct {
	gc    gnet.Conn // while it is attached
	fd    int       // while it is attached or parked
	where where
}

// attach is called when gnet has taken the socket.
func (s *attachment) attach(gc gnet.Conn) { *s = attachment{gc: gc, fd: gc.Fd(), where: attached} }

// writable reports whether there is a descriptor to write to.
func (s *attachment) writable() bool { return s.where == attached || s.where == parked }

// leave is called when the socket is closed or about to be closed. A parked one is closed here.
func (s *attachment) leave() {
	if s.where == parked {
		_ = unix.Close(s.fd)
	}
	*s = attachment{}
}
