package nats

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// Backplane joins this node to a cluster by NATS. It is a [core.Backplane].
type Backplane struct {
	// Static after construction.
	o        Options
	id       core.NodeID
	subjects subjects
	out      *outbox
	interest *interest
	nodes    *nodes
	foreign  *foreign
	channels *channels
	syncs    *syncs
	health   *health
	drops    *drops

	// Static after Start.
	cluster core.Cluster
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup

	topics atomic.Pointer[intake] // of the connection; nil while there is none

	// Owned by the goroutine of life, and after it by Close.
	engine engine

	topic []byte // owned by the goroutine that handles topics
}

var _ core.Backplane = (*Backplane)(nil)

// New returns a backplane that has checked its options and started nothing.
func New(o Options) (*Backplane, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	b := &Backplane{o: o, id: newNode(o.Node), subjects: subjects{o.Prefix}, health: new(health), syncs: newSyncs(), drops: newDrops(o.Stats)}
	b.out = newOutbox(o.OutboxBytes, o.Stats, b.unsent)
	b.interest = newInterest(b.subjects, o.Stats, o.Logger)
	b.foreign = newForeign(b.subjects, o.Stats, b.out)
	b.nodes = &nodes{
		id: b.id, name: o.Node, subjects: b.subjects, stats: o.Stats, log: o.Logger, began: time.Now(), tell: new(sync.Mutex),
		known: make(map[core.NodeID]*node), services: make(map[string]struct{}),
	}
	b.channels = newChannels(b)
	b.nodes.heard, b.nodes.gone = b.channels.nodeHeard, b.channels.nodeGone
	b.engine = engine{o: &b.o}
	return b, nil
}

// newNode returns an id for a node that starts now.
func newNode(name string) core.NodeID {
	var random [8]byte
	_, _ = rand.Read(random[:])
	// An id is one token of a subject.
	return core.NodeID("n-" + strings.ReplaceAll(name, ".", "_") + "-" + hex.EncodeToString(random[:]))
}

// ID returns the id that this node has for the others, from New to Close. Any goroutine.
func (b *Backplane) ID() core.NodeID { return b.id }

// Health returns nil if the node is joined to the cluster and can own channels, or what is
// wrong and what can be done about it. Any goroutine.
func (b *Backplane) Health() error { return b.health.err() }

// Start begins to join the cluster, in the background: an engine that cannot be reached yet
// keeps no client of this node from being served.
func (b *Backplane) Start(c core.Cluster) {
	b.cluster, b.nodes.cluster, b.foreign.cluster, b.channels.cluster = c, c, c, c
	b.nodes.began = time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	b.ctx, b.cancel = ctx, cancel
	b.health.set(aboutEngine, errors.New("cluster: not connected yet"))
	b.running.Go(func() { b.life(ctx) })
	b.running.Go(func() { b.watchNodes(ctx) })
	b.running.Go(func() { b.channels.guard(ctx) })
}

// Close leaves the cluster. It blocks for some seconds at most.
func (b *Backplane) Close() {
	if b.cancel == nil {
		return
	}
	b.leave()
	b.abandon()
}

// abandon ends all without a goodbye, as if the process were killed.
func (b *Backplane) abandon() {
	b.cancel()
	b.running.Wait()
	b.engine.stop()
	b.o.Stats.Connected.Store(false)
	b.o.Stats.Nodes.Store(0)
}

// leave says goodbye: then the others need not wait until they miss this node.
func (b *Backplane) leave() {
	b.out.flush(goodbyeTimeout)
	b.channels.leave()
	b.nodes.bye()
	b.nodes.own.Lock()
	nc := b.nodes.nc
	b.nodes.own.Unlock()
	if nc != nil {
		_ = nc.FlushTimeout(goodbyeTimeout)
	}
}

// watchNodes ends the nodes that are not heard any more.
func (b *Backplane) watchNodes(ctx context.Context) {
	ticker := time.NewTicker(nodeTick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			b.nodes.tick()
			b.drops.count()
		}
	}
}

// Hear says what somebody begins or ceases to hear here.
func (b *Backplane) Hear(changes []core.Interest) { b.interest.change(changes) }

// Serve says which services somebody begins or ceases to offer here.
func (b *Backplane) Serve(changes []core.Service) {
	b.nodes.serve(changes)
	for _, c := range changes {
		b.foreign.offer(c.Name, c.On)
	}
}

// Publish passes a message on to the other nodes that hear its topic.
func (b *Backplane) Publish(topic []byte, p core.Payload, headers []byte) {
	if !utf8.Valid(topic) {
		b.o.Stats.Dropped.Inc(core.ReasonInvalidUTF8)
		return
	}
	kind, data := pack(p)
	err := b.out.put(outgoing{header: withHeaders(withKind(nil, kind), headers), publish: true},
		func(dst []byte) []byte { return b.subjects.topic(dst, topic) }, data)
	if errors.Is(err, errTooLarge) {
		b.o.Logger.Warn("a message is too large for the cluster: it does not reach other nodes",
			logging.Bounded("", core.ReasonTooLarge.String()), logging.Quoted("topic", string(topic)), slog.Int("bytes", len(data)))
	}
}

// published handles a message on a topic, of another node or of anybody else.
func (b *Backplane) published(m *natsgo.Msg) {
	if m.Sub == nil {
		b.marked(m)
		return
	}
	topic, ok := b.subjects.topicOf(b.topic[:0], m.Subject)
	b.topic = topic
	p, err := payloadOf(m)
	headers, headersErr := headersOf(m)
	switch {
	case !ok || err != nil || headersErr != nil:
		b.o.Stats.Refused.Inc(core.ReasonMalformed)
	case !utf8.Valid(topic):
		b.o.Stats.Refused.Inc(core.ReasonInvalidUTF8)
	default:
		b.count(m)
		b.cluster.Published(topic, p, headers)
	}
}

// Claim asks for a channel.
func (b *Backplane) Claim(ctx context.Context, c core.Claim, grant func() core.Failure) core.Failure {
	return b.channels.claim(ctx, c, grant)
}

// Release gives a channel back.
func (b *Backplane) Release(channel string) { b.channels.release(channel) }

// group returns the queue group of the n-th connection.
func (b *Backplane) group(n uint64) string { return string(b.id) + "." + strconv.FormatUint(n, 10) }
