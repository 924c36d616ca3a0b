package engine

import (
	"cmp"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/timers"
)

const (
	// defaultMaxCalls bounds the unanswered calls of one connection whose endpoint
	// has no bound of its own.
	defaultMaxCalls = 1024
	// maxAsked bounds the requests that one connection has not answered.
	maxAsked = 1 << 16
	// defaultMaxServiceCalls bounds the unanswered calls of one service that
	// connections offer, unless Options say otherwise.
	defaultMaxServiceCalls = 1 << 16
)

// The bounds of what Go handlers are given, and hold until they return, in bytes.
const (
	defaultCallBudget = 256 << 20
	maxShare          = 8        // the part of the budget that one connection has, or one call
	minHeld           = 64 << 10 // what a connection has in any case
)

// desk is a peer's calls. Guarded by callTable.mu.
type desk struct {
	asking callList // it waits for these answers
	asked  callList // it is waited for
	held   int      // bytes that Go handlers have of it
}

// callTable has all calls that wait for their answers. Any goroutine.
type callTable struct {
	// Static after construction.
	perService int // the bound of service.unanswered
	budget     int // the bound of held

	// Guarded by mu.
	mu     sync.Mutex
	byID   map[core.CallID]*call
	clock  timers.Clock
	wheel  timers.Wheel[call, *call]
	ids    callIDs
	held   int // bytes that Go handlers have
	closed bool
}

func (t *callTable) init(now time.Time, o Options) {
	t.perService, t.budget = cmp.Or(o.MaxServiceCalls, defaultMaxServiceCalls), cmp.Or(o.CallBudget, defaultCallBudget)
	t.byID = make(map[core.CallID]*call)
	t.clock.Start(now, now)
}

// add gives c an id, which it returns, and keeps c until it is taken, or for timeout from
// now. The refusal is refusedGone if the answerer left before it could be asked.
func (t *callTable) add(c *call, now time.Time, timeout time.Duration) (core.CallID, refusal) {
	limit := c.caller.endpoint.Limits.Get().Calls
	if limit <= 0 {
		limit = defaultMaxCalls
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return core.CallID{}, refusedShutdown
	case c.caller.atDesk().asking.size >= limit:
		return core.CallID{}, refusedTooMany
	case c.asked != nil && c.asked.closed:
		return core.CallID{}, refusedGone
	case c.asked != nil && (c.service.unanswered >= t.perService || c.asked.atDesk().asked.size >= maxAsked):
		return core.CallID{}, refusedBusy
	case c.asked == nil && !t.room(c):
		return core.CallID{}, refusedHeld
	}
	t.held += c.held
	c.caller.atDesk().held += c.held
	c.id = t.ids.next()
	t.byID[c.id] = c
	t.clock.Look(now)
	t.wheel.Set(c, t.clock.Due(now.Add(timeout)))
	c.caller.desk.asking.push(c, byCaller)
	if c.asked != nil {
		c.asked.desk.asked.push(c, byAsked)
		c.service.unanswered++
	}
	return c.id, refusal{}
}

// atDesk returns p.desk, made if need be. The caller holds mu.
func (p *peer) atDesk() *desk {
	if p.desk == nil {
		p.desk = new(desk)
	}
	return p.desk
}

// finished takes c out, whose Go handler has returned. It reports false if c is not
// there: somebody else took it out, or it is one-way.
func (t *callTable) finished(c *call) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held -= c.held
	if d := c.caller.desk; d != nil {
		d.held -= c.held
	}
	if t.byID[c.id] != c {
		return false
	}
	t.remove(c)
	return true
}

// hold counts what the Go handler of a one-way call is given; finished ends that.
func (t *callTable) hold(c *call) refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return refusedShutdown
	case !t.room(c):
		return refusedHeld
	}
	t.held += c.held
	c.caller.desk.held += c.held
	return refusal{}
}

// room reports whether a Go handler may be given what c holds: within the budget, of which
// one connection has a part, but for a little that each may always have. The caller holds
// mu.
func (t *callTable) room(c *call) bool {
	own := c.caller.atDesk().held
	switch {
	case own+c.held <= minHeld:
		return true
	case own > 0 && own+c.held > t.budget/maxShare:
		return false
	}
	return t.held == 0 || t.held+c.held <= t.budget
}

// takeAsked takes out the call that answerer p names, or returns nil if p was not
// asked that. service is what p calls it; nil is not compared.
func (t *callTable) takeAsked(id core.CallID, p *peer, service []byte) *call {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.byID[id]
	if c == nil || c.asked != p || service != nil && !c.isFor(p, service) {
		return nil
	}
	t.remove(c)
	return c
}

// leave takes out all calls of a peer that is gone: those that it made, and those
// that it was asked by others.
func (t *callTable) leave(p *peer) (asking, asked []*call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.closed = true
	if p.desk == nil {
		return nil, nil
	}
	asking = t.empty(&p.desk.asking)
	asked = t.empty(&p.desk.asked)
	p.desk = nil
	return asking, asked
}

// empty takes out all calls of a list. The caller holds mu.
func (t *callTable) empty(l *callList) []*call {
	all := make([]*call, 0, l.size)
	for l.head != nil {
		all = append(all, l.head)
		t.remove(l.head)
	}
	return all
}

// expire takes out the calls whose time is up. Time in which the process stood still does
// not count: answers that came meanwhile are heard first.
func (t *callTable) expire(now time.Time) (due []*call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wheel.Advance(t.clock.Look(now), func(c *call) {
		t.remove(c)
		due = append(due, c)
	})
	return due
}

// refuse makes the table take no further call.
func (t *callTable) refuse() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// close takes out all calls; none can be added any more.
func (t *callTable) close() []*call {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	all := make([]*call, 0, len(t.byID))
	for _, c := range t.byID {
		t.remove(c)
		all = append(all, c)
	}
	return all
}

// remove takes c out. The caller holds mu.
func (t *callTable) remove(c *call) {
	delete(t.byID, c.id)
	t.wheel.Remove(c)
	c.caller.desk.asking.remove(c, byCaller)
	if c.asked != nil {
		c.asked.desk.asked.remove(c, byAsked)
		c.service.unanswered--
	}
}

// isClosed reports whether close was called.
func (t *callTable) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

func (t *callTable) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byID)
}
