package claims

import (
	"slices"
	"time"

	"github.com/polywire/polywire/core"
)

// Task is a claim or a release that the register is to be asked for.
type Task struct {
	// Entry is what the register is to have, or to have no longer. It is static once the task was
	// handed out.
	*Entry
	claim *claim // nil for a release
}

// Claims reports whether it is a claim.
func (t *Task) Claims() bool { return t.claim != nil }

// Next takes the first task out of the queue that can be done now; nil if there is none, or no lease.
// conflict, which may be nil, returns why a channel cannot be given, if that is known; it is called
// with a lock held, and calls nothing of Channels. On the way claims are decided that are lost.
// A task that was taken ends by Refuse, Blocked, Back, or if it is done by nothing.
func (c *Channels) Next(conflict func(channel string) *Conflict) *Task {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.Holds() {
		return nil
	}
	for i := 0; i < len(c.queue); {
		t := c.queue[i]
		if t.claim != nil && conflict != nil {
			if found := conflict(t.claim.Channel); found != nil {
				if c.blocked(t.claim, found) {
					i++
				} else {
					c.queue = slices.Delete(c.queue, i, i+1)
				}
				continue
			}
			t.claim.late, t.claim.waits = false, false
		}
		c.queue = slices.Delete(c.queue, i, i+1)
		if cl := t.claim; cl != nil {
			t.Entry = &Entry{Channel: cl.Channel, Node: c.id, Lease: c.lease, Claim: cl.number, Services: cl.Services}
			c.pending[cl.number] = cl
		}
		return t
	}
	return nil
}

// blocked decides a claim that is lost, and reports whether it waits instead: until what it wants is
// given back by this node, or until the lease of a node that is gone has ended. It is called with mu
// held.
func (c *Channels) blocked(cl *claim, why *Conflict) (waits bool) {
	switch {
	case why.By == c.id && c.mine[cl.Channel] == nil: // it is being given back, or granted
		cl.waits = true
		return true
	case why.By != c.id && why.By != "" && !c.nodes.Known(why.By):
		cl.late, cl.waits = true, true
		return true
	}
	c.progress = time.Now()
	c.decide(cl, why.Failure)
	return false
}

// Blocked says that the register has refused a claim because of a conflict. It reports whether there
// are tasks that need not wait for something to change.
func (c *Channels) Blocked(t *Task, why *Conflict) (others bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, t.claim.number)
	if !t.claim.decided && c.blocked(t.claim, why) {
		c.queue = append(c.queue, t)
	}
	return c.any()
}

// Late says that the register decides a claim only when a lease has ended. It reports whether there
// are tasks that need not wait for something to change.
func (c *Channels) Late(t *Task) (others bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, t.claim.number)
	if !t.claim.decided {
		t.claim.late, t.claim.waits = true, true
		c.queue = append(c.queue, t)
	}
	return c.any()
}

// any reports whether there are tasks that do not wait. It is called with mu held.
func (c *Channels) any() bool {
	return slices.ContainsFunc(c.queue, func(t *Task) bool { return t.claim == nil || !t.claim.waits })
}

// Refuse ends a claim. If it is in the register nevertheless, it is given back when it is read.
func (c *Channels) Refuse(t *Task, f core.Failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.decide(t.claim, f)
}

// Back puts a task that was not done at the beginning of the queue.
func (c *Channels) Back(t *Task) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.claim != nil {
		delete(c.pending, t.claim.number)
		if t.claim.decided {
			return
		}
	} else if t.Lease != c.lease {
		return
	}
	c.queue = slices.Insert(c.queue, 0, t)
}

// Queued reports whether there are tasks, and whether there are releases among them.
func (c *Channels) Queued() (tasks, releases bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue) > 0, slices.ContainsFunc(c.queue, func(t *Task) bool { return t.claim == nil })
}
