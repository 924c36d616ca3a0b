package network

import (
	"bytes"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
)

// plainConn is a visitor as net/http reads it: request by request. net/http accepts input
// that can hide a second request from a proxy before us, so it only gets heads that parseHead
// has passed. Bodies pass unchanged, and are tracked to their ends.
//
// It is read by one goroutine at a time; Close may be called from any.
type plainConn struct {
	*visitor
	door *door

	// Owned by the reader.
	buf     []byte // what was read and is not passed on
	ready   int    // how much of it may be passed on
	scanned int    // how much of a head has been searched for its end
	body    body   // the rest of the body
	chunks  chunks // the position in a chunked body
	timed   bool   // the head has a deadline of its own
	upgrade *head  // the last request, if it asks for an upgrade: what follows is not HTTP
	trouble error  // the body is malformed

	// Atomic.
	busy    atomic.Bool             // a request is being answered
	refused atomic.Pointer[refusal] // why the next request is refused; the client is not told yet
}

// errRefused makes net/http give up the connection.
var errRefused = errors.New("the request is refused")

// newPlainConn returns a plainConn for v. buf was read from v; its first end bytes are the head h.
func newPlainConn(d *door, v *visitor, h *head, buf []byte, end int) *plainConn {
	return &plainConn{visitor: v, door: d, buf: buf, ready: end, body: h.body}
}

func (c *plainConn) Read(b []byte) (int, error) {
	for {
		if c.ready > 0 {
			n := copy(b, c.buf[:c.ready])
			if c.buf, c.ready = c.buf[n:], c.ready-n; len(c.buf) == 0 {
				c.buf = nil // an idle connection keeps no room
			}
			return n, nil
		}
		if c.trouble != nil {
			return 0, c.trouble
		}
		if c.refused.Load() != nil {
			return 0, c.giveUp()
		}
		if c.body.length > 0 && len(c.buf) == 0 {
			n, err := c.visitor.Read(b[:min(int64(len(b)), c.body.length)])
			c.body.length -= int64(n)
			c.follow()
			return n, err
		}
		if len(c.buf) > c.scanned && c.advance() {
			continue
		}
		if err := c.more(); err != nil {
			return 0, err
		}
	}
}

// advance examines what has been read, and reports whether it made progress.
func (c *plainConn) advance() bool {
	switch {
	case c.upgrade != nil:
		c.ready = len(c.buf)
	case c.body.length > 0:
		c.ready = int(min(int64(len(c.buf)), c.body.length))
		c.body.length -= int64(c.ready)
		c.follow()
	case c.body.chunked:
		n, done, err := c.chunks.follow(c.buf)
		if done {
			c.body, c.chunks = body{}, chunks{}
			c.follow()
		}
		c.ready, c.trouble = n, err
	default:
		return c.advanceHead()
	}
	return true
}

// wantsMore reports whether a part of the body is missing, by what is known now.
func (c *plainConn) wantsMore() bool {
	return c.body.chunked || c.body.length > int64(len(c.buf)-c.ready)
}

// follow notes that the request is complete, if its body is.
func (c *plainConn) follow() {
	if c.body == (body{}) {
		c.door.plain.open.set(&c.visitor.plain, working)
	}
}

// advanceHead looks for the end of a head.
func (c *plainConn) advanceHead() bool {
	o := &c.door.server.options
	if rest, ok := bytes.CutPrefix(c.buf, []byte("\r\n")); ok {
		// Some clients end the body of a POST with an empty line (RFC 9112, section 2.2).
		c.buf, c.scanned = rest, 0
		return true
	}
	if len(c.buf) > 1 || c.buf[0] != '\r' { // maybe of an empty line
		if err := badStart(c.buf, c.scanned); err != nil {
			c.refused.Store(refusalOf(err))
			return true
		}
	}
	i := bytes.Index(c.buf[max(0, c.scanned-3):], []byte("\r\n\r\n"))
	if i < 0 {
		if badLineEnd(c.buf, c.scanned) {
			c.refused.Store(refusalOf(errLineEnd))
			return true
		}
		c.scanned = len(c.buf)
		if c.scanned < o.MaxHeader {
			return false
		}
		c.refused.Store(refusalOf(errHeadTooLarge))
		return true
	}
	end := max(0, c.scanned-3) + i + 4
	c.scanned, c.timed = 0, false
	if end > o.MaxHeader {
		c.refused.Store(refusalOf(errHeadTooLarge))
		return true
	}
	// A copy, because an upgrade outlives the buffer.
	h, err := parseHead(bytes.Clone(c.buf[:end]), o.MaxHeaderFields)
	if err != nil {
		c.refused.Store(refusalOf(err))
		return true
	}
	c.ready, c.body = end, h.body
	if h.upgrade {
		c.upgrade = h
	}
	return true
}

// more reads more of a head or of a chunked body.
func (c *plainConn) more() error {
	if len(c.buf) > 0 && !c.timed && !c.busy.Load() {
		// net/http's deadline would be as long as that for the beginning of the request.
		c.timed = true
		_ = c.SetReadDeadline(time.Now().Add(c.door.server.options.HandshakeTimeout))
	}
	if len(c.buf) == cap(c.buf) {
		c.buf = append(make([]byte, 0, max(firstRead, 2*len(c.buf))), c.buf...)
	}
	n, err := c.visitor.Read(c.buf[len(c.buf):cap(c.buf)])
	c.buf = c.buf[:len(c.buf)+n]
	if n > 0 {
		return nil
	}
	if isTimeout(err) && c.timed && !c.busy.Load() {
		c.refused.Store(&refusal{reason: core.ReasonTimeout, status: http.StatusRequestTimeout, why: "request head not received in time"})
	}
	return err
}

// giveUp ends reading, because the next request is refused. It waits until the request before
// is answered: an error would cut that answer short.
func (c *plainConn) giveUp() error {
	var sink [4 << 10]byte
	for c.busy.Load() {
		if _, err := c.visitor.Read(sink[:]); err != nil {
			return err
		}
	}
	return errRefused
}

// Close tells the client why its next request is refused, if it is refused, and closes.
func (c *plainConn) Close() error {
	if r := c.refused.Swap(nil); r != nil {
		c.door.reject(c.visitor, r.reason, r.status, r.why)
	}
	return c.visitor.Close()
}

// refusalOf returns the refusal for a request head with the error err.
func refusalOf(err error) *refusal {
	if errors.Is(err, errHeadTooLarge) || errors.Is(err, errManyFields) {
		return &refusal{reason: core.ReasonTooLarge, status: http.StatusRequestHeaderFieldsTooLarge, why: err.Error()}
	}
	return &refusal{reason: core.ReasonHandshake, status: http.StatusBadRequest, why: err.Error()}
}
