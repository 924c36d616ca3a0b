package engine

import "time"

const (
	// tick is the resolution of deadlines.
	tick = 100 * time.Millisecond
	// wheelSlots is the number of slots; a deadline further away than all of them
	// stays in its slot for more than one round.
	wheelSlots = 1024
)

// wheel is a hashed timer wheel of calls: setting and removing a deadline are O(1),
// and a tick looks at one slot, however many calls wait. Guarded by callTable.mu.
type wheel struct {
	slots [wheelSlots]*call // heads of doubly linked lists
	start time.Time
	now   int64 // the last tick that was handled, counted from start
}

// timer is a call's place in the wheel.
type timer struct {
	next, prev *call
	due        int64 // tick
}

// set puts c where it is found no earlier than at the time due.
func (w *wheel) set(c *call, due time.Time) {
	c.timer.due = max(int64((due.Sub(w.start)+tick-1)/tick), w.now+1)
	head := &w.slots[c.timer.due%wheelSlots]
	c.timer.prev, c.timer.next = nil, *head
	if *head != nil {
		(*head).timer.prev = c
	}
	*head = c
}

// remove takes c out.
func (w *wheel) remove(c *call) {
	if c.timer.prev != nil {
		c.timer.prev.timer.next = c.timer.next
	} else {
		w.slots[c.timer.due%wheelSlots] = c.timer.next
	}
	if c.timer.next != nil {
		c.timer.next.timer.prev = c.timer.prev
	}
	c.timer.prev, c.timer.next = nil, nil
}

// advance appends the calls that are due at now to due. They stay in the wheel.
func (w *wheel) advance(now time.Time, due []*call) []*call {
	to := int64(now.Sub(w.start) / tick)
	// Far behind, every slot is looked at once.
	w.now = max(w.now, to-wheelSlots)
	for w.now < to {
		w.now++
		for c := w.slots[w.now%wheelSlots]; c != nil; c = c.timer.next {
			if c.timer.due <= to {
				due = append(due, c)
			}
		}
	}
	return due
}
