package redis

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/internal/cluster/frame"
	"github.com/polywire/polywire/internal/cluster/places"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// Backplane joins this node to a cluster by Redis. It is a [core.Backplane].
type Backplane struct {
	// Static after construction.
	o        Options
	id       core.NodeID
	number   number
	own      string // see target.own
	out      *outbox
	interest *interest
	nodes    *roster.Roster
	channels *channels
	places   *places.Table
	syncs    *roster.Syncs
	health   roster.Health

	// Static after Start.
	cluster core.Cluster
	frames  frame.Receiver
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup

	pings atomic.Pointer[pings] // of the connection; nil while there is none
}

var _ core.Backplane = (*Backplane)(nil)

// New returns a backplane that has checked its options and started nothing.
func New(o Options) (*Backplane, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	clientLog{o.Logger}.use()
	b := &Backplane{o: o, id: roster.NewNode(o.Node), number: newNumber(), own: o.own()}
	b.out = newOutbox(o.OutboxBytes, o.Stats, o.Logger, b.unsent)
	b.interest = newInterest(o.Prefix, o.Stats, o.Logger)
	b.nodes = roster.New(roster.Options{
		ID: b.id, Name: o.Node, Stats: o.Stats, Logger: o.Logger,
		Fits:  func(service string) bool { return len(service) <= maxTopic },
		Heard: func(n core.NodeID) { b.channels.own.NodeHeard(n) }, Gone: func(n core.NodeID) { b.channels.own.NodeGone(n) },
	})
	b.syncs = roster.NewSyncs(b.nodes)
	b.channels = newChannels(b)
	b.places = newPlaces(b)
	return b, nil
}

// ID returns the id that this node has for the others, from New to Close. Any goroutine.
func (b *Backplane) ID() core.NodeID { return b.id }

// Health returns nil if the node is joined to the cluster and can own channels, or what is
// wrong and what can be done about it. Any goroutine.
func (b *Backplane) Health() error { return b.health.Err() }

// Start begins to join the cluster, in the background: a Redis that cannot be reached yet
// keeps no client of this node from being served.
func (b *Backplane) Start(c core.Cluster) {
	b.cluster = c
	b.channels.own.Start(c)
	b.places.Start(c)
	b.nodes.Start(c)
	b.frames = frame.Receiver{
		Mine: []core.NodeID{b.id}, Nodes: b.nodes, Syncs: b.syncs, Cluster: c, Stats: b.o.Stats,
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
	_ = b.out.written(ctx)
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
		}
	}
}

// Hear says what somebody begins or ceases to hear here.
func (b *Backplane) Hear(changes []core.Interest) { b.interest.change(changes) }

// Serve says which services somebody begins or ceases to offer here.
func (b *Backplane) Serve(changes []core.Service) { b.nodes.Serve(changes) }

// Publish passes a message on to the other nodes that hear its topic, and to all others that have
// subscribed to it. Its headers do not travel.
func (b *Backplane) Publish(topic []byte, p core.Payload, _ []byte) {
	switch {
	case !utf8.Valid(topic):
		b.o.Stats.Dropped.Inc(core.ReasonInvalidUTF8)
		return
	case len(topic) > maxTopic:
		b.tooLarge(topic, p)
		b.o.Stats.Dropped.Inc(core.ReasonTooLarge)
		return
	case bytes.HasPrefix(topic, []byte(b.o.Prefix)), bytes.HasPrefix(topic, []byte(b.own)):
		b.o.Stats.Dropped.Inc(core.ReasonReserved)
		return
	}
	err := b.out.put(outgoing{publish: p.Size() + 1}, payloadSize(p),
		func(dst []byte) []byte { return append(dst, topic...) },
		func(dst []byte) []byte { return appendMessage(dst, p, b.number) })
	if errors.Is(err, errTooLarge) {
		b.tooLarge(topic, p)
	}
}

func (b *Backplane) tooLarge(topic []byte, p core.Payload) {
	b.o.Logger.Warn("a message is too large for the cluster: it does not reach other nodes",
		logging.Bounded("", core.ReasonTooLarge.String()), logging.Quoted("topic", string(topic)), slog.Int("bytes", p.Size()))
}

// published handles a message on a topic, of another node or of anybody else.
func (b *Backplane) published(topic, data []byte) {
	body, f, _, marked := cutMark(data)
	var p core.Payload
	var err error
	if marked {
		p, err = readMarked(body, f)
	} else {
		p = sniff(data)
		err = p.Check()
	}
	switch {
	case err != nil:
		b.o.Stats.Refused.Inc(core.ReasonMalformed)
	case !utf8.Valid(topic):
		b.o.Stats.Refused.Inc(core.ReasonInvalidUTF8)
	default:
		b.count(len(data))
		b.cluster.Published(topic, p, nil)
	}
}

// count counts a message that has come in.
func (b *Backplane) count(bytes int) {
	b.o.Stats.MessagesIn.Add(1)
	b.o.Stats.BytesIn.Add(uint64(bytes))
}

// handle handles a message of the intake.
func (b *Backplane) handle(channel, data []byte) {
	own, ok := bytes.CutPrefix(channel, []byte(b.own))
	if !ok {
		b.published(channel, data)
		return
	}
	switch name := string(own); {
	case name == "nodes":
		b.nodes.Notice(data)
	case name == "channels":
		ev, err := decodeEvent(data)
		if err != nil {
			b.o.Stats.Refused.Inc(core.ReasonMalformed)
			return
		}
		b.channels.read(ev)
	case strings.TrimPrefix(name, "node:") == string(b.id):
		b.frames.Receive(data)
	}
}

// received handles a message of the subscribing connection, which copies says to count.
func (b *Backplane) received(p *push, in *intake) {
	kind := "message"
	if sharded(b.own) {
		kind = "smessage"
	}
	own, ok := bytes.CutPrefix(p.channel, []byte(b.own))
	if !ok && bytes.HasPrefix(p.channel, []byte(b.o.Prefix)) {
		return // topics are not called so
	}
	if ok {
		if p.kind != kind {
			return // somebody hears everything, and gets what nodes say to others
		}
		if string(own) == "nodes" && b.ownNotice(p.message) {
			return
		}
		in.put(p.channel, p.message, true)
		return
	}
	if _, _, n, ok := cutMark(p.message); ok && n == b.number {
		return
	}
	in.put(p.channel, p.message, false)
}

// noticeHead is where in a notice the node is.
const noticeHead = 256

// ownNotice reports whether a notice is this node's own.
func (b *Backplane) ownNotice(data []byte) bool {
	return bytes.Contains(data[:min(len(data), noticeHead)], []byte(`"node":"`+string(b.id)+`"`))
}

// Claim asks for a channel.
func (b *Backplane) Claim(ctx context.Context, c core.Claim, grant func() core.Failure) core.Failure {
	return b.channels.own.Claim(ctx, c, grant)
}

// Release gives a channel back.
func (b *Backplane) Release(channel string) { b.channels.own.Release(channel) }

// Holds reports whether the channels that Claim has given are still this node's.
func (b *Backplane) Holds() bool { return b.channels.own.Holds() }
