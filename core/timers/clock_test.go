package timers

import (
	"testing"
	"time"
)

// TestClock: the clock follows the machine's, and skips what exceeds a second between two
// calls of Look. Broken versions: Look without lost; Due that does not subtract it, or rounds
// down.
func TestClock(t *testing.T) {
	start := time.Now()
	at := func(d time.Duration) time.Time { return start.Add(d) }
	const ms = time.Millisecond
	for _, tt := range []struct {
		name       string
		looks      []time.Duration
		want, lost uint32
		due        time.Duration
		dueAt      uint32
	}{
		{"at first", []time.Duration{0}, 0, 0, 0, 0},
		{"between two ticks", []time.Duration{199 * ms}, 1, 0, 201 * ms, 3},
		{"on a tick", []time.Duration{200 * ms}, 2, 0, 300 * ms, 3},
		{"a gap of a second", []time.Duration{200 * ms, 1200 * ms}, 12, 0, 2 * time.Second, 20},
		{"a longer one", []time.Duration{200 * ms, time.Hour}, 12, 36000 - 12, time.Hour + time.Second, 22},
		{"several", []time.Duration{5 * time.Second, 10 * time.Second, 10100 * ms}, 21, 80, 10200 * ms, 22},
		{"before the start", []time.Duration{-time.Second}, 0, 0, -time.Second, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c Clock
			c.Start(at(0), at(0))
			var got uint32
			for _, d := range tt.looks {
				got = c.Look(at(d))
			}
			if got != tt.want || c.Lost() != tt.lost {
				t.Errorf("tick %d, %d lost; want %d, %d", got, c.Lost(), tt.want, tt.lost)
			}
			if due := c.Due(at(tt.due)); due != tt.dueAt {
				t.Errorf("due at tick %d, want %d", due, tt.dueAt)
			}
		})
	}
	// A clock whose loop has begun later than the server.
	var c Clock
	c.Start(at(0), at(time.Minute))
	if got := c.Look(at(time.Minute + 100*ms)); got != 601 || c.Lost() != 0 {
		t.Errorf("tick %d, %d lost; want 601, 0", got, c.Lost())
	}
}
