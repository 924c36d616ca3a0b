package network

import (
	"math/rand/v2"
	"testing"
)

// TestWheel sets, moves and removes random timers and compares what expires at
// each tick with a plain list.
func TestWheel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var w wheel
	w.init(7)
	now := uint32(7)
	due := map[*conn]uint32{}
	conns := make([]*conn, 200)
	for i := range conns {
		conns[i] = new(conn)
	}
	for range 20_000 {
		c := conns[rnd.IntN(len(conns))]
		switch rnd.IntN(4) {
		case 0:
			w.remove(c)
			delete(due, c)
		case 1:
			now += uint32(rnd.IntN(3))
			if rnd.IntN(500) == 0 {
				now += 3 * wheelSlots
			}
			w.advance(now, func(c *conn) {
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
			d := now + 1 + uint32(rnd.IntN(2*wheelSlots))
			w.set(c, d)
			due[c] = d
		}
	}
}
