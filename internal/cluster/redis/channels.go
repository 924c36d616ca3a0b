package redis

import (
	"context"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/claims"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// maxChannel bounds the name of a channel.
const maxChannel = 32 << 10

// channels is what the register says of the channels of the cluster, and what of it is for this
// node's own (claims.Channels). Any goroutine, unless it says otherwise.
//
// One goroutine (registrar.run) asks the register: for the lease, for claims and releases one
// after the other, and for everything when events were missed. Events come by the intake; what is
// read there counts, and grants.
type channels struct {
	// Static after construction.
	own    *claims.Channels
	id     core.NodeID
	ttl    time.Duration // of the lease
	stats  *core.ClusterStats
	log    *slog.Logger
	health *roster.Health
	tell   *sync.Mutex // see roster.Roster
	forgot func()      // is called when the server has forgotten what it had; it does not block

	// What is below is guarded by mu; who changes it calls own.Notify.
	mu     sync.Mutex
	view   *view
	live   bool      // view follows the register
	seen   uint64    // the highest event; if it is newer than view, others are missing
	newest uint64    // the revision that the register has answered with last
	reg    *register // nil while there is no connection
}

func newChannels(b *Backplane) *channels {
	c := &channels{
		id: b.id, ttl: b.o.LeaseTTL, stats: b.o.Stats, log: b.o.Logger, health: &b.health, tell: &b.nodes.Tell, view: newView(),
		forgot: func() { b.places.LookAtAll() },
	}
	c.own = claims.New(claims.Options{
		ID: b.id, Register: c, Fits: func(channel string) bool { return len(channel) <= maxChannel && utf8.ValidString(channel) },
		Stats: b.o.Stats, Logger: b.o.Logger, Health: &b.health, Roster: b.nodes,
	})
	return c
}

// LeaseTime is how long a lease lasts.
func (c *channels) LeaseTime() time.Duration { return c.ttl }

// Answers is for nobody: only nodes call services by Redis.
func (c *channels) Answers(*claims.Entry, bool) {}

// OfNode returns the channels of a node, in the order in which it got them.
func (c *channels) OfNode(n core.NodeID) []*claims.Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.view.ofNode(n)
}

// known is the highest revision of which this node has learned.
func (c *channels) known() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := max(c.seen, c.newest)
	if c.live {
		n = max(n, c.view.rev)
	}
	return n
}

// replay takes the view that was read. known is what was known before it was asked for: a register
// that does not have that has forgotten it, and whatever was known is void.
func (c *channels) replay(to *view, known uint64) {
	c.tell.Lock()
	defer c.tell.Unlock()
	c.mu.Lock()
	switch {
	case to.rev < known:
		// An event that was read meanwhile is missed perhaps. The next answer tells.
		c.seen, c.newest = 0, 0
	case c.live && to.rev < c.view.rev:
		c.mu.Unlock()
		return // events were faster
	}
	changes := difference(c.view, to)
	c.view, c.live = to, true
	c.mu.Unlock()
	c.own.Reread(to.entries)
	c.own.Happened(changes)
}

// read goes on by one event.
func (c *channels) read(ev event) {
	c.tell.Lock()
	defer c.tell.Unlock()
	var changes []claims.Change
	c.mu.Lock()
	c.seen = max(c.seen, ev.rev)
	// If it is old, or others are missing, everything is read.
	next := c.live && ev.rev == c.view.rev+1
	if next {
		changes = c.view.apply(ev)
	}
	c.mu.Unlock()
	c.own.Notify()
	if !next {
		return
	}
	c.own.Happened(changes)
	if ev.kind == eventEnd {
		c.own.LeaseEnded(ev.entry.Lease)
	}
}

// conflict is the failure of a claim that the register has refused because of a node.
func conflict(word string, node core.NodeID) *claims.Conflict {
	if word == wordTaken {
		return claims.ConflictOver(node)
	}
	return claims.ConflictWith("another one", node)
}

// position is the revision up to which the register was read; 0 if it is not.
func (c *channels) position() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.live {
		return 0
	}
	return c.view.rev
}

// readTo waits until the register was read up to rev, and reports false if ctx ended before.
func (c *channels) readTo(ctx context.Context, rev uint64) bool {
	return c.own.Wait(ctx, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.live && c.view.rev >= rev
	})
}

// settled waits until no release waits to be asked, and returns the revision after it.
func (c *channels) settled(ctx context.Context) (rev uint64, ok bool) {
	ok = c.own.Wait(ctx, func() bool {
		_, releases := c.own.Queued()
		c.mu.Lock()
		rev = c.newest
		c.mu.Unlock()
		return !releases
	})
	return rev, ok
}
