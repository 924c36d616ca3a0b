package timers

// slots is the number of slots of a wheel; a deadline further away waits in its slot for more
// than one round.
const slots = 1024

// Wheel is a hashed timer wheel for elements E: setting, moving and removing a timer is
// O(1), and a tick looks at one slot, however many timers wait. The timers are fields of the
// elements, so that none needs an allocation. The zero value is ready at tick 0. Not
// safe for concurrent use.
type Wheel[E any, P Element[E]] struct {
	heads [slots]*E // of doubly linked lists
	now   uint32    // the last tick that was handled
	armed int
	due   []*E // scratch of Advance
}

// Element is a type with a timer.
type Element[E any] interface {
	*E
	// Timer returns the element's timer. Only the wheel uses it.
	Timer() *Timer[E]
}

// Timer is an element's place in a wheel. The zero value is in none.
type Timer[E any] struct {
	next, prev *E
	due        uint32
	armed      bool
}

// Armed reports whether the timer is in a wheel, and for which tick.
func (t *Timer[E]) Armed() (due uint32, armed bool) { return t.due, t.armed }

// Start sets the current tick: Advance handles the ticks after now. The wheel must be empty.
func (w *Wheel[E, P]) Start(now uint32) { w.now = now }

// Len returns how many timers are in the wheel.
func (w *Wheel[E, P]) Len() int { return w.armed }

// Set puts e into the slot of tick due, or of the next tick if due is over.
func (w *Wheel[E, P]) Set(e *E, due uint32) {
	w.Remove(e)
	if int32(due-w.now) <= 0 {
		due = w.now + 1
	}
	head := &w.heads[due%slots]
	*P(e).Timer() = Timer[E]{due: due, armed: true, next: *head}
	if *head != nil {
		P(*head).Timer().prev = e
	}
	*head = e
	w.armed++
}

// Remove takes e out, if it is in.
func (w *Wheel[E, P]) Remove(e *E) {
	t := P(e).Timer()
	if !t.armed {
		return
	}
	if t.prev != nil {
		P(t.prev).Timer().next = t.next
	} else {
		w.heads[t.due%slots] = t.next
	}
	if t.next != nil {
		P(t.next).Timer().prev = t.prev
	}
	*t = Timer[E]{due: t.due}
	w.armed--
}

// Advance moves the wheel to now, removes every element that is due and calls expire for
// it; expire may set, move and remove any timers.
func (w *Wheel[E, P]) Advance(now uint32, expire func(*E)) {
	if now-w.now > slots {
		// Far behind: visit every slot once.
		w.now = now - slots
	}
	due := w.due[:0]
	for w.now != now {
		w.now++
		for e := w.heads[w.now%slots]; e != nil; {
			t := P(e).Timer()
			next := t.next
			if int32(t.due-now) <= 0 {
				w.Remove(e)
				due = append(due, e)
			}
			e = next
		}
	}
	for _, e := range due {
		expire(e)
	}
	clear(due)
	w.due = due
}
