package nats

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/polywire/polywire/cluster/roster"
	"github.com/polywire/polywire/core"
)

const (
	// claimPatience is how long a claim waits until it can be decided.
	claimPatience = 5 * time.Second
	// lateMargin is how much longer than a lease lasts a claim waits for it to end.
	lateMargin = 3 * time.Second
	// maxRecord bounds the value of a channel's key.
	maxRecord = 512 << 10
)

// channels are the channels of the cluster: what the log of the bucket says of them, and which
// are this node's. Any goroutine, unless it says otherwise.
//
// Claims and releases wait in one queue. One goroutine (bucket.work) writes them to the log,
// one after the other; another one (bucket.watch) reads the log, and what it reads there counts.
type channels struct {
	// Static after construction.
	id      core.NodeID
	name    string
	names   bucketNames
	ttl     time.Duration // of the lease; 0 is by the bucket
	stats   *core.ClusterStats
	log     *slog.Logger
	health  *roster.Health
	foreign *foreign
	reached func(core.NodeID) bool // whether a node can be reached
	tell    *sync.Mutex            // see roster.Roster
	cluster core.Cluster           // static after Start

	joined time.Time // owned by the goroutine of run

	owners *roster.Owners // guarded by tell

	mu      sync.Mutex
	changed chan struct{} // closed, and made anew, when anything below changes
	view    *view
	live    bool   // view follows the log
	acked   uint64 // the position of the last thing that this node wrote
	bucket  *bucket
	lease   lease
	coming  string   // a lease that is being got
	retired []string // leases that were lost, and may still be in the log
	counter uint64   // of claims and leases
	mine    map[string]*entry
	pending map[uint64]*claim // written, or being written, by their number
	queue   []*task
	closed  bool
	// progress is when a claim was decided last.
	progress time.Time
}

// lease is what keeps the channels of this node. The zero value is none.
type lease struct {
	id    string
	rev   uint64
	until time.Time // after it this node holds the lease for lost
}

// task is a claim or a release that is to be written.
type task struct {
	channel string
	claim   *claim // nil for a release
	rev     uint64 // of what is released
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
		id: b.id, name: b.o.Node, names: bucketNames{b.o.Prefix}, ttl: b.o.LeaseTTL, stats: b.o.Stats, log: b.o.Logger, health: &b.health,
		foreign: b.foreign, reached: b.nodes.Known, tell: &b.nodes.Tell,
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
	services := slices.Compact(slices.Sorted(slices.Values(wanted.Services))) // as the log must have them
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
	c.queue = append(c.queue, &task{channel: cl.Channel, claim: cl})
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

// check returns why a channel cannot be claimed at all.
func (cl *claim) check() core.Failure {
	size := 0
	for _, s := range cl.Services {
		if !utf8.ValidString(s) {
			return core.Failure{Code: core.Invalid, Text: "the name of a service is not UTF-8"}
		}
		size += len(s)
	}
	if size > maxRecord || len(channelKey(cl.Channel)) > maxSubject {
		return core.Failure{Code: core.Invalid, Text: "the channel's name, or its services, are too long for the cluster"}
	}
	return core.Failure{}
}

// patience returns how much longer a claim may wait: until the lease of a dead node has ended,
// but only once; and while other claims are decided, as many can come at once.
func (c *channels) patience(cl *claim, again bool) (more time.Duration, late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case cl.late && !again:
		return c.leaseTime() - claimPatience + lateMargin, true
	case !cl.late && time.Since(c.progress) < claimPatience:
		return claimPatience, false
	}
	return 0, cl.late
}

// leaseTime is how long a lease lasts. It is called with mu held.
func (c *channels) leaseTime() time.Duration {
	switch {
	case c.ttl > 0:
		return c.ttl
	case c.bucket != nil && c.bucket.replicated:
		return replicatedLease
	}
	return defaultLease
}

// replayTime is how long a lease that is missing in the log is waited for.
func (c *channels) replayTime() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return 2 * c.leaseTime() / leaseParts
}

// abandon ends a claim that is not decided; given is false if it is. If it is in the log
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
	f = core.Failure{Code: core.Unreachable, Text: "the cluster did not decide in time who owns the channel"}
	if cl.late {
		f.Text = "the channel belongs to a node that is gone, and its lease has not ended yet"
	} else if err := c.health.Err(); err != nil {
		f.Text = err.Error()
	}
	return f, true
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
	e := c.mine[channel]
	if e != nil {
		delete(c.mine, channel)
		c.giveBack(e)
	}
	c.mu.Unlock()
	if e != nil {
		c.offer(e, false)
	}
}

// giveBack queues a release. It is called with mu held.
func (c *channels) giveBack(e *entry) {
	if e.Lease == c.lease.id {
		c.queue = append(c.queue, &task{channel: e.channel, rev: e.rev})
		c.notify()
	}
}

// offer lets programs that are no nodes call the services of a channel, or no longer.
func (c *channels) offer(e *entry, on bool) {
	for _, s := range e.Services {
		if s == "" {
			c.foreign.offer(e.channel, on)
		} else {
			c.foreign.offer(e.channel+"/"+s, on)
		}
	}
}

// next returns the next thing to write, and the position of the view by which a claim was
// judged. An error says that the log stands still.
func (c *channels) next(ctx context.Context) (t *task, pos uint64, err error) {
	timer := time.NewTicker(lookAgain)
	defer timer.Stop()
	var behind time.Time
	for {
		c.mu.Lock()
		changed := c.changed
		if !c.live || c.view.pos >= c.acked {
			behind = time.Time{}
		} else if behind.IsZero() {
			behind = time.Now()
		}
		if c.ready() {
			if t = c.choose(); t != nil {
				pos = c.view.pos
				c.mu.Unlock()
				return t, pos, nil
			}
		}
		c.mu.Unlock()
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
	return c.live && c.lease.id != "" && c.view.leases[c.lease.id] == c.id && c.view.pos >= c.acked && time.Now().Before(c.lease.until)
}

// choose takes the first task out of the queue that can be done now. On the way it decides
// claims that are lost. It is called with mu held.
func (c *channels) choose() *task {
	for i := 0; i < len(c.queue); {
		t := c.queue[i]
		if t.claim == nil {
			c.queue = slices.Delete(c.queue, i, i+1)
			return t
		}
		holder := c.view.conflict(t.channel, c.id)
		switch {
		case holder == nil:
			c.queue = slices.Delete(c.queue, i, i+1)
			t.claim.late = false
			return t
		case holder.Node == c.id && c.mine[holder.channel] == nil:
			i++ // it is being given back
		case holder.Node != c.id && !c.reached(holder.Node):
			t.claim.late = true
			i++
		default:
			c.queue = slices.Delete(c.queue, i, i+1)
			c.progress = time.Now()
			c.decide(t.claim, refusalBy(holder, t.channel))
		}
	}
	return nil
}

// refusalBy returns the failure of a claim because of what is owned already.
func refusalBy(holder *entry, channel string) core.Failure {
	if holder.channel == channel {
		return core.Failure{Code: core.Taken, Text: "the channel belongs to a client of node " + string(holder.Node)}
	}
	return core.Failure{
		Code: core.NotOwner,
		Text: fmt.Sprintf("the channel and %q, which belongs to a client of node %s, lie in one another", holder.channel, holder.Node),
	}
}

// written notes a position at which this node has written. It is called with mu held.
func (c *channels) written(rev uint64) {
	c.acked = max(c.acked, rev)
	c.notify()
}

// begin notes that a claim is being written, and returns its value; ok is false if it is not to
// be written now.
func (c *channels) begin(t *task) (value []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.claim.decided {
		return nil, false
	}
	if c.lease.id == "" {
		c.back(t)
		return nil, false
	}
	c.pending[t.claim.number] = t.claim
	value, err := json.Marshal(claimRecord{Node: c.id, Lease: c.lease.id, Claim: t.claim.number, Services: t.claim.Services})
	if err != nil {
		panic(fmt.Sprintf("encoding a claim: %v", err)) // it has nothing that JSON cannot say
	}
	return value, true
}

// back puts a task at the beginning of the queue. It is called with mu held.
func (c *channels) back(t *task) {
	if t.claim != nil {
		delete(c.pending, t.claim.number)
		if t.claim.decided {
			return
		}
	}
	c.queue = slices.Insert(c.queue, 0, t)
}

// replay takes the view that a new watcher has read.
func (c *channels) replay(to *view) {
	c.tell.Lock()
	defer c.tell.Unlock()
	c.mu.Lock()
	changes := difference(c.view, to)
	c.view, c.live = to, true
	c.notify()
	c.mu.Unlock()
	c.happened(changes)
}

// read goes on by one entry of the log.
func (c *channels) read(e event) {
	c.tell.Lock()
	defer c.tell.Unlock()
	c.mu.Lock()
	changes := c.view.apply(e)
	lost := false
	if c.lease.id != "" && e.key == leaseKeys+c.lease.id {
		if e.lease != nil && e.lease.Node == c.id {
			c.lease.rev = max(c.lease.rev, e.rev)
		} else {
			lost = true
		}
	}
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
		case ch.Node == c.id && ch.owned:
			c.given(ch.entry)
		case ch.Node == c.id:
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
		rev, claim uint64
		lease      string
	}
	return roster.Holding{Node: e.Node, Claim: core.Claim{Channel: e.channel, Services: e.Services}, Key: key{e.rev, e.Claim, e.Lease}}
}

// given handles a channel that the log gives to this node. It is called with tell held.
func (c *channels) given(e *entry) {
	c.mu.Lock()
	cl := c.pending[e.Claim]
	if e.Lease != c.lease.id || c.closed {
		c.mu.Unlock()
		return
	}
	if cl == nil || cl.decided || cl.Channel != e.channel {
		c.giveBack(e) // nobody waits for it any more
		c.mu.Unlock()
		return
	}
	delete(c.pending, e.Claim)
	cl.decided, c.progress = true, time.Now()
	c.mu.Unlock()
	f := cl.grant()
	if !f.Failed() {
		c.offer(e, true)
	}
	c.mu.Lock()
	if f.Failed() {
		c.giveBack(e)
	} else {
		c.mine[e.channel] = e
		c.notify()
	}
	c.mu.Unlock()
	cl.done <- f
}

// taken handles a channel of this node that the log takes away. It is called with tell held.
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
	c.offer(e, false)
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
	c.retire(c.lease.id)
	c.lease = lease{}
	all := make([]*entry, 0, len(c.mine))
	for _, e := range c.mine {
		all = append(all, e)
	}
	clear(c.mine)
	for _, cl := range c.pending {
		c.decide(cl, core.Failure{Code: core.Unreachable, Text: "this node was cut off from the cluster meanwhile"})
	}
	c.queue = slices.DeleteFunc(c.queue, func(t *task) bool { return t.claim == nil })
	c.notify()
	c.mu.Unlock()
	slices.SortFunc(all, func(a, b *entry) int { return cmp.Compare(a.rev, b.rev) })
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
