package claims

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// Register is where the cluster keeps who has which channel, as this node has read it. Any goroutine.
type Register interface {
	// OfNode returns the channels of a node, in the order in which it got them.
	OfNode(n core.NodeID) []*Entry
	// LeaseTime is how long a lease lasts.
	LeaseTime() time.Duration
	// Answers says that clients of this node begin or cease to answer the services of a channel.
	Answers(e *Entry, on bool)
}

// Options are static.
type Options struct {
	ID       core.NodeID
	Register Register
	// Fits reports whether the register can have a channel of this name.
	Fits   func(channel string) bool
	Stats  *core.ClusterStats
	Logger *slog.Logger
	Health *roster.Health
	Roster *roster.Roster
}

// Channels are the channels of this node and its claims for others. Any goroutine, unless it says
// otherwise; no method calls the Register with mu held.
//
// Claims and releases wait in one queue, out of which the loop that asks the register takes them.
type Channels struct {
	// Static after construction, but for cluster, which is static after Start.
	id       core.NodeID
	register Register
	fits     func(string) bool
	stats    *core.ClusterStats
	log      *slog.Logger
	health   *roster.Health
	nodes    *roster.Roster
	cluster  core.Cluster

	began  time.Time      // static
	until  atomic.Int64   // when this node holds the lease for lost, in nanoseconds since began; 0 without one
	owners *roster.Owners // guarded by Roster.Tell

	mu       sync.Mutex
	changed  chan struct{} // closed, and made anew, when anything changes
	lease    string        // the lease of this node, which until is the end of; empty is none
	coming   string        // a lease that is being got
	retired  []string      // leases that were lost, and may still be in the register
	counter  uint64        // of claims and leases
	mine     map[string]*Entry
	pending  map[uint64]*claim // handed out, or registered and not read yet, by their number
	queue    []*Task
	closed   bool
	progress time.Time // when a claim was decided last
}

// New returns channels of a node that has none.
func New(o Options) *Channels {
	c := &Channels{
		id: o.ID, register: o.Register, fits: o.Fits, stats: o.Stats, log: o.Logger, health: o.Health, nodes: o.Roster,
		began: time.Now(), changed: make(chan struct{}), mine: make(map[string]*Entry), pending: make(map[uint64]*claim),
	}
	c.owners = roster.NewOwners(c.holdings)
	return c
}

// Start says which engine is told. It is called once, before all other methods.
func (c *Channels) Start(cluster core.Cluster) {
	c.cluster = cluster
	c.owners.Start(cluster)
}

// Changed returns a channel that is closed as soon as anything changes.
func (c *Channels) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Notify wakes who waits for a change.
func (c *Channels) Notify() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notify()
}

func (c *Channels) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Wait waits until there, which is asked after each change, and reports false if ctx ended before.
func (c *Channels) Wait(ctx context.Context, there func() bool) bool {
	for {
		changed := c.Changed()
		if there() {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// Happened tells the engine what has changed in the register. It is called with Roster.Tell held.
func (c *Channels) Happened(changes []Change) {
	for _, ch := range changes {
		switch {
		case ch.Node == c.id && ch.Owned:
			c.given(ch.Entry)
		case ch.Node == c.id:
			c.taken(ch.Entry)
		case ch.Owned:
			c.owners.Owned(ch.holding())
		default:
			c.owners.Freed(ch.holding())
		}
	}
}

// holding is a channel of another node as the roster has it.
func (e *Entry) holding() roster.Holding {
	type key struct {
		claim uint64
		lease string
	}
	return roster.Holding{Node: e.Node, Claim: core.Claim{Channel: e.Channel, Services: e.Services}, Key: key{e.Claim, e.Lease}}
}

// given handles a channel that the register gives to this node.
func (c *Channels) given(e *Entry) {
	c.mu.Lock()
	if m := c.mine[e.Channel]; m != nil && m.Same(e) {
		c.mine[e.Channel] = e // it was registered again
		c.mu.Unlock()
		return
	}
	if e.Lease != c.lease || c.closed {
		c.mu.Unlock()
		return
	}
	cl := c.pending[e.Claim]
	if cl == nil || cl.decided || cl.Channel != e.Channel {
		c.giveBack(e) // nobody waits for it any more, or somebody has forged it
		c.mu.Unlock()
		return
	}
	delete(c.pending, e.Claim)
	cl.decided, c.progress = true, time.Now()
	c.mu.Unlock()
	f := cl.grant()
	if !f.Failed() {
		c.register.Answers(e, true)
	}
	c.mu.Lock()
	if f.Failed() {
		c.giveBack(e)
	} else {
		c.mine[e.Channel] = e
		c.notify()
	}
	c.mu.Unlock()
	cl.done <- f
}

// taken handles a channel of this node that the register takes away.
func (c *Channels) taken(e *Entry) {
	c.mu.Lock()
	m := c.mine[e.Channel]
	if m == nil || !m.Same(e) || c.closed {
		c.mu.Unlock()
		return
	}
	delete(c.mine, e.Channel)
	c.mu.Unlock()
	c.lost(e)
}

// lost tells the engine of a lost channel.
func (c *Channels) lost(e *Entry) {
	c.register.Answers(e, false)
	c.stats.Lost.Add(1)
	c.cluster.Lost(e.Channel)
}

// Mine returns the channels of this node, in the order in which it got them.
func (c *Channels) Mine() []*Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return InOrder(slices.Collect(maps.Values(c.mine)))
}

// Release gives a channel back.
func (c *Channels) Release(channel string) {
	c.mu.Lock()
	e := c.mine[channel]
	if e != nil {
		delete(c.mine, channel)
		c.giveBack(e)
	}
	c.mu.Unlock()
	if e != nil {
		c.register.Answers(e, false)
	}
}

// giveBack queues a release. It is called with mu held.
func (c *Channels) giveBack(e *Entry) {
	if e.Lease == c.lease {
		c.queue = append(c.queue, &Task{Entry: e})
		c.notify()
	}
}

// Reread says that the whole register was read anew, by a connection of which answers may have been
// lost: what was asked, and is not there, is asked again, and of what this node holds for its own,
// the register has forgotten what is not there. It is called with Roster.Tell held.
func (c *Channels) Reread(now map[string]*Entry) {
	c.mu.Lock()
	for _, cl := range c.pending {
		if e := now[cl.Channel]; e == nil || e.Node != c.id || e.Claim != cl.number {
			delete(c.pending, cl.number)
			if !cl.decided {
				c.queue = append(c.queue, &Task{claim: cl})
			}
		}
	}
	c.notify()
	c.mu.Unlock()
	for _, e := range c.Mine() {
		if there := now[e.Channel]; there == nil || !there.Same(e) {
			c.taken(e)
		}
	}
}

// NodeHeard and NodeGone say that a node can be reached and no longer, which claims wait for. They
// are called with Roster.Tell held.
func (c *Channels) NodeHeard(n core.NodeID) {
	c.owners.Heard(n)
	c.Notify()
}

// NodeGone is the opposite of NodeHeard.
func (c *Channels) NodeGone(n core.NodeID) {
	c.owners.Gone(n)
	c.Notify()
}

// holdings returns the channels of a node.
func (c *Channels) holdings(n core.NodeID) (all []roster.Holding) {
	for _, e := range c.register.OfNode(n) {
		all = append(all, e.holding())
	}
	return all
}
