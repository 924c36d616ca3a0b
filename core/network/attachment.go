package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

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

// errReset: the other side has reset the connection while it was parked. gnet does not expect that.
var errReset = errors.New("the other side has reset the connection")

// park makes the socket one that nobody reads from. gnet cannot pause a connection, so it leaves gnet with a
// duplicate of its descriptor: the caller closes gc. Meanwhile output is written to the duplicate.
func (s *attachment) park() (gc gnet.Conn, err error) {
	fd, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicating the descriptor: %w", err)
	}
	gc = s.gc
	*s = attachment{fd: fd, where: parked}
	return gc, nil
}

// unpark hands the socket back to the event loop, which calls OnOpen for it. After an error it is closed.
func (s *attachment) unpark(el gnet.EventLoop, c parkable) error {
	f := os.NewFile(uintptr(s.fd), "parked")
	nc, err := net.FileConn(f)
	_ = f.Close()
	*s = attachment{where: returning}
	if err != nil {
		return err
	}
	if nc.RemoteAddr() == nil {
		_ = nc.Close()
		return errReset
	}
	back := &comeback{conn: c}
	opened, err := el.Enroll(gnet.NewContext(context.Background(), back), nc)
	if err != nil {
		_ = nc.Close()
		return err
	}
	go back.await(opened)
	return nil
}

// leave is called when the socket is closed or about to be closed. A parked one is closed here.
func (s *attachment) leave() {
	if s.where == parked {
		_ = unix.Close(s.fd)
	}
	*s = attachment{}
}
