package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core"
)

const (
	typeSync   = "sync"   // say when you have got everything up to here
	typeSynced = "synced" // I have
	// syncHeader has the number of a sync, logHeader the position in the log of the channels
	// up to which it asks.
	syncHeader = "Polywire-Sync"
	logHeader  = "Polywire-Log"
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
		_ = send(nc, b.subjects.node(to), natsgo.Header{
			typeHeader: {typeSync}, fromHeader: {string(b.id)}, syncHeader: {strconv.FormatUint(id, 10)},
			logHeader: {strconv.FormatUint(b.channels.position(), 10)},
		}, nil)
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
func (b *Backplane) syncAsked(s speech) {
	topics := b.topics.Load()
	if topics == nil {
		return
	}
	// A message that no subscription has got. If there is no room, the other node asks again.
	mark := &natsgo.Msg{Header: natsgo.Header{fromHeader: {string(s.from)}, syncHeader: {strconv.FormatUint(s.sync, 10)}, logHeader: {strconv.FormatUint(s.log, 10)}}}
	select {
	case topics.ch <- mark:
	default:
	}
}

// marked answers a sync. It is called behind the messages that have come before it.
func (b *Backplane) marked(m *natsgo.Msg) {
	log, _ := strconv.ParseUint(m.Header.Get(logHeader), 10, 64) // written by syncAsked
	answer := func() {
		h := natsgo.Header{typeHeader: {typeSynced}, fromHeader: {string(b.id)}, syncHeader: {m.Header.Get(syncHeader)}}
		_ = b.out.put(outgoing{header: h}, b.inboxOf(core.NodeID(m.Header.Get(fromHeader))), nil)
	}
	b.syncs.Answer(b.ctx, &b.running, b.channels.position() >= log, func(ctx context.Context) bool { return b.channels.readTo(ctx, log) }, answer)
}

var errSync = errors.New("a sync has no number")

// syncOf reads the numbers of a sync or its answer.
func syncOf(m *natsgo.Msg) (id, log uint64, err error) {
	if id, err = strconv.ParseUint(m.Header.Get(syncHeader), 10, 64); err != nil {
		return 0, 0, errSync
	}
	if text := m.Header.Get(logHeader); text != "" {
		if log, err = strconv.ParseUint(text, 10, 64); err != nil {
			return 0, 0, errSync
		}
	}
	return id, log, nil
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
