package network

import "time"

// tick is the resolution of the timers.
const tick = 100 * time.Millisecond

// wheelSlots is the number of slots; a later deadline waits in its slot for more
// than one round.
const wheelSlots = 512

// ticksOf converts a duration, rounded up, so that no timer fires early. 0 stays 0.
func ticksOf(d time.Duration) uint32 { return uint32((d + tick - 1) / tick) }

// wheel is a hashed timer wheel of connections. Setting, moving and removing a
// timer are O(1). Owned by one loop.
type wheel struct {
	slots [wheelSlots]*conn // heads of doubly linked lists
	now   uint32            // the last tick that was handled

	expired []*conn // scratch of advance
}

func (w *wheel) init(now uint32) { w.now = now }

// set puts c into the slot of tick due.
func (w *wheel) set(c *conn, due uint32) {
	w.remove(c)
	if int32(due-w.now) <= 0 {
		due = w.now + 1
	}
	c.timer.due, c.timer.armed = due, true
	head := &w.slots[due%wheelSlots]
	c.timer.prev, c.timer.next = nil, *head
	if *head != nil {
		(*head).timer.prev = c
	}
	*head = c
}

// remove takes c out, if it is in.
func (w *wheel) remove(c *conn) {
	if !c.timer.armed {
		return
	}
	if c.timer.prev != nil {
		c.timer.prev.timer.next = c.timer.next
	} else {
		w.slots[c.timer.due%wheelSlots] = c.timer.next
	}
	if c.timer.next != nil {
		c.timer.next.timer.prev = c.timer.prev
	}
	c.timer.prev, c.timer.next, c.timer.armed = nil, nil, false
}

// advance moves the wheel to now and calls expire for every connection that is
// due, after it was taken out; expire may set, move and remove any timers.
func (w *wheel) advance(now uint32, expire func(*conn)) {
	if now-w.now > wheelSlots {
		// Far behind: every slot is looked at once.
		w.now = now - wheelSlots
	}
	w.expired = w.expired[:0]
	for w.now != now {
		w.now++
		for c := w.slots[w.now%wheelSlots]; c != nil; {
			next := c.timer.next
			if int32(c.timer.due-now) <= 0 {
				w.remove(c)
				w.expired = append(w.expired, c)
			}
			c = next
		}
	}
	for i, c := range w.expired {
		w.expired[i] = nil
		expire(c)
	}
}

// timer is a connection's place in the wheel.
type timer struct {
	next, prev *conn
	due        uint32
	armed      bool
}
