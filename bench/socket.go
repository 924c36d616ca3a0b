package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// dialTimeout bounds every blocking call on a socket that is being opened.
const dialTimeout = 5 * time.Second

// opening is the exchange on a new WebSocket before it is used: whole frames, nil for none. The
// server begins.
type opening struct{ greeting, say, answer []byte }

// dial opens a WebSocket to addr, goes through the opening, and returns the socket in non-blocking
// mode. The load uses bare sockets: otherwise the cost of the Go network poller would be charged to
// its core.
func dial(addr netip.AddrPort, path string, o opening) (fd int, err error) {
	fd, err = connectBlocking(addr)
	if err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	if err := upgrade(fd, addr, path); err != nil {
		return -1, fmt.Errorf("upgrading at %s%s: %w", addr, path, err)
	}
	if err := o.play(fd); err != nil {
		return -1, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return -1, fmt.Errorf("setting non-blocking: %w", err)
	}
	return fd, nil
}

// connectBlocking opens a TCP connection, whose calls block for dialTimeout at most.
func connectBlocking(addr netip.AddrPort) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("making socket: %w", err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	timeout := unix.NsecToTimeval(dialTimeout.Nanoseconds())
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, option, &timeout); err != nil {
			return -1, fmt.Errorf("setting timeout: %w", err)
		}
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return -1, fmt.Errorf("setting TCP_NODELAY: %w", err)
	}
	if err := connect(fd, addr); err != nil {
		return -1, fmt.Errorf("connecting to %s: %w", addr, err)
	}
	return fd, nil
}

// play goes through the opening on a blocking socket.
func (o opening) play(fd int) error {
	if err := expect(fd, o.greeting); err != nil {
		return fmt.Errorf("reading greeting: %w", err)
	}
	if err := writeAll(fd, o.say); err != nil {
		return fmt.Errorf("sending first message: %w", err)
	}
	if err := expect(fd, o.answer); err != nil {
		return fmt.Errorf("reading answer to first message: %w", err)
	}
	return nil
}

// expect reads want from a blocking socket, and nothing beyond it.
func expect(fd int, want []byte) error {
	got := make([]byte, len(want))
	for n := 0; n < len(want); {
		m, err := unix.Read(fd, got[n:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case m == 0:
			return io.ErrUnexpectedEOF
		}
		n += m
		if !bytes.Equal(got[:n], want[:n]) {
			return fmt.Errorf("got %q, want %q", got[:n], want)
		}
	}
	return nil
}

// connect connects a blocking socket. The Go runtime's signals may interrupt the call (connect(2),
// EINTR); when called again the kernel goes on waiting.
func connect(fd int, addr netip.AddrPort) error {
	to := &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	for {
		err := unix.Connect(fd, to)
		switch {
		case err == nil, errors.Is(err, unix.EISCONN):
			return nil
		case !errors.Is(err, unix.EINTR):
			return err
		}
	}
}

// upgrade makes the opening handshake (RFC 6455, section 4.1).
func upgrade(fd int, addr netip.AddrPort, path string) error {
	request := "GET " + path + " HTTP/1.1\r\nHost: " + addr.String() +
		"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13" +
		"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if err := writeAll(fd, []byte(request)); err != nil {
		return fmt.Errorf("sending request: %w", err)
	}
	head, err := readHead(fd)
	if err != nil {
		return fmt.Errorf("reading response after %q: %w", head, err)
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		return fmt.Errorf("refused: %q", head)
	}
	return nil
}

// readHead reads an HTTP head.
func readHead(fd int) ([]byte, error) { return readUpTo(fd, "\r\n\r\n") }

// readLine reads a line.
func readLine(fd int) ([]byte, error) { return readUpTo(fd, "\r\n") }

// readUpTo reads byte by byte up to an end, so that it consumes nothing behind it. On an error it
// returns what came before.
func readUpTo(fd int, end string) ([]byte, error) {
	const most = 4096
	var head []byte
	for !bytes.HasSuffix(head, []byte(end)) {
		var b [1]byte
		n, err := unix.Read(fd, b[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return head, err
		case n == 0:
			return head, io.ErrUnexpectedEOF
		case len(head) == most:
			return head, errors.New("it is too long")
		}
		head = append(head, b[0])
	}
	return head, nil
}

// writeAll writes b to a socket, and waits while the socket is full, up to stall at a time.
func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		switch {
		case err == nil:
			b = b[n:]
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
			n, err := unix.Poll(ready, int(stall.Milliseconds()))
			if n == 0 && err == nil {
				return fmt.Errorf("the server has read nothing for %v", stall)
			}
			if err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
		default:
			return err
		}
	}
	return nil
}
