package network

import (
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/timers"
)

// readAtOnce is how many bytes are parsed at once for a connection with a byte rate limit.
const readAtOnce = 16 << 10

// meter measures what a connection has sent recently. Only connections of endpoints with
// rates have one. Owned by the loop.
type meter struct {
	messages, bytes bucket
	due             uint32 // ticks until which the connection is held, if it is throttled
}

// charge counts what the client has sent, and holds the connection if the client was faster
// than its limits.
func (c *conn) charge(messages, bytes int) {
	l := c.ep.Limits.Get()
	if l.Messages.Amount == 0 && l.Bytes.Amount == 0 || !c.isOpen() {
		return
	}
	if c.meter == nil {
		c.meter = &meter{messages: newBucket(), bytes: newBucket()}
	}
	now := time.Since(c.ep.server.started)
	wait := max(use(&c.meter.messages, l.Messages, now, messages), use(&c.meter.bytes, l.Bytes, now, bytes))
	if wait > 0 {
		c.waitFor(wait)
	}
}

// use takes n from b and returns how long to wait for more; 0 without a rate.
func use(b *bucket, r core.Rate, now time.Duration, n int) time.Duration {
	if r.Amount == 0 {
		return 0
	}
	b.take(r, now, n)
	return b.wait(r, now)
}

// waitFor holds the connection for d.
func (c *conn) waitFor(d time.Duration) {
	m := c.meter
	// The wait is at most a day, even if the client has exceeded its rate by more.
	m.due = c.loop.ticks.Load() + timers.Ticks(min(d, 24*time.Hour))
	if !c.in.holds.has(throttled) {
		c.ep.Stats.Throttled.Add(1)
		c.hold(throttled)
	}
	if due, armed := c.timer.Armed(); !armed || int32(m.due-due) < 0 {
		c.loop.wheel.Set(c, m.due)
	}
}

// endWait ends the throttling wait if it is over.
func (c *conn) endWait(now uint32) {
	if c.in.holds.has(throttled) && int32(now-c.meter.due) >= 0 {
		c.release(throttled)
	}
}

// sleep sets the timer to wait ticks from now, or to the end of the connection's wait
// if that is earlier.
func (c *conn) sleep(now, wait uint32) {
	if c.in.holds.has(throttled) {
		wait = min(wait, c.meter.due-now)
	}
	if wait != never {
		c.loop.wheel.Set(c, now+wait)
	}
}
