package shadow

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/internal/relay"
)

// upgradeTimeout is how long the shadow may take to answer an upgrade.
const upgradeTimeout = 10 * time.Second

// pair is a client's connection to the old server, and its twin. Owned by the comparer.
type pair struct {
	of       *relay.Connection
	dialog   *relay.Dialog
	name     string // "" before the upgrade
	old, new side
	since    time.Time // when both had answered the upgrade
	recent   recent

	asked *heldUpgrade // nil once the shadow was asked too
	twin  *twin        // nil before the upgrade, and after its end
	// held are what the client has said and the shadow has not been told yet, in order.
	held      []heldMessage
	heldBytes int

	leaving   bool // the client has begun to end it: what has found no equal then is no difference
	cut       bool // by ending the TCP connection
	closeSent bool // the shadow was sent a close frame
	off       bool // it is not compared any more
	gone      bool // it is forgotten
	// The relay's sides have ended; over is when both had.
	clientOver, serverOver bool
	over                   time.Time
}

// side is what one server has said on a connection.
type side struct {
	upgrade *outcome // nil before the answer
	said    *said    // it, by the old server
	// pending has found no equal yet, in order.
	pending []*entry
	bytes   int
	closed  bool // by a close frame or the end of the connection
}

// outcome is the answer to an upgrade. Status 0 is none.
type outcome struct {
	status      int
	subprotocol string
}

func (o outcome) String() string {
	switch {
	case o.status == 0:
		return "no answer"
	case o.status == http.StatusSwitchingProtocols:
		return fmt.Sprintf("%d, subprotocol %q", o.status, o.subprotocol)
	}
	return fmt.Sprint(o.status)
}

// heldUpgrade is an upgrade that a client has asked for.
type heldUpgrade struct {
	exchange *relay.Exchange
	seq      uint64 // of the order
}

// heldMessage is a message or control frame of a client.
type heldMessage struct {
	op   ws.OpCode
	data []byte
	at   time.Time
	seq  uint64 // of the order
}

// entryCost is what an entry costs beside its data, in bytes.
const entryCost = 200

func (m heldMessage) cost() int { return len(m.data) + entryCost }

func (p *pair) called() string {
	if p.name == "" {
		return "a connection"
	}
	return p.name
}

// relaySaid is told what a client and the old server say.
type relaySaid struct {
	c *comparer
	p *pair
}

// Asked opens a twin, or asks the shadow too.
func (l *relaySaid) Asked(e *relay.Exchange) {
	c, p := l.c, l.p
	if !e.Upgrade {
		c.ask(p, e)
		return
	}
	c.seen.Connections++
	p.name = "c" + strconv.Itoa(c.seen.Connections)
	c.dropTwin(p) // of an upgrade that was refused before
	p.old, p.new = side{}, side{}
	p.asked = &heldUpgrade{e, c.order.seq}
	c.flush(p)
	c.recently(p, func() string { return "connect " + c.out.censor.Upgrade(e.Request) })
}

// Answered has the answer to a request, or to an upgrade that was refused.
func (l *relaySaid) Answered(e *relay.Exchange, answer *http.Response, body []byte) {
	if e.Upgrade {
		l.p.old.upgrade = &outcome{status: answer.StatusCode}
		l.c.upgrades(l.p)
		return
	}
	l.c.oldAnswered(e, httpAnswer{status: answer.StatusCode, body: body})
}

// Upgraded begins to compare messages.
func (l *relaySaid) Upgraded(_ *relay.Exchange, answer *http.Response) {
	l.p.old.upgrade = &outcome{answer.StatusCode, answer.Header.Get("Sec-WebSocket-Protocol")}
	l.c.upgrades(l.p)
}

// Said has a message or control frame.
func (l *relaySaid) Said(server bool, m relay.Message) {
	switch {
	case l.p.gone:
	case server:
		l.c.said(l.p, &l.p.old, m)
	default:
		l.c.forward(l.p, m)
	}
}

// shadowSaid is told what the shadow says.
type shadowSaid struct {
	c *comparer
	t *twin
}

// Asked is told what was asked for the client.
func (*shadowSaid) Asked(*relay.Exchange) {}

// Answered has the answer to an upgrade that was refused.
func (l *shadowSaid) Answered(_ *relay.Exchange, answer *http.Response, _ []byte) {
	l.t.pair.new.upgrade = &outcome{status: answer.StatusCode}
	l.c.upgrades(l.t.pair)
}

// Upgraded lets the twin hear what the client has said.
func (l *shadowSaid) Upgraded(_ *relay.Exchange, answer *http.Response) {
	p := l.t.pair
	l.t.up = true
	p.new.upgrade = &outcome{answer.StatusCode, answer.Header.Get("Sec-WebSocket-Protocol")}
	l.c.upgrades(p)
	l.c.flush(p)
}

// Said has a message or control frame.
func (l *shadowSaid) Said(_ bool, m relay.Message) {
	if p := l.t.pair; !p.gone && p.twin == l.t {
		l.c.said(p, &p.new, m)
	}
}

// upgrades compares the answers to an upgrade once both are there.
func (c *comparer) upgrades(p *pair) {
	p.since = time.Now()
	switch {
	case p.new.upgrade != nil:
		p.old.said.ends()
	case p.old.upgrade != nil && !p.off:
		p.old.said = c.order.opens()
	}
	if p.off || p.old.upgrade == nil || p.new.upgrade == nil {
		return
	}
	old, fresh := *p.old.upgrade, *p.new.upgrade
	if old != fresh {
		c.differ(Upgrade, p, p.recent.said, func() []string {
			return []string{"the old server answered the upgrade: " + old.String(), "the broker: " + fresh.String()}
		})
	}
	if old.status != fresh.status {
		c.stopComparing(p)
		c.dropTwin(p)
	}
}

// forward passes a message or control frame of the client on to the shadow.
func (c *comparer) forward(p *pair, m relay.Message) {
	switch m.Op {
	case ws.OpPong:
		return // the shadow's pings have been answered
	case ws.OpPing:
	case ws.OpClose:
		c.recently(p, func() string { return c.out.censor.Closing(false, m.Data) })
		if p.old.closed { // it was not the client who has ended it
			return
		}
		p.leaving, p.closeSent = true, true
	default:
		c.seen.Sent++
		if m.Size == 0 {
			c.recently(p, func() string { return c.out.censor.Message(false, m.Op, m.Data) })
		}
	}
	if p.twin == nil && p.asked == nil {
		return
	}
	if m.Size > 0 {
		c.giveUp(p, TooLong)
		c.dropTwin(p)
		return
	}
	h := heldMessage{op: m.Op, data: bytes.Clone(m.Data), at: time.Now(), seq: c.order.seq}
	if p.heldBytes+h.cost() > c.o.ConnectionBytes || !c.budget.take(h.cost()) {
		c.giveUp(p, TooMuch)
		c.dropTwin(p)
		return
	}
	p.held = append(p.held, h)
	p.heldBytes += h.cost()
	c.flush(p)
}

// flush tells the shadow what was held, as far as the order allows it and its ids are known.
func (c *comparer) flush(p *pair) {
	if p.asked != nil {
		if !c.order.passed(p.asked.seq) {
			c.waiting[p] = struct{}{}
			return
		}
		p.twin = c.newTwin(p, p.asked.exchange)
		p.asked = nil
	}
	for len(p.held) > 0 && p.twin != nil {
		h := p.held[0]
		switch {
		case !p.twin.up:
			return
		case !c.order.passed(h.seq):
			c.waiting[p] = struct{}{}
			return
		}
		data := h.data
		if !h.op.IsControl() {
			out, known := c.reader.translate(h.op, h.data, c.ids.said)
			switch {
			case known, p.off:
			case time.Since(h.at) < c.o.Window:
				c.waiting[p] = struct{}{}
				return
			default:
				c.differ(UnknownID, p, p.recent.said, func() []string {
					return []string{"the client repeats an id of the old server for which the broker has sent none: " + c.out.censor.Message(false, h.op, h.data)}
				})
			}
			data = out
		}
		p.held = p.held[1:]
		p.heldBytes -= h.cost()
		c.budget.give(h.cost())
		if !p.twin.send(h.op, data) {
			c.giveUp(p, TooMuch)
			c.dropTwin(p)
			return
		}
	}
	delete(c.waiting, p)
	if p.twin != nil && p.twin.up && p.cut {
		// A reset is an end too: it might reach the shadow before what was said.
		p.twin.out.end()
	}
}

// ended notes the end of one side of a client's connection.
func (c *comparer) ended(p *pair, k relay.Kind) {
	p.dialog.End(k.Server())
	if p.gone {
		return
	}
	if k.Server() {
		p.serverOver = true
		if (p.twin != nil || p.asked != nil) && p.old.upgrade == nil && !p.leaving {
			p.old.upgrade = new(outcome)
			c.upgrades(p)
		}
		c.sideEnded(p, &p.old)
	} else {
		p.clientOver = true
		if !p.old.closed {
			p.leaving, p.cut = true, true
			c.flush(p)
		}
	}
	if p.clientOver && p.serverOver || k.Reset() {
		p.over = time.Now()
	}
}

// sideEnded notes that a server has ended the TCP connection.
func (c *comparer) sideEnded(p *pair, s *side) {
	if s.closed || p.cut || s.upgrade == nil || s.upgrade.status != http.StatusSwitchingProtocols {
		s.closed = true
		return
	}
	c.meet(p, s, &entry{closing: true})
	s.closed = true
}

// said looks at a message or control frame of a server.
func (c *comparer) said(p *pair, s *side, m relay.Message) {
	switch {
	case m.Op == ws.OpPing && s == &p.new:
		_ = p.twin.send(ws.OpPong, m.Data) // if there is no room, it shows soon enough
		return
	case m.Op == ws.OpPing, s.closed:
		return
	case m.Op == ws.OpPong: // only for the order: a client may rely on it
		c.meet(p, s, &entry{op: m.Op, data: bytes.Clone(m.Data)})
		return
	case m.Op == ws.OpClose:
		if s == &p.old {
			c.recently(p, func() string { return c.out.censor.Closing(true, m.Data) })
		}
		if s == &p.new && !p.closeSent {
			p.closeSent = true
			_ = p.twin.send(ws.OpClose, m.Data)
		}
		code, _ := ws.ParseCloseFrameData(m.Data)
		c.meet(p, s, &entry{closing: true, frame: true, code: code, data: bytes.Clone(m.Data)})
		s.closed = true
		return
	}
	if s == &p.new {
		c.seen.New++
	} else {
		c.seen.Old++
	}
	if m.Size > 0 {
		c.giveUp(p, TooLong)
		return
	}
	if s == &p.old {
		c.ids.made(c.reader.idsOf(m.Op, m.Data))
		c.recently(p, func() string { return c.out.censor.Message(true, m.Op, m.Data) })
	}
	c.meet(p, s, &entry{op: m.Op, data: bytes.Clone(m.Data)})
}

// flushAll tells the shadow what waits for that no longer.
func (c *comparer) flushAll() {
	for p := range c.waiting {
		c.flush(p)
	}
	for len(c.held) > 0 && c.order.passed(c.held[0].seq) {
		c.askNow(c.held[0])
		c.held = c.held[1:]
	}
}

// settle looks for what has waited too long.
func (c *comparer) settle(now time.Time) {
	for p := range c.pairs {
		c.settlePair(p, now)
		over := !p.over.IsZero()
		switch {
		case p.gone:
		case over && p.twin == nil && p.asked == nil && len(p.old.pending)+len(p.new.pending) == 0,
			over && now.Sub(p.over) > 2*c.o.Window+time.Second:
			c.forget(p)
		}
	}
	c.settleRequests(now)
	c.flushAll()
}

// settlePair counts what has found no equal in time.
func (c *comparer) settlePair(p *pair, now time.Time) {
	switch {
	case p.off:
		return
	case p.old.upgrade == nil || p.new.upgrade == nil:
		if p.old.upgrade != nil && p.twin != nil && now.Sub(p.since) > upgradeTimeout {
			p.new.upgrade = new(outcome)
			c.upgrades(p)
		}
		return
	}
	for _, s := range []*side{&p.old, &p.new} {
		other := p.other(s)
		for _, e := range slices.Clone(s.pending) {
			since := e.at
			if since.Before(p.since) {
				since = p.since
			}
			age := now.Sub(since)
			switch {
			case e.removed:
			case e.op == ws.OpPong:
				if age >= c.o.Window {
					c.remove(s, e)
				}
			case !e.overdue && (c.stopping || age >= c.o.Window && p.leaving && (!e.closing || p.cut)):
				c.remove(s, e)
				if e.counts() {
					c.seen.Unsettled++
				}
			case !e.overdue && age >= c.o.Window:
				e.overdue = true
				if x := c.similar(e, other); x != nil {
					c.remove(s, e)
					c.remove(other, x)
					c.unequal(p, s, e, x)
				}
			case e.overdue && (c.stopping || age >= 2*c.o.Window):
				c.remove(s, e)
				c.alone(p, s, e)
			}
			if p.off {
				return
			}
		}
	}
}

func (p *pair) other(s *side) *side {
	if s == &p.old {
		return &p.new
	}
	return &p.old
}
