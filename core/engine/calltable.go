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

// A call has two sides: a caller that waits for its outcome, and an answerer that is to give
// it. The two interfaces below are all that the table, and what ends calls, know of them. A
// connection is both, and a Go handler is an answerer. Another node is both, as caller of what
// its clients ask here, and as answerer of what they are asked.

// caller is who waits for the outcome of calls. Callers are comparable.
type caller interface {
	// callParty returns its part in the table, the same each time. Any goroutine.
	callParty() *party
	// callEnded tells it how c ended, which has left the table. c and o are borrowed. Any
	// goroutine, under no lock, once for each call.
	callEnded(c *call, o outcome)
}

// answerer is who is to answer calls. Answerers are comparable.
type answerer interface {
	// callParty returns its part in the table, the same each time; nil for a Go handler,
	// which does not leave, and whose calls are bounded by places and handlerMemory. Any
	// goroutine.
	callParty() *party
	// callOver says that nobody waits for the answer to c any more, also if it has given
	// one. It comes before callEnded, so that nothing which the answerer does comes after
	// that. Any goroutine, under no lock, at least once for each call.
	callOver(c *call)
}

// party is what the table keeps of one caller or answerer. The zero party is ready.
type party struct {
	// Guarded by callTable.mu.
	calls *partyCalls // nil until the first call: most connections have none
	left  bool        // takes part in no further call
}

// partyCalls are the calls of a party. Guarded by callTable.mu.
type partyCalls struct {
	asking callList // it waits for their outcomes
	asked  callList // it is to answer them
	held   int      // bytes that Go handlers have of its calls
}

// ensureCalls returns p.calls, made if need be. The caller holds callTable.mu.
func (p *party) ensureCalls() *partyCalls {
	if p.calls == nil {
		p.calls = new(partyCalls)
	}
	return p.calls
}

// callTable has all calls that wait for their outcome. It knows their ids, their deadlines
// and their two sides, and counts what they take of the bounds of a service or of Go
// handlers. What is asked and answered it does not look at. Any goroutine.
type callTable struct {
	// Static after construction.
	perService int // the bound of service.unanswered

	// Guarded by mu.
	mu     sync.Mutex
	byID   map[core.CallID]*call
	clock  timers.Clock
	wheel  timers.Wheel[call, *call]
	memory handlerMemory
	closed bool
	far    int // calls of other nodes
	timed  timed
}

func (t *callTable) init(now time.Time, o Options) {
	t.perService = cmp.Or(o.MaxServiceCalls, defaultMaxServiceCalls)
	t.memory.budget = cmp.Or(o.CallBudget, defaultCallBudget)
	t.byID = make(map[core.CallID]*call)
	t.clock.Start(now, now)
}

// of returns how many calls a party waits for, and how many it is to answer.
func (t *callTable) of(p *party) (asking, asked int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.calls == nil {
		return 0, 0
	}
	return p.calls.asking.size, p.calls.asked.size
}

// add gives c an id, unless another node has given it one, and returns the id. It keeps c until
// it is taken out, or for timeout from now. The caller may have limit calls. The refusal is
// refusedGone if the answerer left before it could be asked, and refusedLeft if the caller did.
func (t *callTable) add(c *call, limit int, now time.Time, timeout time.Duration) (core.CallID, refusal) {
	to := c.answerer.callParty()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return core.CallID{}, refusedShutdown
	}
	if c.caller.callParty().left {
		return core.CallID{}, refusedLeft
	}
	from := c.caller.callParty().ensureCalls()
	switch {
	case c.far && t.byID[c.id] != nil:
		return core.CallID{}, refusedKnown
	case from.asking.size >= limit:
		return core.CallID{}, refusedTooMany
	case to == nil:
		if !t.memory.take(from, c.held) {
			return core.CallID{}, refusedHeld
		}
	case to.left:
		return core.CallID{}, refusedGone
	case c.service.unanswered >= t.perService || to.ensureCalls().asked.size >= maxAsked:
		return core.CallID{}, refusedBusy
	}
	if c.id == (core.CallID{}) {
		c.id = core.NewCallID()
	}
	t.byID[c.id] = c
	if t.timed.next(now) {
		c.begun = now
	}
	if c.far {
		t.far++
	}
	t.clock.Look(now)
	t.wheel.Set(c, t.clock.Due(now.Add(timeout)))
	from.asking.push(c, byCaller)
	if to != nil {
		to.calls.asked.push(c, byAsked)
		c.service.unanswered++
	}
	return c.id, refusal{}
}

// hold counts what the Go handler of a one-way call is given, which is not in the table.
func (t *callTable) hold(c *call) refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return refusedShutdown
	case !t.memory.take(c.caller.callParty().ensureCalls(), c.held):
		return refusedHeld
	}
	return refusal{}
}

// finished takes out c, whose Go handler has returned, and counts what that was given as
// free. It reports false if c is not in the table: somebody else took it out, or it is
// one-way.
func (t *callTable) finished(c *call) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.memory.give(c.caller.callParty().calls, c.held)
	if t.byID[c.id] != c {
		return false
	}
	t.remove(c)
	return true
}

// take takes out the call of an id, if it was put to by and fits, which may be nil; else it
// returns nil. fits is called under the lock.
func (t *callTable) take(id core.CallID, by answerer, fits func(*call) bool) *call {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.byID[id]
	if c == nil || c.answerer != by || fits != nil && !fits(c) {
		return nil
	}
	t.remove(c)
	return c
}

// cancel takes out the call of an id, if it was made by from; else it returns nil.
func (t *callTable) cancel(id core.CallID, from caller) *call {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.byID[id]
	if c == nil || c.caller != from {
		return nil
	}
	t.remove(c)
	return c
}

// leave takes out all calls of a party that is gone: those that it asked, and those that it
// was asked by others.
func (t *callTable) leave(p *party) (asking, asked []*call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.left = true
	if p.calls == nil {
		return nil, nil
	}
	asking = t.empty(&p.calls.asking)
	asked = t.empty(&p.calls.asked)
	p.calls = nil
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
	if c.far {
		t.far--
	}
	t.wheel.Remove(c)
	c.caller.callParty().calls.asking.remove(c, byCaller)
	if to := c.answerer.callParty(); to != nil {
		to.calls.asked.remove(c, byAsked)
		c.service.unanswered--
	}
}

// isClosed reports whether the table takes no further call.
func (t *callTable) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// own returns how many calls were made here, and not at another node.
func (t *callTable) own() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byID) - t.far
}

func (t *callTable) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byID)
}
