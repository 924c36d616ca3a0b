package network

import "time"

// What the input of one connection may cost in a turn: then it goes behind the others.
// The time is for messages that are dear, and generous: it also passes while other
// programs have the processor.
const (
	effortCount = 1000      // messages, control frames, TLS records
	effortBytes = 512 << 10 // of messages, inflated
	effortTime  = 4 * time.Millisecond
)

// effort is what the input of connections has cost their loop in this turn. What comes
// from a socket is a turn of its own.
type effort struct {
	began        time.Time
	count, bytes int
	spent        bool
}

func (e *effort) begin() { *e = effort{began: time.Now()} }

// add counts a message of so many bytes, or what costs about as much.
func (e *effort) add(bytes int) {
	e.count++
	e.bytes += bytes
	if e.count >= effortCount || e.bytes >= effortBytes {
		e.spent = true
	}
}

// over reports whether the turn has cost enough. It looks at the clock each time: even one
// message can be dear.
func (e *effort) over() bool {
	e.spent = e.spent || time.Since(e.began) > effortTime
	return e.spent
}

// stepBack puts the connection behind the others: it is held until its next turn.
func (c *conn) stepBack() {
	if c.in.holds.has(steppedBack) || !c.isOpen() {
		return
	}
	c.hold(steppedBack)
	c.loop.behind = append(c.loop.behind, c)
	c.loop.askLater(0)
}

// isBehind reports whether nothing more is looked at until the connection's next turn.
func (c *conn) isBehind() bool { return c.in.holds.has(steppedBack) && c.isOpen() }

// stepForward is the next turn of a connection that had stepped back.
func (c *conn) stepForward() {
	if c.state != ended {
		c.in.holds.own &^= steppedBack
		c.released()
		c.resume()
	}
}

// serveBehind gives those their turn who have stepped back, all together no more of it
// than one has.
func (l *loop) serveBehind() {
	if len(l.behind) == 0 {
		return
	}
	l.effort.begin()
	for n := len(l.behind); n > 0 && !l.effort.spent; n-- {
		c := l.behind[0]
		l.behind[0] = nil
		l.behind = l.behind[1:]
		c.stepForward()
	}
	if len(l.behind) == 0 {
		l.behind = nil
		return
	}
	l.askLater(0)
}
