package network

import "time"

// The bounds on the work for one connection's input in a turn; over them it goes behind
// the other connections. The time is for expensive messages. It is generous, because it also
// passes while other programs have the processor.
const (
	effortCount = 1000      // messages, control frames, TLS records
	effortBytes = 512 << 10 // of messages, inflated
	effortTime  = 4 * time.Millisecond
)

// effort is the work that input has cost a loop in this turn. Each read from a socket is a
// turn of its own.
type effort struct {
	began        time.Time
	count, bytes int
	spent        bool
}

func (e *effort) begin() { *e = effort{began: time.Now()} }

// add counts a message of that many bytes, or something that costs about as much.
func (e *effort) add(bytes int) {
	e.count++
	e.bytes += bytes
	if e.count >= effortCount || e.bytes >= effortBytes {
		e.spent = true
	}
}

// over reports whether the turn has used up its effort. It reads the clock each time: even
// one message can be expensive.
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

// isBehind reports whether no more input is handled until the connection's next turn.
func (c *conn) isBehind() bool { return c.in.holds.has(steppedBack) && c.isOpen() }

// stepForward is the next turn of a connection that had stepped back.
func (c *conn) stepForward() {
	if c.state != ended {
		c.releaseNow(steppedBack)
	}
}

// serveBehind gives the connections that have stepped back their turn. Together they get no
// more effort than one connection.
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
