package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

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

	// syncAgain is after which time who has not answered is asked again.
	syncAgain = 250 * time.Millisecond
	// maxSyncs bounds the syncs of others that wait for the log of the channels.
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
	id, w := b.syncs.begin(b.nodes.All())
	defer b.syncs.end(id)
	ask := func(to core.NodeID) {
		_ = send(nc, b.subjects.node(to), natsgo.Header{
			typeHeader: {typeSync}, fromHeader: {string(b.id)}, syncHeader: {strconv.FormatUint(id, 10)},
			logHeader: {strconv.FormatUint(b.channels.position(), 10)},
		}, nil)
	}
	again := time.NewTicker(syncAgain)
	defer again.Stop()
	for {
		for _, to := range b.syncs.left(id) {
			if b.nodes.Known(to) {
				ask(to)
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
			if nc.IsClosed() {
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
	if b.channels.position() >= log {
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
		if b.channels.readTo(ctx, log) {
			answer()
		}
	})
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

// written waits until everything is written that was put in before.
func (o *outbox) written(ctx context.Context) error {
	for o.size.Load() > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
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
	for {
		c.mu.Lock()
		changed, there := c.changed, c.live && c.view.pos >= pos
		c.mu.Unlock()
		if there {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}
