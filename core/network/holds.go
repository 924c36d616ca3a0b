package network

// hold is a reason of the network's own to read no further message of a client.
type hold uint8

const (
	choked      hold = 1 << iota // it does not read what it is answered
	steppedBack                  // what it sent has cost its turn enough: it is in loop.behind
	throttled                    // it sends faster than its endpoint allows
	crowded                      // it waits for room in mailboxes
	decoding                     // a message of it is decoded off the loop
	unopened                     // its format has not said yet how it is greeted
	ordering                     // something must come behind all that was read
	paused                       // too much of it waits for its format
)

// harmless are the holds while which messages that have been read already are carried out.
const harmless = steppedBack | decoding | unopened | ordering | paused

// holds are all reasons to read no further message of a client. The zero value is none.
type holds struct {
	own    hold
	others uint8 // core.Link.Hold, as often as it was not released
}

func (h holds) has(why hold) bool { return h.own&why != 0 }

// any reports whether there is a reason.
func (h holds) any() bool { return h.own != 0 || h.others > 0 }

// carryingOut reports whether there is a reason for which messages that have been read must
// wait too.
func (h holds) carryingOut() bool { return h.own&^harmless != 0 || h.others > 0 }

// ours reports whether it is for a reason of ours that the client is not heard, and not
// because it does not read.
func (h holds) ours() bool { return h.any() && !h.has(choked) }

// hold stops the reading of messages for a reason until release.
func (c *conn) hold(why hold) { c.in.holds.own |= why }

// release ends a hold; nothing happens if there is none. Reading goes on before the turn ends.
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

// released notes that a hold has ended.
func (c *conn) released() {
	if !c.in.holds.any() {
		c.in.deciding = 0
	}
	// The client is not to blame for time that passed while it was not heard.
	c.lastMessage = c.loop.ticks.Load()
	c.lastPong = c.lastMessage
}

// wake has the connection go on with what it has kept before the turn ends.
func (c *conn) wake() {
	if !c.awake {
		c.awake = true
		c.loop.awake = append(c.loop.awake, c)
	}
}

// readOn lets those go on who were woken in this turn. It is called between other work.
func (l *loop) readOn() {
	for i := 0; i < len(l.awake); i++ {
		c := l.awake[i]
		c.awake = false
		c.resume()
	}
	clear(l.awake)
	l.awake = l.awake[:0]
}
