package network

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// input is the received input of one client that is not carried out yet, and why it waits. Owned
// by the loop.
type input struct {
	kept     pieces   // input that came while the connection was held
	parser   *parser  // nil between messages
	history  *history // of what the client compresses; nil if it keeps no context
	holds    holds
	deciding uint32 // bytes of the message for which engine or format hold the connection: at most 1 GiB
	charged  int    // how much of all this is counted in the inbound budget
}

// receive takes input from the socket. b is borrowed and is overwritten.
func (c *conn) receive(b []byte) {
	defer c.ep.server.recovered(c)
	if c.deaf() {
		return
	}
	if c.heldBack() {
		c.keep(b)
		return
	}
	if rest := c.parse(b); len(rest) > 0 {
		c.keep(rest)
	}
}

// parse feeds the parser until b is used up or the connection is held, and returns what
// is left of b.
func (c *conn) parse(b []byte) (rest []byte) {
	for len(b) > 0 && !c.deaf() {
		if !c.in.holds.any() {
			// Before the message, not after it: an admitted message finds room.
			c.awaitRoom()
		}
		if c.loop.effort.spent {
			c.stepBack()
		}
		if c.heldBack() {
			return b
		}
		piece := b
		if c.ep.Limits.Get().Bytes.Amount > 0 {
			piece = b[:min(len(b), readAtOnce)]
		}
		used, err := c.feed(piece)
		if err != nil {
			if c.tap != nil && c.state == open {
				c.tap.fault(err)
			}
			c.fail(reasonOf(err), err)
			return nil
		}
		c.charge(0, used)
		b = b[used:]
	}
	return nil
}

// feed parses b. The connection has a parser only while a message is incomplete.
func (c *conn) feed(b []byte) (used int, err error) {
	if c.in.parser == nil {
		c.in.parser = c.loop.takeParser(c.ep.MaxMessage, c.window != 0, c.in.history)
	}
	if !c.isOpen() {
		c.in.parser.deafen()
	}
	used, err = c.in.parser.feed(b, c)
	if c.in.parser != nil && c.in.parser.between() {
		c.loop.giveParser(c.in.parser)
		c.in.parser = nil
	}
	return used, err
}

// keep stores b until the connection is released.
func (c *conn) keep(b []byte) {
	c.in.kept.add(b)
	c.parkIfMuch()
}

// resume continues with the kept input, and with reading if that was stopped,
// unless the connection is held. Only the loop calls it, between other work.
func (c *conn) resume() {
	defer c.ep.server.recovered(c)
	if c.state == ended {
		return
	}
	if !c.format.resume() {
		return
	}
	c.parseKept()
	if c.secure.waits() && !c.heldBack() {
		c.decryptRest()
	}
	c.account()
	if c.socket.where == parked && !c.heldBack() {
		c.unpark()
	}
	if c.socket.where == nowhere && c.state != ended {
		c.gone()
	}
}

// parseKept parses what was kept until the connection is held.
func (c *conn) parseKept() {
	// The connection may end meanwhile, which drops the kept input.
	in := c.in.kept
	c.in.kept = pieces{}
	for len(in.list) > 0 && !c.heldBack() && !c.deaf() {
		rest := c.parse(in.list[0])
		in.skip(len(in.list[0]) - len(rest))
	}
	if !c.deaf() {
		c.in.kept = in
	}
}

// choke stops reading from a client that sends requests faster than it reads the answers:
// they would only pile up to its bound, and tiny ones would take far more memory.
func (c *conn) choke() {
	if c.in.holds.has(choked) || c.out.weightBehind().all <= c.settings.OutboundLimit/2 {
		return
	}
	if c.out.list != stuck {
		c.flush()
	}
	if c.isOpen() && c.out.weightBehind().all > c.settings.OutboundLimit/2 {
		c.hold(choked)
	}
}

// unchoke is called when output was written.
func (c *conn) unchoke() {
	if c.in.holds.has(choked) && c.out.weightBehind().all <= c.settings.OutboundLimit/4 {
		c.release(choked)
	}
}

// backlog returns how many bytes are queued after the frame in flight.
func (c *conn) backlog() int {
	all, _ := c.out.behind()
	return all
}

// heldBack reports whether no message may be read now. An ending connection is read to
// its end.
func (c *conn) heldBack() bool { return c.in.holds.any() && c.isOpen() }

// onInflated charges for the growth of a compressed message.
func (c *conn) onInflated(more int) {
	if more > 0 {
		c.charge(0, more)
	}
}

// onMessage hands a data message to the codec.
func (c *conn) onMessage(op ws.OpCode, payload []byte) bool {
	c.loop.effort.add(len(payload))
	if c.state != open {
		return !c.deaf()
	}
	if c.tap != nil {
		c.tap.heard(op, payload)
	}
	c.lastMessage = c.loop.ticks.Load()
	c.ep.Stats.MessagesIn.Add(1)
	c.ep.Stats.BytesIn.Add(uint64(len(payload)))
	c.traffic.heard(len(payload))
	c.ep.Stats.SizesIn.Observe(len(payload), 1)
	c.charge(1, 0)
	kind := core.TextFrame
	if op == ws.OpBinary {
		kind = core.BinaryFrame
	}
	f := core.Frame{Kind: kind, Data: payload}
	watched := c.ep.server.watched.Load() > 0
	if watched {
		c.format.keep(f)
	}
	before := c.in.holds
	done, err := c.format.read(f)
	if watched {
		c.forgetSaid()
	}
	if c.in.holds != before && c.in.holds.any() {
		c.in.deciding = uint32(len(payload))
	}
	if done {
		c.carriedOut(err)
	}
	return !c.in.holds.any() && c.isOpen() && !c.deaf() && !c.loop.effort.over()
}

// carriedOut is called after a data message was carried out. err is the error of its decoding.
func (c *conn) carriedOut(err error) {
	if err != nil {
		reason := core.ReasonMalformed
		if v, ok := errors.AsType[*core.Violation](err); ok {
			reason = v.Reason
		}
		c.ep.Stats.Refused.Inc(reason)
		c.fail(reason, err)
		return
	}
	c.awaitRoom()
	c.choke()
}

// Do hands a decoded command to the engine: conn is the codec's core.Sink.
func (c *conn) Do(cmd core.Command) {
	if cmd.Verb == core.Publish {
		cmd.Read = c.loop.sample()
	}
	c.peer.Do(cmd)
}

// Refuse counts a message that the codec refused, and tells the client if f is a failure.
func (c *conn) Refuse(r core.Reason, ref []byte, f core.Failure) {
	c.ep.Stats.Refused.Inc(r)
	c.peer.Refused(r, f)
	if f.Failed() {
		c.Tell(core.Event{Kind: core.Failed, Ref: ref, Failure: f})
	}
}

var _ core.Sink = (*conn)(nil)

// onControl handles a control frame (RFC 6455, section 5.5) in its order.
func (c *conn) onControl(op ws.OpCode, payload []byte) bool {
	if op != ws.OpPong && c.isOpen() && c.format.busy() {
		payload = bytes.Clone(payload)
		c.format.behind(func() { c.control(op, payload) })
		return false
	}
	return c.control(op, payload)
}

func (c *conn) control(op ws.OpCode, payload []byte) bool {
	c.loop.effort.add(len(payload))
	switch op {
	case ws.OpPing:
		c.alive()
		if c.isOpen() {
			c.queueOwn(controlFrame(ws.OpPong, payload))
			c.charge(1, 0)
			c.choke()
		}
	case ws.OpPong:
		c.alive()
		c.lastPong = c.loop.ticks.Load()
	case ws.OpClose:
		return c.onClose(payload)
	}
	return !c.deaf() && !c.heldBack() && !c.loop.effort.over()
}

// alive counts a ping or pong as a sign of life where the format does.
func (c *conn) alive() {
	if c.ep.pingsCount {
		c.lastMessage = c.loop.ticks.Load()
	}
}

var (
	errCloseCode = errors.New("close frame with a code that must not be sent")
	errCloseText = errors.New("close frame with a reason that is not UTF-8")
)

// onClose handles the client's close frame (RFC 6455, section 5.5.1).
func (c *conn) onClose(payload []byte) bool {
	if c.tap != nil {
		c.tap.heard(ws.OpClose, payload)
	}
	if !c.isOpen() {
		// The answer to our own close frame.
		c.finish()
		return false
	}
	reply := c.ep.closeReply
	text := ""
	if len(payload) > 0 {
		if len(payload) == 1 || !validCloseCode(binary.BigEndian.Uint16(payload)) {
			c.fail(core.ReasonProtocol, errCloseCode)
			return false
		}
		if !utf8.Valid(payload[2:]) {
			c.fail(core.ReasonInvalidUTF8, errCloseText)
			return false
		}
		if reply == 0 {
			reply, text = binary.BigEndian.Uint16(payload), string(payload[2:])
		}
	}
	c.depart(core.ReasonNormal)
	c.queueLast(closeFrame(reply, text))
	c.finish()
	return false
}

// validCloseCode reports whether a client may send code (RFC 6455, section 7.4,
// and the IANA registry of close codes).
func validCloseCode(code uint16) bool {
	switch {
	case code >= 3000 && code <= 4999:
		return true
	case code >= 1000 && code <= 1014:
		return code != 1004 && code != 1005 && code != 1006
	}
	return false
}
