package nats

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/claims"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// channels is what the log of the bucket says of the channels of the cluster, and what of it is for
// this node's own (claims.Channels). Any goroutine, unless it says otherwise.
//
// One goroutine (bucket.work) writes claims and releases to the log, one after the other; another
// one (bucket.watch) reads the log, and what it reads there counts.
type channels struct {
	// Static after construction.
	own     *claims.Channels
	id      core.NodeID
	name    string
	names   bucketNames
	ttl     time.Duration // of the lease; 0 is by the bucket
	stats   *core.ClusterStats
	log     *slog.Logger
	health  *roster.Health
	foreign *foreign
	tell    *sync.Mutex // see roster.Roster
	store   string      // the folder of the embedded server, if there is one

	joined time.Time   // owned by the goroutine of run
	alone  func() bool // an embedded server knows no other one; static while run runs

	// What is below is guarded by mu; who changes it calls own.Notify.
	mu     sync.Mutex
	view   *view
	live   bool   // view follows the log
	acked  uint64 // the position of the last thing that this node wrote
	bucket *bucket
	lease  leaseAt
}

// leaseAt is where in the log a lease of this node was written last.
type leaseAt struct {
	id  string
	rev uint64
}

func newChannels(b *Backplane) *channels {
	c := &channels{
		id: b.id, name: b.o.Node, names: bucketNames{b.o.Prefix}, ttl: b.o.LeaseTTL, stats: b.o.Stats, log: b.o.Logger, health: &b.health,
		foreign: b.foreign, tell: &b.nodes.Tell, view: newView(),
	}
	if b.o.Embedded != nil {
		c.store = b.o.Embedded.StoreDir
	}
	c.own = claims.New(claims.Options{
		ID: b.id, Register: c, Fits: func(channel string) bool { return len(channelKey(channel)) <= maxSubject },
		Stats: b.o.Stats, Logger: b.o.Logger, Health: &b.health, Roster: b.nodes,
	})
	return c
}

// LeaseTime is how long a lease lasts.
func (c *channels) LeaseTime() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ttl > 0:
		return c.ttl
	case c.bucket != nil && c.bucket.replicated:
		return replicatedLease
	}
	return defaultLease
}

// replayTime is how long a lease that is missing in the log is waited for.
func (c *channels) replayTime() time.Duration { return 2 * c.LeaseTime() / claims.RenewParts }

// Answers lets programs that are no nodes call the services of a channel, or no longer.
func (c *channels) Answers(e *claims.Entry, on bool) {
	for _, s := range e.Services {
		if s == "" {
			c.foreign.offer(e.Channel, on)
		} else {
			c.foreign.offer(e.Channel+"/"+s, on)
		}
	}
}

// OfNode returns the channels of a node, in the order in which it got them.
func (c *channels) OfNode(n core.NodeID) []*claims.Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.view.ofNode(n)
}

// next returns the next thing to write, and the position of the view by which a claim was
// judged. An error says that the log stands still.
func (c *channels) next(ctx context.Context) (t *claims.Task, pos uint64, err error) {
	timer := time.NewTicker(lookAgain)
	defer timer.Stop()
	var behind time.Time
	for {
		changed := c.own.Changed()
		c.mu.Lock()
		if !c.live || c.view.pos >= c.acked {
			behind = time.Time{}
		} else if behind.IsZero() {
			behind = time.Now()
		}
		if c.ready() {
			t, pos = c.own.Next(c.conflict), c.view.pos
		}
		c.mu.Unlock()
		if t != nil {
			return t, pos, nil
		}
		if !behind.IsZero() && time.Since(behind) > standstill {
			return nil, 0, errStandstill
		}
		select {
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-changed:
		case <-timer.C:
		}
	}
}

// ready reports whether the view has all that this node wrote, and its lease is there. It is
// called with mu held.
func (c *channels) ready() bool {
	return c.live && c.view.pos >= c.acked && c.view.leases[c.own.Lease()] == c.id && c.own.Holds()
}

// conflict returns why a channel cannot be given to this node; nil if it can. It is called with mu
// held.
func (c *channels) conflict(channel string) *claims.Conflict {
	switch holder := c.view.conflict(channel, c.id); {
	case holder == nil:
		return nil
	case holder.Channel == channel:
		return claims.ConflictOver(holder.Node)
	default:
		return claims.ConflictWith(strconv.Quote(holder.Channel), holder.Node)
	}
}

// written notes a position at which this node has written.
func (c *channels) written(rev uint64) {
	c.mu.Lock()
	c.acked = max(c.acked, rev)
	c.mu.Unlock()
	c.own.Notify()
}

// record returns the value of a channel's key.
func record(e *claims.Entry) []byte {
	value, err := json.Marshal(claimRecord{Node: e.Node, Lease: e.Lease, Claim: e.Claim, Services: e.Services})
	if err != nil {
		panic(fmt.Sprintf("encoding a claim: %v", err)) // it has nothing that JSON cannot say
	}
	return value
}

// replay takes the view that a new watcher has read.
func (c *channels) replay(to *view) {
	c.tell.Lock()
	defer c.tell.Unlock()
	c.mu.Lock()
	changes := difference(c.view, to)
	c.view, c.live = to, true
	c.mu.Unlock()
	c.own.Notify()
	c.own.Happened(changes)
}

// read goes on by one entry of the log.
func (c *channels) read(e event) {
	c.tell.Lock()
	defer c.tell.Unlock()
	own := c.own.Lease()
	lost := false
	c.mu.Lock()
	changes := c.view.apply(e)
	if own != "" && e.key == leaseKeys+own {
		if lost = e.lease == nil || e.lease.Node != c.id; !lost && c.lease.id == own {
			c.lease.rev = max(c.lease.rev, e.rev)
		}
	}
	c.mu.Unlock()
	c.own.Notify()
	c.own.Happened(changes)
	if lost {
		c.own.LeaseEnded(own)
	}
}
