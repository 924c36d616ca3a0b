package network

import "time"

// longestTurn is the most that a loop's clock moves on between two looks at it, in ticks.
const longestTurn = uint32(time.Second / tick)

// clock is the time of a loop, in ticks. It goes by the server's, but for the time in which
// the loop could not look at its sockets, as the process was stopped or the machine stood
// still: nothing can be said of the silence of a client whose words wait in its socket, and
// a ping that was not sent is not answered. Owned by the loop.
type clock struct {
	seen uint32 // the server's time at the last look
	lost uint32 // by so much the loop's time is behind
}

// look returns the time of the loop when the server's is now.
func (c *clock) look(now uint32) uint32 {
	if gap := now - c.seen; gap > longestTurn {
		c.lost += gap - longestTurn
	}
	c.seen = now
	return now - c.lost
}
