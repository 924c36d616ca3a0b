package conversations

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/gobwas/ws"
)

const (
	// logged is how many frames of a connection a report shows.
	logged = 10
	// maxArrival limits the size of messages that a connection accepts.
	maxArrival = 256 << 20
	readSize   = 64 << 10
)

// connection is one client's TCP connection. It reads only when an arrival is requested, so an
// unused connection is one that does not read. Used on one goroutine.
type connection struct {
	name    string
	conn    net.Conn
	timeout time.Duration

	// in holds received bytes that are not parsed yet.
	in []byte
	// partial is the message that is being assembled from fragments.
	partial   []byte
	partialOp ws.OpCode
	// queue holds arrivals that were read while waiting for another one.
	queue []arrival
	log   []string

	// upgraded: the connection speaks WebSocket.
	upgraded bool
	// dirty: something was sent since the last sync.
	dirty bool
	// unsynced: the player sends no pings of its own.
	unsynced bool
	// stalled: the script forbids reading.
	stalled bool
	// left: the script ended the connection from its side.
	left bool
	// ended: the server ended the connection, and the player has read that.
	ended bool
	// nopong: the player does not answer the server's pings.
	nopong bool
}

// note adds a line to the log for reports.
func (c *connection) note(direction, what string) {
	if len(c.log) == logged {
		c.log = slices.Delete(c.log, 0, 1)
	}
	c.log = append(c.log, direction+" "+what)
}

// write sends bytes as they are. It only notes an error: the script's expectations find out what
// the server did to the connection.
func (c *connection) write(b []byte) {
	err := c.conn.SetWriteDeadline(time.Now().Add(c.timeout))
	if err == nil {
		_, err = c.conn.Write(b)
	}
	if err != nil {
		c.note(">", "not sent: "+err.Error())
	}
}

// send writes one masked frame.
func (c *connection) send(op ws.OpCode, fin bool, payload []byte) {
	frame := ws.MaskFrame(ws.NewFrame(op, fin, payload))
	b, err := ws.CompileFrame(frame)
	if err != nil {
		c.note(">", "not sent: "+err.Error())
		return
	}
	c.write(b)
}

// next returns the next arrival. It answers pings on the way; ok is false if nothing came before
// the deadline.
func (c *connection) next(deadline time.Time) (a arrival, ok bool) {
	if len(c.queue) > 0 {
		a, c.queue = c.queue[0], c.queue[1:]
		return a, true
	}
	return c.read(deadline)
}

// read is next without the queue.
func (c *connection) read(deadline time.Time) (arrival, bool) {
	for {
		if a, ok := c.frame(); ok {
			c.note("<", a.String())
			if a.kind == pingFrame && !c.nopong && !c.left {
				c.send(ws.OpPong, true, a.data)
			}
			return a, true
		}
		if end, err := c.fill(deadline); err != nil {
			return arrival{}, false
		} else if end != nil {
			c.note("<", end.String())
			return *end, true
		}
	}
}

// fill reads more bytes into in. It returns end if the connection has ended, and err if none came
// before the deadline.
func (c *connection) fill(deadline time.Time) (end *arrival, err error) {
	if c.ended {
		return nil, os.ErrDeadlineExceeded
	}
	if err := c.conn.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	c.in = slices.Grow(c.in, readSize)
	n, err := c.conn.Read(c.in[len(c.in):cap(c.in)])
	c.in = c.in[:len(c.in)+n]
	switch {
	case n > 0 || err == nil:
		return nil, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, err
	}
	c.ended = true
	if errors.Is(err, io.EOF) {
		return &arrival{kind: endOfStream}, nil
	}
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return &arrival{kind: reset}, nil
	}
	return &arrival{kind: brokenFrame, data: []byte(err.Error())}, nil
}

// frame parses whole frames from in until one completes an arrival.
func (c *connection) frame() (arrival, bool) {
	for c.upgraded {
		r := bytes.NewReader(c.in)
		h, err := ws.ReadHeader(r)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return arrival{}, false
		}
		if err == nil {
			err = c.check(h)
		}
		if err != nil {
			c.in, c.ended = nil, true
			return arrival{kind: brokenFrame, data: []byte(err.Error())}, true
		}
		if int64(r.Len()) < h.Length {
			return arrival{}, false
		}
		start := len(c.in) - r.Len()
		payload := slices.Clone(c.in[start : start+int(h.Length)])
		c.in = c.in[start+int(h.Length):]
		if a, ok := c.message(h, payload); ok {
			return a, true
		}
	}
	return arrival{}, false
}

// check checks a frame of the server against RFC 6455, section 5.
func (c *connection) check(h ws.Header) error {
	state := ws.StateClientSide
	if c.partialOp != 0 {
		state |= ws.StateFragmented
	}
	if h.Length > maxArrival {
		return fmt.Errorf("a frame of %d bytes", h.Length)
	}
	return ws.CheckHeader(h, state)
}

// message turns a frame into an arrival, unless it is a fragment and not the last.
func (c *connection) message(h ws.Header, payload []byte) (arrival, bool) {
	switch h.OpCode {
	case ws.OpPing:
		return arrival{kind: pingFrame, data: payload}, true
	case ws.OpPong:
		return arrival{kind: pongFrame, data: payload}, true
	case ws.OpClose:
		return arrival{kind: closeFrame, data: payload}, true
	}
	if h.OpCode != ws.OpContinuation {
		c.partialOp = h.OpCode
	}
	c.partial = append(c.partial, payload...)
	if !h.Fin {
		return arrival{}, false
	}
	a := arrival{kind: textMessage, data: c.partial}
	if c.partialOp == ws.OpBinary {
		a.kind = binaryMessage
	}
	c.partial, c.partialOp = nil, 0
	return a, true
}

// sync proves that the server has carried out everything that was sent: it sends a ping with the
// payload and reads until its pong. It queues other arrivals. It returns false if no pong came in
// time, true also if the connection ended.
func (c *connection) sync(payload string) bool {
	c.dirty = false
	if c.ended {
		return true
	}
	c.send(ws.OpPing, true, []byte(payload))
	deadline := time.Now().Add(c.timeout)
	for {
		a, ok := c.read(deadline)
		if !ok {
			return false
		}
		if a.kind == pongFrame && string(a.data) == payload {
			return true
		}
		c.queue = append(c.queue, a)
		if a.ends() || a.kind == closeFrame || a.kind == brokenFrame {
			return true
		}
	}
}
