package shadow

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/gobwas/ws"
)

// entry is something that a server has sent: a message, or the end of the connection. Data is its own.
type entry struct {
	at    time.Time
	after int // lines that had been said on the connection
	op    ws.OpCode
	data  []byte

	closing bool // it is the end of the connection
	frame   bool // by a close frame, with code
	code    ws.StatusCode

	formed  bool
	form    form  // once formed
	said    *said // of the old server
	overdue bool  // it has found no equal in time, and is only compared with what is overdue too
	removed bool
}

func (e *entry) cost() int { return len(e.data) + entryCost }

// counts reports whether it is a message.
func (e *entry) counts() bool { return !e.closing && !e.op.IsControl() }

// meet pairs what a server has sent with an equal of the other one's, or lets it wait for that.
func (c *comparer) meet(p *pair, s *side, e *entry) {
	other := p.other(s)
	if p.off || !e.closing && other.closed && !slices.ContainsFunc(other.pending, func(x *entry) bool { return !x.closing }) {
		return
	}
	e.at, e.after = time.Now(), p.recent.said
	for _, x := range other.pending {
		if !x.overdue && c.equal(p, s, e, x) {
			c.remove(other, x)
			if e.counts() {
				c.seen.Equal++
			}
			return
		}
	}
	if s.bytes+e.cost() > c.o.ConnectionBytes || !c.budget.take(e.cost()) {
		c.giveUp(p, TooMuch)
		return
	}
	if s == &p.old {
		e.said = c.order.opens()
	}
	s.pending = append(s.pending, e)
	s.bytes += e.cost()
}

// equal reports whether e of the side s is equal to x of the other side. Ids are learned from it.
func (c *comparer) equal(p *pair, s *side, e, x *entry) bool {
	if e.closing || x.closing {
		return e.closing == x.closing && e.frame == x.frame && e.code == x.code
	}
	if e.op != x.op {
		return false
	}
	if e.op.IsControl() {
		return bytes.Equal(e.data, x.data)
	}
	if bytes.Equal(e.data, x.data) {
		if d, _, _ := c.reader.parts(true, e.op, e.data); !mayHoldIDs(d, e.data) {
			return true
		}
	}
	old, fresh := c.formOf(e), c.formOf(x)
	if s == &p.new {
		old, fresh = fresh, old
	}
	if old.text != fresh.text || !c.ids.same(old.ids, fresh.ids) {
		return false
	}
	c.ids.join(old.ids, fresh.ids)
	return true
}

func (c *comparer) formOf(e *entry) form {
	if !e.formed {
		e.form, e.formed = c.reader.form(e.op, e.data), true
	}
	return e.form
}

func (c *comparer) remove(s *side, e *entry) {
	i := slices.Index(s.pending, e)
	if i < 0 {
		return
	}
	s.pending = slices.Delete(s.pending, i, i+1)
	s.bytes -= e.cost()
	c.budget.give(e.cost())
	e.removed = true
	e.said.ends()
}

// similar returns what is overdue on the other side and can be called the same with another content; nil if
// there is nothing.
func (c *comparer) similar(e *entry, other *side) *entry {
	const looks = 64 // it is slow
	for i, x := range other.pending {
		if i == looks {
			break
		}
		if x.overdue && (e.closing && x.closing || !e.closing && !x.closing && c.reader.similar(e.op, x.op, e.data, x.data)) {
			return x
		}
	}
	return nil
}

// unequal counts a difference between e of the side s and x of the other side.
func (c *comparer) unequal(p *pair, s *side, e, x *entry) {
	if s == &p.new {
		e, x = x, e
	}
	kind := Different
	if e.closing {
		kind = Closed
	}
	c.differ(kind, p, e.after, func() []string { return []string{"the old server: " + c.text(e), "the broker:     " + c.text(x)} })
}

// alone counts what only the server of the side s has sent.
func (c *comparer) alone(p *pair, s *side, e *entry) {
	kind, who, other := Missing, "the old server", "the broker"
	if s == &p.new {
		kind, who, other = Extra, other, who
	}
	if !e.closing {
		c.differ(kind, p, e.after, func() []string { return []string{"only " + who + ": " + c.text(e)} })
		return
	}
	c.differ(Closed, p, e.after, func() []string { return []string{who + ": " + c.text(e), other + " has not ended the connection"} })
	c.stopComparing(p)
	c.dropTwin(p)
}

// text writes an entry for people, without credentials.
func (c *comparer) text(e *entry) string {
	switch {
	case e.frame:
		return c.out.censor.Closing(true, e.data)
	case e.closing:
		return "<end, without a close frame"
	case len(e.data) == 0:
		return fmt.Sprintf("an empty message, opcode %d", e.op)
	}
	return c.out.censor.Message(true, e.op, e.data)
}
