package redis

import (
	"context"
	"fmt"
	"sync"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/frame"
)

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
	if err := b.places.Written(ctx); err != nil {
		return fmt.Errorf("writing who has which session: %w", err)
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
	ask := func(to core.NodeID, id uint64) {
		_ = b.say(to, outgoing{urgent: true}, frame.Frame{Kind: frame.Sync, Sync: id, Rev: rev})
	}
	return b.syncs.Wait(ctx, ask, func() error {
		if b.pings.Load() != p {
			return errAway
		}
		return nil
	})
}

// syncAsked answers the sync of another node. It is called behind all messages that have come
// before it.
func (b *Backplane) syncAsked(f frame.Frame) {
	answer := func() { _ = b.say(f.From, outgoing{urgent: true}, frame.Frame{Kind: frame.Synced, Sync: f.Sync}) }
	b.syncs.Answer(b.ctx, &b.running, b.channels.position() >= f.Rev, func(ctx context.Context) bool { return b.channels.readTo(ctx, f.Rev) }, answer)
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
