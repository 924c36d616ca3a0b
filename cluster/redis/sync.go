package redis

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
)

const (
	// syncAgain is after which time who has not answered is asked again.
	syncAgain = 250 * time.Millisecond
	// maxSyncs bounds the syncs of others that wait for the register.
	maxSyncs = 256
)

// syncs are the calls of Sync that wait for the other nodes. Any goroutine.
type syncs struct {
	places chan struct{} // one for each sync of others that waits

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]*waitingSync
}

// waitingSync is guarded by syncs.mu.
type waitingSync struct {
	nodes map[core.NodeID]bool // who has not answered
	done  chan struct{}
}

func newSyncs() *syncs {
	return &syncs{places: make(chan struct{}, maxSyncs), waiting: make(map[uint64]*waitingSync)}
}

// Sync waits until the other nodes have got everything that this one was told before the call.
// Nodes that go meanwhile are not waited for. The error says that ctx ended before, or that
// this node is not connected. Any goroutine, but not within a call of core.Cluster.
func (b *Backplane) Sync(ctx context.Context) error {
	if b.pings.Load() == nil {
		return errAway
	}
	rev, ok := b.channels.settled(ctx)
	if !ok {
		return fmt.Errorf("waiting for the register of channels: %w", ctx.Err())
	}
	if err := b.out.written(ctx); err != nil {
		return fmt.Errorf("passing on what waits: %w", err)
	}
	p := b.pings.Load()
	if p == nil {
		return errAway
	}
	// The server has all subscriptions then.
	if err := p.wait(ctx); err != nil {
		return fmt.Errorf("waiting for Redis: %w", err)
	}
	id, w := b.syncs.begin(b.nodes.All())
	defer b.syncs.end(id)
	again := time.NewTicker(syncAgain)
	defer again.Stop()
	for {
		for _, to := range b.syncs.left(id) {
			if b.nodes.Known(to) {
				_ = b.say(to, outgoing{urgent: true}, frame{kind: kindSync, sync: id, rev: rev})
			} else {
				b.syncs.answered(id, to)
			}
		}
		select {
		case <-w.done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("waiting for the nodes %v: %w", b.syncs.left(id), ctx.Err())
		case <-again.C:
			if b.pings.Load() != p {
				return errAway
			}
		}
	}
}

func (s *syncs) begin(nodes []core.NodeID) (id uint64, w *waitingSync) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	w = &waitingSync{nodes: make(map[core.NodeID]bool), done: make(chan struct{})}
	for _, n := range nodes {
		w.nodes[n] = true
	}
	if len(nodes) == 0 {
		close(w.done)
	}
	s.waiting[s.last] = w
	return s.last, w
}

func (s *syncs) end(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, id)
}

// left returns who has not answered.
func (s *syncs) left(id uint64) (nodes []core.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.waiting[id].nodes {
		nodes = append(nodes, n)
	}
	return nodes
}

// answered notes that a node has answered, or is gone.
func (s *syncs) answered(id uint64, by core.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.waiting[id]
	if w == nil || !w.nodes[by] {
		return
	}
	if delete(w.nodes, by); len(w.nodes) == 0 {
		close(w.done)
	}
}

// syncAsked answers the sync of another node. It is called behind all messages that have come
// before it.
func (b *Backplane) syncAsked(f frame) {
	from := core.NodeID(strings.Clone(string(f.from)))
	answer := func() { _ = b.say(from, outgoing{urgent: true}, frame{kind: kindSynced, sync: f.sync}) }
	if b.channels.position() >= f.rev {
		answer()
		return
	}
	select {
	case b.syncs.places <- struct{}{}:
	default:
		return // it is asked again
	}
	b.running.Go(func() {
		defer func() { <-b.syncs.places }()
		ctx, cancel := context.WithTimeout(b.ctx, syncAgain)
		defer cancel()
		if b.channels.readTo(ctx, f.rev) {
			answer()
		}
	})
}

// pings are the PINGs of one subscribing connection. Its server answers them behind all that it
// was told before. Any goroutine.
type pings struct {
	w    *wire         // static
	lost chan struct{} // closed when the connection has ended

	mu       sync.Mutex
	sent     uint64
	answered uint64
	changed  chan struct{}
}

func newPings(w *wire) *pings {
	return &pings{w: w, lost: make(chan struct{}), changed: make(chan struct{})}
}

func (p *pings) ping() error {
	p.mu.Lock()
	p.sent++
	p.mu.Unlock()
	return p.w.send("PING")
}

func (p *pings) pong() {
	p.mu.Lock()
	p.answered++
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
}

// wait waits until the server has done all that it was told before.
func (p *pings) wait(ctx context.Context) error {
	if err := p.ping(); err != nil {
		return err
	}
	p.mu.Lock()
	n := p.sent // at least that of our own
	p.mu.Unlock()
	for {
		p.mu.Lock()
		changed, there := p.changed, p.answered >= n
		p.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.lost:
			return errLost
		case <-changed:
		}
	}
}
