package network

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/timers"
)

// startTimers arms the timers of a new connection.
func (c *conn) startTimers() {
	now := c.loop.ticks.Load()
	c.opened = now + c.loop.clock.Lost()
	c.lastMessage, c.lastPong, c.nextPing = now, now, now+c.settings.pingTicks
	c.rearm(now)
}

// expire is called by the wheel when the connection's timer is due. Activity does
// not move the timer; it is checked here.
func (c *conn) expire() {
	if c.state == ended {
		return
	}
	defer c.ep.server.recovered(c)
	now := c.loop.ticks.Load()
	c.fallDue(now)
	c.rearm(now)
}

// fallDue does what is due.
func (c *conn) fallDue(now uint32) {
	if !c.isOpen() {
		if int32(now-c.cutAt) >= 0 {
			c.cut()
		}
		return
	}
	c.endWait(now)
	set := c.settings
	switch {
	case c.user != nil && c.user.Expired(time.Now()):
		c.sayGoodbye(core.ReasonExpired)
	case c.unheard():
		// Its silence means nothing.
	case set.idleTicks > 0 && int32(now-c.idleAt()) >= 0:
		c.sayGoodbye(core.ReasonIdle)
	case set.pongTicks > 0 && now-c.lastPong >= set.pongTicks:
		c.sayGoodbye(core.ReasonNoPong)
	case set.pingTicks > 0 && int32(now-c.nextPing) >= 0:
		c.queueOwn(controlFrame(ws.OpPing, nil))
		c.nextPing = now + set.pingTicks
	}
}

// unheard reports whether the broker, for its own reasons, does not read from the client.
func (c *conn) unheard() bool { return c.in.holds.any() && !c.in.holds.has(choked) }

// idleAt returns the tick at which the connection will have been idle for too long, if no
// message comes until then.
func (c *conn) idleAt() uint32 {
	at := c.lastMessage + c.settings.idleTicks
	if check := c.settings.idleCheck; check > 0 {
		late := (at + c.loop.clock.Lost() - c.opened) % check
		if late > 0 {
			at += check - late
		}
	}
	return at
}

// never is a time that no timer is set to.
const never = 1 << 30

// rearm sets the timer to the earliest deadline, in any state of the connection.
func (c *conn) rearm(now uint32) {
	switch {
	case c.state == ended:
		return
	case !c.isOpen():
		c.loop.wheel.Set(c, c.cutAt)
		return
	case c.unheard():
		c.sleep(now, timers.Ticks(time.Second))
		return
	}
	wait := uint32(never)
	if c.settings.idleTicks > 0 {
		wait = min(wait, c.idleAt()-now)
	}
	if t := c.settings.pongTicks; t > 0 {
		wait = min(wait, t-(now-c.lastPong))
	}
	if c.settings.pingTicks > 0 {
		wait = min(wait, c.nextPing-now)
	}
	if u := c.user; u != nil && !u.Expires.IsZero() {
		// The wall clock is read each time, because it may be changed.
		left := min(max(time.Until(u.Expires), timers.Tick), never*timers.Tick)
		wait = min(wait, timers.Ticks(left))
	}
	c.sleep(now, wait)
}
