package timers

import (
	"math/rand/v2"
	"testing"
)

// thing is an element with a timer.
type thing struct{ timer Timer[thing] }

func (e *thing) Timer() *Timer[thing] { return &e.timer }

// TestWheel sets, moves and removes random timers and compares what expires at
// each tick with a plain list.
func TestWheel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var w Wheel[thing, *thing]
	w.Start(7)
	now := uint32(7)
	due := map[*thing]uint32{}
	things := make([]*thing, 200)
	for i := range things {
		things[i] = new(thing)
	}
	for range 20_000 {
		c := things[rnd.IntN(len(things))]
		switch rnd.IntN(4) {
		case 0:
			w.Remove(c)
			delete(due, c)
		case 1:
			now += uint32(rnd.IntN(3))
			if rnd.IntN(500) == 0 {
				now += 3 * slots
			}
			w.Advance(now, func(c *thing) {
				d, ok := due[c]
				if !ok || d > now {
					t.Fatalf("expired at %d, due %d (%v)", now, d, ok)
				}
				delete(due, c)
			})
			for _, d := range due {
				if d <= now {
					t.Fatalf("due %d has not expired at %d", d, now)
				}
			}
		default:
			d := now + 1 + uint32(rnd.IntN(2*slots))
			w.Set(c, d)
			due[c] = d
		}
		if w.Len() != len(due) {
			t.Fatalf("%d timers are in the wheel, want %d", w.Len(), len(due))
		}
	}
}
