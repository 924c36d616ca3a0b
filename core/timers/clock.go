package timers

import "time"

// longestGap is the most that a Clock advances between two calls of Look, in ticks.
const longestGap = uint32(time.Second / Tick)

// Clock counts ticks since its start, without the time in which the process was stopped or
// its machine suspended. During that time a client's messages waited in its socket, so its
// silence says nothing. Not safe for concurrent use.
type Clock struct {
	start time.Time
	seen  uint32 // ticks since start at the last Look
	lost  uint32 // how much the clock is behind
}

// Start starts the clock: it is 0 at the time at.
func (c *Clock) Start(at, now time.Time) {
	*c = Clock{start: at}
	c.seen = c.since(now)
}

func (c *Clock) since(t time.Time) uint32 { return uint32(max(0, t.Sub(c.start)) / Tick) }

// Look returns the clock's time when the machine's time is now.
func (c *Clock) Look(now time.Time) uint32 {
	at := c.since(now)
	if gap := at - c.seen; gap > longestGap {
		c.lost += gap - longestGap
	}
	c.seen = at
	return at - c.lost
}

// Lost returns how many ticks the clock is behind the machine's.
func (c *Clock) Lost() uint32 { return c.lost }

// Due returns the first tick of the clock that is not before the time t, if the clock loses
// no time until then.
func (c *Clock) Due(t time.Time) uint32 {
	return uint32(max(0, t.Sub(c.start)+Tick-1)/Tick) - c.lost
}
