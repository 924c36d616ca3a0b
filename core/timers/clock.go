package timers

import "time"

// longestGap is the most that a Clock moves on between two looks at it, in ticks.
const longestGap = uint32(time.Second / Tick)

// Clock tells the time in ticks since it was started, but for the time in which nobody could
// look at it, as the process was stopped or its machine stood still: nothing can be said then
// of the silence of a client whose words wait in its socket. Not safe for concurrent use.
type Clock struct {
	start time.Time
	seen  uint32 // ticks since start at the last look
	lost  uint32 // by so much the clock is behind
}

// Start starts the clock: it is 0 at the time at.
func (c *Clock) Start(at, now time.Time) {
	*c = Clock{start: at}
	c.seen = c.since(now)
}

func (c *Clock) since(t time.Time) uint32 { return uint32(max(0, t.Sub(c.start)) / Tick) }

// Look returns the time of the clock when that of the machine is now.
func (c *Clock) Look(now time.Time) uint32 {
	at := c.since(now)
	if gap := at - c.seen; gap > longestGap {
		c.lost += gap - longestGap
	}
	c.seen = at
	return at - c.lost
}

// Lost returns by how many ticks the clock is behind that of the machine.
func (c *Clock) Lost() uint32 { return c.lost }

// Due returns the first tick of the clock that is not before the time t, if the clock loses
// no time until then.
func (c *Clock) Due(t time.Time) uint32 {
	return uint32(max(0, t.Sub(c.start)+Tick-1)/Tick) - c.lost
}
