package sockets

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// unixPrefix begins the address of a Unix socket.
const unixPrefix = "unix:"

// Listen listens on "host:port", or on "unix:" and the path of a socket. A socket that a
// process left behind is replaced if nobody listens on it any more.
func Listen(address string) (net.Listener, error) {
	path, ok := strings.CutPrefix(address, unixPrefix)
	if !ok {
		return net.Listen("tcp", address)
	}
	ln, err := net.Listen("unix", path)
	if errors.Is(err, unix.EADDRINUSE) && abandoned(path) {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("replacing the socket of an ended process: %w", err)
		}
		ln, err = net.Listen("unix", path)
	}
	return ln, err
}

// abandoned reports whether path is a socket on which nobody listens.
func abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, unix.ECONNREFUSED)
}

// Duplicate returns a second listener for the socket of ln; either can be closed without the
// other. Neither removes the file of a Unix socket.
func Duplicate(ln net.Listener) (net.Listener, error) {
	f, err := fileOf(ln)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	again, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("duplicating listener: %w", err)
	}
	keepFile(ln)
	return again, nil
}

// keepFile leaves the file of a Unix socket to the next holder of the socket.
func keepFile(ln net.Listener) {
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
}

// fileOf returns a duplicate of the descriptor of ln. Unlike the File method of ln, it leaves
// the socket, which all its descriptors share, in non-blocking mode.
func fileOf(ln net.Listener) (*os.File, error) {
	sc, ok := ln.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("duplicating listener: %T has no descriptor", ln)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("duplicating listener: %w", err)
	}
	var fd int
	var dupErr error
	err = raw.Control(func(own uintptr) { fd, dupErr = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 3) })
	if err = errors.Join(err, dupErr); err != nil {
		return nil, fmt.Errorf("duplicating listener: %w", err)
	}
	return os.NewFile(uintptr(fd), ln.Addr().String()), nil
}
