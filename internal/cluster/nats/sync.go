package nats

import (
	"context"
	"fmt"

	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/frame"
)

// Sync waits until the other nodes have got everything that this one was told before the call.
// Nodes that go meanwhile are not waited for. The error says that ctx ended before, or that
// this node is not connected. Any goroutine, but not within a call of core.Cluster.
func (b *Backplane) Sync(ctx context.Context) error {
	if err := b.places.Written(ctx); err != nil {
		return fmt.Errorf("writing who has which session: %w", err)
	}
	if err := b.out.written(ctx); err != nil {
		return fmt.Errorf("passing on what waits: %w", err)
	}
	nc := b.conn.Load()
	if nc == nil {
		return errAway
	}
	// The server has learned of the subscriptions then, and tells other servers of them before
	// it passes on what follows.
	if err := nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("waiting for NATS: %w", err)
	}
	ask := func(to core.NodeID, id uint64) {
		f := frame.Frame{Kind: frame.Sync, From: b.id, Sync: id, Rev: b.channels.position()}
		_ = nc.Publish(b.subjects.node(to), f.Append(nil))
	}
	return b.syncs.Wait(ctx, ask, func() error {
		if nc.IsClosed() {
			return errAway
		}
		return nil
	})
}

// syncAsked handles the sync of another node: behind all messages of topics that have come
// before it, which another goroutine handles, it is answered.
func (b *Backplane) syncAsked(f frame.Frame) {
	topics := b.topics.Load()
	if topics == nil {
		return
	}
	// A message that no subscription has got. If there is no room, the other node asks again.
	select {
	case topics.ch <- &natsgo.Msg{Data: f.Append(nil)}:
	default:
	}
}

// marked answers a sync. It is called behind the messages that have come before it.
func (b *Backplane) marked(m *natsgo.Msg) {
	f, err := frame.Read(m.Data)
	if err != nil {
		return // it is what syncAsked has written
	}
	answer := func() { _ = b.say(f.From, outgoing{}, frame.Frame{Kind: frame.Synced, Sync: f.Sync}) }
	b.syncs.Answer(b.ctx, &b.running, b.channels.position() >= f.Rev, func(ctx context.Context) bool { return b.channels.readTo(ctx, f.Rev) }, answer)
}

// position is how far the log was read; 0 if it is not.
func (c *channels) position() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.live {
		return 0
	}
	return c.view.pos
}

// readTo waits until the log was read up to pos, and reports false if ctx ended before.
func (c *channels) readTo(ctx context.Context, pos uint64) bool {
	return c.own.Wait(ctx, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.live && c.view.pos >= pos
	})
}
