package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// wire is one WebSocket that reads its messages one by one. Owned by one goroutine.
type wire struct {
	fd     int
	binary bool // the kind of messages it sends
	in     []byte
	taken  int // how much of in is consumed
}

// newWire opens a WebSocket. size is how much is read at once, and the limit of a message.
func newWire(addr netip.AddrPort, path string, binary bool, size int) (*wire, error) {
	fd, err := dial(addr, path, opening{})
	if err != nil {
		return nil, err
	}
	return &wire{fd: fd, binary: binary, in: make([]byte, 0, size)}, nil
}

func (w *wire) close() { _ = unix.Close(w.fd) }

// read reads what the socket holds, if anything.
func (w *wire) read() error {
	rest := copy(w.in[:cap(w.in)], w.in[w.taken:])
	w.in, w.taken = w.in[:rest], 0
	n, err := unix.Read(w.fd, w.in[rest:cap(w.in)])
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return err
	case n == 0 && rest == cap(w.in):
		return fmt.Errorf("a message of more than %d bytes", rest)
	case n == 0:
		return io.ErrUnexpectedEOF
	}
	w.in = w.in[:rest+n]
	return nil
}

// next returns the next message that was read, nil if it is incomplete. It is valid until the next
// read. Pings are ignored: no run lasts long enough for a server to miss the pong.
func (w *wire) next() ([]byte, error) {
	const opcode, opClose, opPing = 15, 8, 9
	for {
		in := w.in[w.taken:]
		if len(in) < 2 {
			return nil, nil
		}
		head, size := 2, int(in[1])
		switch {
		case size > 126:
			return nil, fmt.Errorf("a frame with the header %x", in[:2])
		case size == 126 && len(in) < 4:
			return nil, nil
		case size == 126:
			head, size = 4, int(binary.BigEndian.Uint16(in[2:]))
		}
		if len(in) < head+size {
			return nil, nil
		}
		w.taken += head + size
		message := in[head : head+size]
		switch in[0] & opcode {
		case opClose:
			return nil, fmt.Errorf("the server closed the connection: %q", message)
		case opPing:
		default:
			return message, nil
		}
	}
}

// await waits for the next message.
func (w *wire) await() ([]byte, error) {
	for deadline := time.Now().Add(stall); ; {
		message, err := w.next()
		if message != nil || err != nil {
			return message, err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return nil, fmt.Errorf("no message for %v", stall)
		}
		ready := []unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(ready, int(left.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("waiting for a message: %w", err)
		}
		if err := w.read(); err != nil {
			return nil, err
		}
	}
}

// say sends one message.
func (w *wire) say(message []byte) error {
	return writeAll(w.fd, append(clientHead(nil, w.binary, len(message)), message...))
}
