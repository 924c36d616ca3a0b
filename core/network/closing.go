package network

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/timers"
)

// How long an ending connection may take before it is cut.
const (
	// closeTime is the time for the client to answer our close frame.
	closeTime = 5 * time.Second
	// lingerTime is the time for the client to close its side after the close
	// handshake, or for a slow receiver to read what is left.
	lingerTime = 2 * time.Second
)

// sayGoodbye begins the close handshake from our side, with the format's farewell for r.
func (c *conn) sayGoodbye(r core.Reason) {
	if !c.isOpen() {
		return
	}
	if c.format.farewell(r) {
		c.part(r)
	}
}

// part is sayGoodbye after the format's farewell. It does nothing if the connection is ending.
func (c *conn) part(r core.Reason) {
	if !c.isOpen() {
		return
	}
	code, text := c.ep.goodbye(c, r)
	failed := c.state == failing
	c.depart(r)
	linger := c.ep.server.options.closeTime
	if r == core.ReasonSlow {
		// After the queued output the close frame would never arrive.
		c.dropUnwritten()
		linger = c.ep.server.options.lingerTime
	}
	if code != 0 && c.socket.where != nowhere {
		c.queueLast(closeFrame(code, text))
		c.cutAfter(linger)
	}
	if code == 0 || c.socket.where == nowhere || failed {
		c.finish()
	}
	c.wake()
}

// goodbye returns the close code and text of the endpoint's format for r; if the format
// panics, the default code of r.
func (ep *endpoint) goodbye(c *conn, r core.Reason) (code uint16, text string) {
	defer func() {
		if fault := recover(); fault != nil {
			ep.server.panicked(c, fault)
			code, text = r.CloseCode(), ""
		}
	}()
	return ep.Format.Goodbye(r)
}

// fail ends the connection because the client broke the protocol or the format:
// a close frame, and nothing more is read (RFC 6455, section 7.1.7).
func (c *conn) fail(r core.Reason, err error) {
	c.ep.server.log.Debug("ending connection", "endpoint", c.ep.Name, "conn", c.id,
		"remote", c.remote, "user", c.user.User(), "reason", r.String(), "error", err)
	if !c.isOpen() {
		c.finish()
		return
	}
	c.state = failing
	c.sayGoodbye(r)
}

// depart takes the connection out of the engine: from here on it gets no events.
func (c *conn) depart(r core.Reason) {
	if !c.isOpen() {
		return
	}
	c.state, c.reason = closing, r
	c.ep.Stats.Closed.Inc(r)
	c.format.close()
	if c.peer != nil {
		c.loop.leaving = append(c.loop.leaving, c)
		c.giveUp()
	}
}

// giveUp frees what the connection held alone. It comes before anything is queued that
// shows the client that the connection ends: that may be written at any time, not only at
// the end of the turn, when the engine gets Peer.Gone.
func (c *conn) giveUp() {
	if c.peer != nil {
		c.ep.server.guard(nil, c.peer.Leaving)
	}
}

// finish ends the close handshake; queued output is still written.
func (c *conn) finish() {
	if c.state >= finishing {
		return
	}
	c.state = finishing
	if c.socket.where == nowhere {
		c.end(c.reason)
		return
	}
	c.cutAfter(c.ep.server.options.lingerTime)
	if c.waiting() == 0 {
		c.shutdown()
	}
}

// shutdown closes our half of the stream. The client's half is read on until its
// end: closing a socket with unread input would reset it, and the reset could
// overtake the close frame.
func (c *conn) shutdown() {
	if c.state != finishing || !c.socket.writable() {
		return
	}
	if c.sayLast() {
		c.flush() // and back here, when it is written
		return
	}
	c.state = shut
	if err := unix.Shutdown(c.socket.fd, unix.SHUT_WR); err != nil {
		c.end(c.reason)
	}
}

// cutAfter sets the time at which the connection is cut if it has not ended.
func (c *conn) cutAfter(d time.Duration) {
	now := c.loop.ticks.Load()
	c.cutAt = now + timers.Ticks(d)
	c.rearm(now)
}

// cut resets the connection, so that the kernel drops its unsent output.
func (c *conn) cut() {
	if c.waiting() > 0 && c.socket.writable() {
		// The only error is a socket that is gone already.
		_ = unix.SetsockoptLinger(c.socket.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	c.end(c.reason)
}

// end closes the socket now. gnet calls OnClose from within.
func (c *conn) end(r core.Reason) {
	if c.state == ended {
		return
	}
	if r != core.ReasonLost {
		// For a lost connection, gone decides.
		c.depart(r)
	}
	if c.socket.where != attached {
		c.gone()
		return
	}
	if err := c.loop.el.Close(c.socket.gc); err != nil {
		c.ep.server.log.Debug("closing socket", "conn", c.id, "error", err)
	}
}

// gone is called when the socket is closed, by us or by the client.
func (c *conn) gone() {
	if c.linger() {
		return
	}
	defer c.leave()
	if c.tap != nil {
		// Before others see what follows from it.
		c.tap.end(!c.isOpen() && c.reason != core.ReasonLost)
	}
	c.depart(core.ReasonLost)
	c.dropOutput(core.ReasonGone)
	c.logLost()
	c.dropSecure()
}

// linger reports whether a connection whose socket is gone stays until the input of its client
// is carried out; gone is called again then. Input that waits for a release by others is lost.
func (c *conn) linger() bool {
	if !c.isOpen() || c.in.holds.stopCarryingOut() {
		return false
	}
	if !c.format.lingers() && c.in.kept.size == 0 && !c.secure.waits() {
		return false
	}
	c.socket.leave()
	return true
}

// leave ends the connection and removes it from all tables and lists.
func (c *conn) leave() {
	c.socket.leave()
	c.state = ended
	c.out.list, c.losses = unlisted, nil
	c.dropInput()
	c.account()
	c.dropHistory()
	c.loop.wheel.Remove(c)
	delete(c.loop.conns, c)
	c.ep.Stats.Open.Add(-1)
	c.ep.leave(c.address(), c.user, c.counted)
	if c.bridge {
		c.ep.server.leaveBridge(c.id)
	}
}
