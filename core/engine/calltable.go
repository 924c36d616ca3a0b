package engine

import (
	"context"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
)

const (
	// defaultMaxCalls bounds the unanswered calls of one connection whose endpoint
	// has no bound of its own.
	defaultMaxCalls = 1024
	// maxAsked bounds the requests that one connection has not answered.
	maxAsked = 1 << 16
)

// call is one call that waits for its answer. Whoever takes it out of the table ends
// it; nobody else does.
type call struct {
	// Static after callTable.add.
	id      core.CallID
	caller  *peer
	asked   *peer              // nil if a Go handler is asked
	cancel  context.CancelFunc // of the Go handler; else nil
	service string             // whole
	ref     []byte             // ref, topic and as are those of the command
	topic   []byte
	as      uint32

	// Guarded by callTable.mu.
	timer timer
}

// desk is a peer's calls. Guarded by callTable.mu.
type desk struct {
	asking map[*call]struct{} // it waits for these answers
	asked  map[*call]struct{} // it is waited for
}

// callTable has all calls that wait for their answers. Any goroutine.
type callTable struct {
	// Guarded by mu.
	mu     sync.Mutex
	byID   map[core.CallID]*call
	wheel  wheel
	ids    callIDs
	closed bool
}

func (t *callTable) init(now time.Time) {
	t.byID = make(map[core.CallID]*call)
	t.wheel.start = now
}

// add gives c its id and keeps it until it is taken. The refusal is refusedGone if
// the answerer left before it could be asked.
func (t *callTable) add(c *call, due time.Time) refusal {
	limit := c.caller.endpoint.MaxCalls
	if limit <= 0 {
		limit = defaultMaxCalls
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return refusedShutdown
	case len(c.caller.atDesk().asking) >= limit:
		return refusedTooMany
	case c.asked != nil && c.asked.closed:
		return refusedGone
	case c.asked != nil && len(c.asked.atDesk().asked) >= maxAsked:
		return refusedOverload
	}
	c.id = t.ids.next()
	t.byID[c.id] = c
	t.wheel.set(c, due)
	put(&c.caller.desk.asking, c)
	if c.asked != nil {
		put(&c.asked.desk.asked, c)
	}
	return refusal{}
}

// atDesk returns p.desk, made if need be. The caller holds mu.
func (p *peer) atDesk() *desk {
	if p.desk == nil {
		p.desk = new(desk)
	}
	return p.desk
}

func put(set *map[*call]struct{}, c *call) {
	if *set == nil {
		*set = make(map[*call]struct{})
	}
	(*set)[c] = struct{}{}
}

// take takes c out. It reports false if somebody else did.
func (t *callTable) take(c *call) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID[c.id] != c {
		return false
	}
	t.remove(c)
	return true
}

// takeAsked takes out the call that answerer p names, or returns nil if p was not
// asked that. A nil service is not compared.
func (t *callTable) takeAsked(id core.CallID, p *peer, service *string) *call {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.byID[id]
	if c == nil || c.asked != p || service != nil && *service != c.service {
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
	for c := range p.desk.asking {
		t.remove(c)
		asking = append(asking, c)
	}
	for c := range p.desk.asked {
		t.remove(c)
		asked = append(asked, c)
	}
	p.desk = nil
	return asking, asked
}

// expire takes out the calls whose time is up.
func (t *callTable) expire(now time.Time) []*call {
	t.mu.Lock()
	defer t.mu.Unlock()
	due := t.wheel.advance(now, nil)
	for _, c := range due {
		t.remove(c)
	}
	return due
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
	t.wheel.remove(c)
	delete(c.caller.desk.asking, c)
	if c.asked != nil {
		delete(c.asked.desk.asked, c)
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
