package claims

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/polywire/polywire/core"
)

const (
	// RenewParts is how many times as long as the pause between two renewals a lease lasts.
	RenewParts = 6
	// safetyParts is the part of its time by which a node holds its lease for lost before it
	// ends for the others.
	safetyParts = 10
	// guardPause is how often a node looks whether it still has its lease.
	guardPause = 50 * time.Millisecond
	// maxRetired bounds the leases that are ended when the cluster is back.
	maxRetired = 16
)

// Lease returns the lease of this node, which may be over already; empty is none.
func (c *Channels) Lease() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lease
}

// Holds reports whether this node has a lease that is not over. It takes no lock: the owners of
// channels ask it for each message, since Guard looks only now and then, and not at all while the
// process stands still.
func (c *Channels) Holds() bool { return time.Since(c.began) < time.Duration(c.until.Load()) }

// Renewal is what the register is to be asked for.
type Renewal struct {
	Lease string
	// New says that this node has no lease, and never had this one; it may have asked for it.
	New bool
	// Ended are leases of this node that the register may still have. They end before a new one
	// begins: what was lost for this node is free for the others then, before it claims again.
	Ended []string
}

// Renewal returns the lease to ask for; ok is false if there is none any more.
func (c *Channels) Renewal() (r Renewal, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return r, false
	}
	if c.lease != "" {
		return Renewal{Lease: c.lease}, true
	}
	if c.coming == "" {
		c.counter++
		c.coming = string(c.id) + "-" + strconv.FormatUint(c.counter, 10)
	}
	return Renewal{Lease: c.coming, New: true, Ended: slices.Clone(c.retired)}, true
}

// Renewed says that the register has the lease, and for how long, counted from when it was asked. It
// reports false if this node has given the lease up meanwhile, or is about to.
func (c *Channels) Renewed(r Renewal, asked time.Time, lasts time.Duration) bool {
	if r.New {
		// Until the engine was told of all that is lost, there is no lease by which it would hold
		// that for its own.
		c.nodes.Tell.Lock()
		defer c.nodes.Tell.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.New {
		c.retired, c.coming = c.retired[min(len(r.Ended), len(c.retired)):], ""
	} else if c.lease != r.Lease || !c.Holds() {
		return false // if it is over, others may have got channels before it was renewed
	}
	c.lease = r.Lease
	c.until.Store(int64(asked.Add(lasts - lasts/safetyParts).Sub(c.began)))
	c.notify()
	return true
}

// Retire notes a lease that this node does not have, but the register may: it is ended. A new one has
// another name.
func (c *Channels) Retire(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retire(id)
	if c.coming == id {
		c.coming = ""
	}
}

func (c *Channels) retire(id string) {
	if c.retired = append(c.retired, id); len(c.retired) > maxRetired {
		c.retired = c.retired[1:] // it has ended by itself long since
	}
}

// Guard gives the lease up when it could not be renewed, until ctx ends. It runs also while there is
// no connection.
func (c *Channels) Guard(ctx context.Context) {
	ticker := time.NewTicker(guardPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if c.over() {
			c.nodes.Tell.Lock()
			if c.over() {
				c.Lose()
			}
			c.nodes.Tell.Unlock()
		}
	}
}

func (c *Channels) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lease != "" && !c.Holds()
}

// LeaseEnded says that a lease has ended in the register. It is called with Roster.Tell held.
func (c *Channels) LeaseEnded(id string) {
	if id == c.Lease() {
		c.Lose()
	}
}

// Lose gives the lease up, and all channels with it. It is called with Roster.Tell held.
func (c *Channels) Lose() {
	c.mu.Lock()
	if c.lease == "" || c.closed {
		c.mu.Unlock()
		return
	}
	c.retire(c.lease)
	c.lease = ""
	c.until.Store(0)
	all := InOrder(slices.Collect(maps.Values(c.mine)))
	clear(c.mine)
	for _, cl := range c.pending {
		c.decide(cl, core.Failure{Code: core.Unreachable, Text: "this node was cut off from the cluster meanwhile"})
	}
	c.queue = slices.DeleteFunc(c.queue, func(t *Task) bool { return t.claim == nil })
	c.notify()
	c.mu.Unlock()
	c.log.Warn("this node could not renew its lease in the cluster: its channels are lost", slog.Int("channels", len(all)))
	for _, e := range all {
		c.lost(e)
	}
}

// Leave ends all claims, for ever, and returns the lease, which is to be ended; empty is none.
func (c *Channels) Leave() (lease string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, t := range c.queue {
		if t.claim != nil {
			c.decide(t.claim, failureLeaving)
		}
	}
	for _, cl := range c.pending {
		c.decide(cl, failureLeaving)
	}
	c.queue = nil
	c.notify()
	return c.lease
}
