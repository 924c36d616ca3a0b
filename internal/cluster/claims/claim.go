package claims

import (
	"context"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
)

const (
	// patience is how long a claim waits until it can be decided.
	patience = 5 * time.Second
	// lateMargin is how much longer than a lease lasts a claim waits for it to end.
	lateMargin = 3 * time.Second
	// maxServices bounds the names of a channel's services, in bytes.
	maxServices = 512 << 10
)

// claim is a call of Claim. Guarded by Channels.mu.
type claim struct {
	core.Claim
	number  uint64
	grant   func() core.Failure
	done    chan core.Failure // takes one
	decided bool              // done gets, or has got, the outcome
	late    bool              // it waits for the lease of a node that is gone
	waits   bool              // it is late, or what it wants is just being given back
}

// Claim asks for a channel and waits for the outcome; see core.Backplane.
func (c *Channels) Claim(ctx context.Context, wanted core.Claim, grant func() core.Failure) core.Failure {
	services := slices.Compact(slices.Sorted(slices.Values(wanted.Services))) // as the register must have them
	cl := &claim{Claim: core.Claim{Channel: wanted.Channel, Services: services}, grant: grant, done: make(chan core.Failure, 1)}
	if f := c.check(cl); f.Failed() {
		return f
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return failureLeaving
	}
	c.counter++
	cl.number = c.counter
	c.queue = append(c.queue, &Task{claim: cl})
	c.notify()
	c.mu.Unlock()

	timer := time.NewTimer(patience)
	defer timer.Stop()
	for extended := false; ; {
		select {
		case f := <-cl.done:
			return f
		case <-ctx.Done():
		case <-timer.C:
			if more, late := c.patience(cl, extended); more > 0 {
				extended = extended || late
				timer.Reset(more)
				continue
			}
		}
		if f, given := c.abandon(cl); given {
			return f
		}
		return <-cl.done
	}
}

var failureLeaving = core.Failure{Code: core.Unreachable, Text: "this node is leaving the cluster"}

// check returns why a channel cannot be claimed at all.
func (c *Channels) check(cl *claim) core.Failure {
	size := 0
	for _, s := range cl.Services {
		if !utf8.ValidString(s) {
			return core.Failure{Code: core.Invalid, Text: "the name of a service is not UTF-8"}
		}
		size += len(s)
	}
	if size > maxServices || !c.fits(cl.Channel) {
		return core.Failure{Code: core.Invalid, Text: "the channel's name, or its services, are too long for the cluster"}
	}
	return core.Failure{}
}

// patience returns how much longer a claim may wait: until the lease of a dead node has ended,
// but only once; and while other claims are decided, as many can come at once.
func (c *Channels) patience(cl *claim, again bool) (more time.Duration, late bool) {
	lease := c.register.LeaseTime()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case cl.late && !again:
		return lease - patience + lateMargin, true
	case !cl.late && time.Since(c.progress) < patience:
		return patience, false
	}
	return 0, cl.late
}

// abandon ends a claim that is not decided; given is false if it is. If it is in the register
// nevertheless, it is released when it is read there.
func (c *Channels) abandon(cl *claim) (f core.Failure, given bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cl.decided {
		return core.Failure{}, false
	}
	cl.decided = true
	delete(c.pending, cl.number)
	c.queue = slices.DeleteFunc(c.queue, func(t *Task) bool { return t.claim == cl })
	f = core.Failure{Code: core.Unreachable, Text: "the cluster did not decide in time who owns the channel"}
	if cl.late {
		f.Text = "the channel belongs to a node that is gone, and its lease has not ended yet"
	} else if err := c.health.Err(); err != nil {
		f.Text = err.Error()
	}
	return f, true
}

// decide ends a claim. It is called with mu held.
func (c *Channels) decide(cl *claim, f core.Failure) {
	delete(c.pending, cl.number)
	if !cl.decided {
		cl.decided = true
		cl.done <- f
	}
}

// Conflict is why a claim cannot be given: because of what a node has already.
type Conflict struct {
	By core.NodeID // empty if it is not known
	core.Failure
}

// ConflictOver says that a node has the channel itself.
func ConflictOver(by core.NodeID) *Conflict {
	return &Conflict{by, core.Failure{Code: core.Taken, Text: "the channel belongs to a client of node " + string(by)}}
}

// ConflictWith says that a node has what the channel lies in, or what lies in it; other is how that
// is called.
func ConflictWith(other string, by core.NodeID) *Conflict {
	return &Conflict{by, core.Failure{
		Code: core.NotOwner, Text: fmt.Sprintf("the channel and %s, which belongs to a client of node %s, lie in one another", other, by),
	}}
}
