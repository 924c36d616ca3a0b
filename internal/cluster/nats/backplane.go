package nats

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/internal/cluster/frame"
	"github.com/polywire/polywire/internal/cluster/places"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// Backplane joins this node to a cluster by NATS. It is a [core.Backplane].
type Backplane struct {
	// Static after construction.
	o        Options
	id       core.NodeID
	subjects subjects
	out      *outbox
	interest *interest
	nodes    *roster.Roster
	foreign  *foreign
	channels *channels
	places   *places.Table
	syncs    *roster.Syncs
	health   roster.Health
	drops    *drops

	// Static after Start.
	cluster core.Cluster
	frames  frame.Receiver
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup

	topics atomic.Pointer[intake]      // of the connection; nil while there is none
	conn   atomic.Pointer[natsgo.Conn] // nil while the nodes cannot be spoken to

	// Owned by the goroutine of life, and after it by Close.
	engine engine

	// Owned by the goroutine that handles topics.
	topic   []byte
	origins *origins
}

var _ core.Backplane = (*Backplane)(nil)

// New returns a backplane that has checked its options and started nothing.
func New(o Options) (*Backplane, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	b := &Backplane{o: o, id: roster.NewNode(o.Node), subjects: subjects{o.Prefix}, drops: newDrops(o.Stats)}
	b.origins = newOrigins(b.subjects, b.id)
	b.out = newOutbox(o.OutboxBytes, o.Stats, b.unsent)
	b.interest = newInterest(b.subjects, o.Stats, o.Logger)
	b.foreign = newForeign(b.subjects, o.Stats, b.out)
	b.nodes = roster.New(roster.Options{
		ID: b.id, Name: o.Node, Stats: o.Stats, Logger: o.Logger,
		Fits:  func(service string) bool { return len(b.subjects.service(service)) <= maxSubject },
		Heard: func(n core.NodeID) { b.channels.own.NodeHeard(n) }, Gone: func(n core.NodeID) { b.channels.own.NodeGone(n) },
	})
	b.syncs = roster.NewSyncs(b.nodes)
	b.channels = newChannels(b)
	b.places = newPlaces(b)
	b.engine = engine{o: &b.o}
	return b, nil
}

// ID returns the id that this node has for the others, from New to Close. Any goroutine.
func (b *Backplane) ID() core.NodeID { return b.id }

// Health returns nil if the node is joined to the cluster and can own channels, or what is
// wrong and what can be done about it. Any goroutine.
func (b *Backplane) Health() error { return b.health.Err() }

// Start begins to join the cluster, in the background: an engine that cannot be reached yet
// keeps no client of this node from being served.
func (b *Backplane) Start(c core.Cluster) {
	b.cluster, b.foreign.cluster = c, c
	b.channels.own.Start(c)
	b.places.Start(c)
	b.nodes.Start(c)
	b.frames = frame.Receiver{
		Mine: []core.NodeID{b.id, foreignNode}, Nodes: b.nodes, Syncs: b.syncs, Cluster: c, Stats: b.o.Stats,
		Look: b.places.Look, Sync: b.syncAsked,
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.ctx, b.cancel = ctx, cancel
	b.health.Set(roster.AboutEngine, errors.New("cluster: not connected yet"))
	b.running.Go(func() { b.life(ctx) })
	b.running.Go(func() { b.watchNodes(ctx) })
	b.running.Go(func() { b.channels.own.Guard(ctx) })
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
	ctx, cancel := context.WithTimeout(b.ctx, goodbyeTimeout)
	defer cancel()
	b.places.Leave(ctx)
	_ = b.out.written(ctx)
	b.channels.leave()
	b.nodes.Bye()
	if nc := b.conn.Load(); nc != nil {
		_ = nc.FlushTimeout(goodbyeTimeout)
	}
}

// watchNodes ends the nodes that are not heard any more.
func (b *Backplane) watchNodes(ctx context.Context) {
	ticker := time.NewTicker(roster.TickTime)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			b.nodes.Tick()
			b.drops.count()
		}
	}
}

// Hear says what somebody begins or ceases to hear here.
func (b *Backplane) Hear(changes []core.Interest) { b.interest.change(changes) }

// Serve says which services somebody begins or ceases to offer here.
func (b *Backplane) Serve(changes []core.Service) {
	b.nodes.Serve(changes)
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
	err := b.out.put(outgoing{header: withHeaders(withKind(nil, kind), headers), publish: true, topic: true},
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
	if b.origins.late(m.Reply) {
		b.o.Stats.Dropped.Inc(core.ReasonUnavailable)
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
	return b.channels.own.Claim(ctx, c, grant)
}

// Release gives a channel back.
func (b *Backplane) Release(channel string) { b.channels.own.Release(channel) }

// Holds reports whether the channels that Claim has given are still this node's.
func (b *Backplane) Holds() bool { return b.channels.own.Holds() }

// group returns the queue group of the n-th connection.
func (b *Backplane) group(n uint64) string { return string(b.id) + "." + strconv.FormatUint(n, 10) }
