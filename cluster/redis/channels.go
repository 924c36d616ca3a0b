package redis

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/polywire/polywire/cluster/roster"
	"github.com/polywire/polywire/core"
)

const (
	// claimPatience is how long a claim waits until it can be decided, lateMargin how much longer
	// than a lease lasts one waits for a lease to end.
	claimPatience = 5 * time.Second
	lateMargin    = 3 * time.Second
	// maxChannel bounds the name of a channel, maxRecord its services.
	maxChannel = 32 << 10
	maxRecord  = 512 << 10
)

// channels are the channels of the cluster: what the register says of them, and which are this
// node's. Any goroutine, unless it says otherwise.
//
// One goroutine (registrar.run) asks the register: for the lease, for claims and releases one
// after the other, and for everything when events were missed. Events come by the intake; what is
// read there counts, and grants.
type channels struct {
	// Static after construction.
	id      core.NodeID
	ttl     time.Duration // of the lease
	stats   *core.ClusterStats
	log     *slog.Logger
	health  *roster.Health
	reached func(core.NodeID) bool // whether a node can be reached
	tell    *sync.Mutex            // see roster.Roster
	cluster core.Cluster           // static after Start

	owners *roster.Owners // guarded by tell

	mu      sync.Mutex
	changed chan struct{} // closed, and made anew, when anything below changes
	view    *view
	live    bool   // view follows the register
	seen    uint64 // the newest event; if it is newer than view, others are missing
	newest  uint64 // the newest revision that the register has answered with
	lease   lease
	retired []string // leases that were lost, and may still be in the register
	counter uint64   // of claims and leases
	mine    map[string]*entry
	pending map[uint64]*claim // being asked, or granted and not read yet, by their number
	queue   []*task
	reg     *register // nil while there is no connection
	closed  bool
}

// lease is what keeps the channels of this node. The zero value is none.
type lease struct {
	id    string
	until time.Time // after it this node holds the lease for lost
}

// task is a claim or a release that the register is to be asked for.
type task struct {
	claim   *claim // nil for a release
	release *entry
}

// claim is a call of Claim. Guarded by channels.mu.
type claim struct {
	core.Claim
	number  uint64
	grant   func() core.Failure
	done    chan core.Failure // takes one
	decided bool              // done gets, or has got, the outcome
	late    bool              // it waits for the lease of a node that is gone
}

func newChannels(b *Backplane) *channels {
	c := &channels{
		id: b.id, ttl: b.o.LeaseTTL, stats: b.o.Stats, log: b.o.Logger, health: &b.health, reached: b.nodes.Known, tell: &b.nodes.Tell,
		changed: make(chan struct{}), view: newView(), mine: make(map[string]*entry), pending: make(map[uint64]*claim),
	}
	c.owners = roster.NewOwners(c.holdings)
	return c
}

// start says which engine is told. It is called once, before anything runs.
func (c *channels) start(cluster core.Cluster) {
	c.cluster = cluster
	c.owners.Start(cluster)
}

// notify wakes who waits for a change. It is called with mu held.
func (c *channels) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// claim asks for a channel and waits for the outcome.
func (c *channels) claim(ctx context.Context, wanted core.Claim, grant func() core.Failure) core.Failure {
	services := slices.Compact(slices.Sorted(slices.Values(wanted.Services))) // as the register must have them
	cl := &claim{Claim: core.Claim{Channel: wanted.Channel, Services: services}, grant: grant, done: make(chan core.Failure, 1)}
	if f := cl.check(); f.Failed() {
		return f
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return core.Failure{Code: core.Unreachable, Text: "this node is leaving the cluster"}
	}
	c.counter++
	cl.number = c.counter
	c.queue = append(c.queue, &task{claim: cl})
	c.notify()
	c.mu.Unlock()

	timer := time.NewTimer(claimPatience)
	defer timer.Stop()
	for extended := false; ; {
		select {
		case f := <-cl.done:
			return f
		case <-ctx.Done():
		case <-timer.C:
			if more := c.patience(cl); more > 0 && !extended {
				extended = true
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

// check returns why a channel cannot be claimed at all.
func (cl *claim) check() core.Failure {
	size := 0
	for _, s := range cl.Services {
		if !utf8.ValidString(s) {
			return core.Failure{Code: core.Invalid, Text: "the name of a service is not UTF-8"}
		}
		size += len(s)
	}
	if size > maxRecord || len(cl.Channel) > maxChannel || !utf8.ValidString(cl.Channel) {
		return core.Failure{Code: core.Invalid, Text: "the channel's name, or its services, are too long for the cluster"}
	}
	return core.Failure{}
}

// patience returns how much longer a claim may wait.
func (c *channels) patience(cl *claim) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !cl.late {
		return 0
	}
	return max(c.ttl-claimPatience, 0) + lateMargin
}

// abandon ends a claim that is not decided; given is false if it is. If the register has it
// nevertheless, it is released when it is read there.
func (c *channels) abandon(cl *claim) (f core.Failure, given bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cl.decided {
		return core.Failure{}, false
	}
	cl.decided = true
	delete(c.pending, cl.number)
	c.queue = slices.DeleteFunc(c.queue, func(t *task) bool { return t.claim == cl })
	if cl.late {
		return core.Failure{Code: core.Unreachable, Text: "the channel belongs to a node that is gone, and its lease has not ended yet"}, true
	}
	if err := c.health.Err(); err != nil {
		return core.Failure{Code: core.Unreachable, Text: err.Error()}, true
	}
	return core.Failure{Code: core.Unreachable, Text: "the cluster did not decide in time who owns the channel"}, true
}

// decide ends a claim. It is called with mu held.
func (c *channels) decide(cl *claim, f core.Failure) {
	delete(c.pending, cl.number)
	if !cl.decided {
		cl.decided = true
		cl.done <- f
	}
}

// release gives a channel back.
func (c *channels) release(channel string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.mine[channel]; e != nil {
		delete(c.mine, channel)
		c.giveBack(e)
	}
}

// giveBack queues a release. It is called with mu held.
func (c *channels) giveBack(e *entry) {
	if e.lease == c.lease.id {
		c.queue = append(c.queue, &task{release: e})
		c.notify()
	}
}

// replay takes the view that was read. back says that the register may have gone back.
func (c *channels) replay(to *view, back bool) {
	c.tell.Lock()
	defer c.tell.Unlock()
	c.mu.Lock()
	if c.live && !back && to.rev < c.view.rev {
		c.mu.Unlock()
		return // events were faster
	}
	changes := difference(c.view, to)
	c.view, c.live = to, true
	// What was asked, and is not there, is asked again: the answer was lost.
	for _, cl := range c.pending {
		if e := to.entries[cl.Channel]; e == nil || e.node != c.id || e.claim != cl.number {
			delete(c.pending, cl.number)
			if !cl.decided {
				c.queue = append(c.queue, &task{claim: cl})
			}
		}
	}
	// Of what this node holds for its own, the register has forgotten what is not there.
	var forgotten []*entry
	for _, e := range inOrder(c.mine) {
		if now := to.entries[e.channel]; now == nil || !now.same(e) {
			forgotten = append(forgotten, e)
		}
	}
	c.notify()
	c.mu.Unlock()
	for _, e := range forgotten {
		c.taken(e)
	}
	c.happened(changes)
}

// read goes on by one event.
func (c *channels) read(ev event) {
	c.tell.Lock()
	defer c.tell.Unlock()
	c.mu.Lock()
	c.seen = max(c.seen, ev.rev)
	if !c.live || ev.rev != c.view.rev+1 {
		// It is old, or others are missing: then everything is read.
		c.notify()
		c.mu.Unlock()
		return
	}
	changes := c.view.apply(ev)
	lost := ev.kind == eventEnd && c.lease.id != "" && ev.entry.lease == c.lease.id
	c.notify()
	c.mu.Unlock()
	c.happened(changes)
	if lost {
		c.lose()
	}
}

// happened tells the engine what has changed. It is called with tell held.
func (c *channels) happened(changes []change) {
	for _, ch := range changes {
		switch {
		case ch.node == c.id && ch.owned:
			c.given(ch.entry)
		case ch.node == c.id:
			c.taken(ch.entry)
		case ch.owned:
			c.owners.Owned(ch.holding())
		default:
			c.owners.Freed(ch.holding())
		}
	}
}

// holding is a channel of another node as the roster has it.
func (e *entry) holding() roster.Holding {
	type key struct {
		claim uint64
		lease string
	}
	return roster.Holding{Node: e.node, Claim: core.Claim{Channel: e.channel, Services: e.services}, Key: key{e.claim, e.lease}}
}

// given handles a channel that the register gives to this node. It is called with tell held.
func (c *channels) given(e *entry) {
	c.mu.Lock()
	if m := c.mine[e.channel]; m != nil && m.same(e) {
		c.mine[e.channel] = e // it was registered again
		c.mu.Unlock()
		return
	}
	if e.lease != c.lease.id || c.closed {
		c.mu.Unlock()
		return
	}
	cl := c.pending[e.claim]
	if cl != nil && cl.Channel != e.channel {
		cl = nil // somebody has forged it
	} else {
		delete(c.pending, e.claim)
	}
	if cl == nil || cl.decided {
		c.giveBack(e) // nobody waits for it any more
		c.mu.Unlock()
		return
	}
	cl.decided = true
	c.mu.Unlock()
	f := cl.grant()
	c.mu.Lock()
	if f.Failed() {
		c.giveBack(e)
	} else {
		c.mine[e.channel] = e
	}
	c.notify()
	c.mu.Unlock()
	cl.done <- f
}

// taken handles a channel of this node that the register takes away. It is called with tell held.
func (c *channels) taken(e *entry) {
	c.mu.Lock()
	m := c.mine[e.channel]
	if m == nil || !m.same(e) || c.closed {
		c.mu.Unlock()
		return
	}
	delete(c.mine, e.channel)
	c.mu.Unlock()
	c.lost(e)
}

// lost tells the engine of a lost channel. It is called with tell held.
func (c *channels) lost(e *entry) {
	c.stats.Lost.Add(1)
	c.cluster.Lost(e.channel)
}

// lose gives the lease up, and all channels with it. It is called with tell held.
func (c *channels) lose() {
	c.mu.Lock()
	if c.lease.id == "" || c.closed {
		c.mu.Unlock()
		return
	}
	c.retired = append(c.retired, c.lease.id)
	if len(c.retired) > maxRetired {
		c.retired = c.retired[1:] // it has ended by itself long since
	}
	c.lease = lease{}
	all := inOrder(c.mine)
	clear(c.mine)
	for _, cl := range c.pending {
		c.decide(cl, core.Failure{Code: core.Unreachable, Text: "this node was cut off from the cluster meanwhile"})
	}
	c.queue = slices.DeleteFunc(c.queue, func(t *task) bool { return t.claim == nil })
	c.notify()
	c.mu.Unlock()
	slices.SortFunc(all, func(a, b *entry) int { return cmp.Compare(a.claim, b.claim) })
	c.log.Warn("this node could not renew its lease in the cluster: its channels are lost", slog.Int("channels", len(all)))
	for _, e := range all {
		c.lost(e)
	}
}

// nodeHeard and nodeGone say that a node can be reached and no longer, which claims wait for. They
// are called with tell held.
func (c *channels) nodeHeard(n core.NodeID) {
	c.owners.Heard(n)
	c.wake()
}

func (c *channels) nodeGone(n core.NodeID) {
	c.owners.Gone(n)
	c.wake()
}

func (c *channels) wake() {
	c.mu.Lock()
	c.notify()
	c.mu.Unlock()
}

// holdings returns the channels of a node.
func (c *channels) holdings(n core.NodeID) (all []roster.Holding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.view.ofNode(n) {
		all = append(all, e.holding())
	}
	return all
}

// refusal returns the failure of a claim that the register has refused because of a node.
func refusal(word string, node core.NodeID) core.Failure {
	if word == wordTaken {
		return core.Failure{Code: core.Taken, Text: "the channel belongs to a client of node " + string(node)}
	}
	return core.Failure{Code: core.NotOwner, Text: fmt.Sprintf("the channel and another one, which belongs to a client of node %s, lie in one another", node)}
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
	return c.wait(ctx, func() bool { return c.live && c.view.rev >= rev })
}

// settled waits until nothing waits to be asked, and returns the revision after it.
func (c *channels) settled(ctx context.Context) (rev uint64, ok bool) {
	ok = c.wait(ctx, func() bool {
		rev = c.newest
		return !slices.ContainsFunc(c.queue, func(t *task) bool { return t.claim == nil })
	})
	return rev, ok
}

// wait waits until there, which is called with mu held, and reports false if ctx ended before.
func (c *channels) wait(ctx context.Context, there func() bool) bool {
	for {
		c.mu.Lock()
		changed, ok := c.changed, there()
		c.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// newLease returns the id of a lease that this node never had. It is called with mu held.
func (c *channels) newLease() string {
	c.counter++
	return string(c.id) + "-" + strconv.FormatUint(c.counter, 10)
}
