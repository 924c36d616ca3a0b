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
	slots [wheelSlots]callList
	start time.Time
	now   int64 // the last tick that was handled, counted from start
}

// set puts c where it is found no earlier than at the time due.
func (w *wheel) set(c *call, due time.Time) {
	c.due = max(int64((due.Sub(w.start)+tick-1)/tick), w.now+1)
	w.slots[c.due%wheelSlots].push(c, bySlot)
}

// remove takes c out.
func (w *wheel) remove(c *call) { w.slots[c.due%wheelSlots].remove(c, bySlot) }

// advance appends the calls that are due at now to due. They stay in the wheel.
func (w *wheel) advance(now time.Time, due []*call) []*call {
	to := int64(now.Sub(w.start) / tick)
	// Far behind, every slot is looked at once.
	w.now = max(w.now, to-wheelSlots)
	for w.now < to {
		w.now++
		for c := w.slots[w.now%wheelSlots].head; c != nil; c = c.in[bySlot].next {
			if c.due <= to {
				due = append(due, c)
			}
		}
	}
	return due
}
