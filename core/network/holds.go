package network

// hold is a reason of the network to read no further message from a client.
type hold uint8

const (
	choked      hold = 1 << iota // it does not read its answers
	steppedBack                  // its input has used up the effort of the turn: it is in loop.behind
	throttled                    // it sends faster than its endpoint allows
	crowded                      // it waits for room in mailboxes
	decoding                     // its message is being decoded off the loop
	unopened                     // its format has not returned the greeting yet
	ordering                     // a control frame or an error waits until all earlier input is carried out
	paused                       // its codec, in another process, has too many of its messages pending
)

// readOnly are the holds that stop only the reading: messages that have been read already are
// carried out.
const readOnly = steppedBack | decoding | unopened | ordering | paused

// holds is the set of reasons to read no further message from a client. The zero value is empty.
type holds struct {
	own    hold
	others uint8 // calls of core.Link.Hold that are not released
}

func (h holds) has(why hold) bool { return h.own&why != 0 }

// any reports whether there is a reason.
func (h holds) any() bool { return h.own != 0 || h.others > 0 }

// stopCarryingOut reports whether messages that have been read already must wait too.
func (h holds) stopCarryingOut() bool { return h.own&^readOnly != 0 || h.others > 0 }

// hold stops the reading of messages until release is called with the same reason.
func (c *conn) hold(why hold) { c.in.holds.own |= why }

// release ends a hold; it does nothing if there is none. Reading resumes before the turn ends.
func (c *conn) release(why hold) {
	if c.in.holds.has(why) {
		c.in.holds.own &^= why
		c.released()
		c.wake()
	}
}

// Hold stops the reading of messages.
func (c *conn) Hold() { c.in.holds.others++ }

// Release ends Hold.
func (c *conn) Release() {
	c.in.holds.others--
	c.released()
	c.wake()
}

// releaseNow is release, but reading resumes before it returns. Only the loop calls it, between
// other work.
func (c *conn) releaseNow(why hold) {
	c.release(why)
	c.loop.readOn()
}

// released updates what depends on the holds after one has ended.
func (c *conn) released() {
	if !c.in.holds.any() {
		c.in.deciding = 0
		c.forgetSaid()
	}
	// Time in which the client was not read from does not count against it.
	c.lastMessage = c.loop.ticks.Load()
	c.lastPong = c.lastMessage
}

// wake makes the connection resume with its kept input before the turn ends.
func (c *conn) wake() {
	if !c.awake {
		c.awake = true
		c.loop.awake = append(c.loop.awake, c)
	}
}

// readOn resumes the connections that were woken in this turn. It is called between other work.
func (l *loop) readOn() {
	for i := 0; i < len(l.awake); i++ {
		c := l.awake[i]
		c.awake = false
		c.resume()
	}
	clear(l.awake)
	l.awake = l.awake[:0]
}
