package assembly

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/engine"
	"github.com/polywire/polywire/core/network"
	"github.com/polywire/polywire/internal/admin"
	"github.com/polywire/polywire/internal/bridge"
	"github.com/polywire/polywire/internal/cluster/nats"
	"github.com/polywire/polywire/internal/cluster/redis"
)

// cluster is the broker's side of a cluster. Its methods may be called on nil, which is that of a
// broker that is alone.
type cluster struct {
	backplane backplane
	check     func(context.Context) error // tries whether the engine can be used, without start
	stats     *core.ClusterStats
	end       context.CancelFunc // ends what start began; nil before it
}

// backplane is what there is for each engine.
type backplane interface {
	core.Backplane
	// ID returns the id of this node. Any goroutine.
	ID() core.NodeID
	// Health returns what is wrong, and what to do; nil if nothing is. Any goroutine.
	Health() error
	// Sync waits until the other nodes have got everything that this one was told before the
	// call. Any goroutine except those of Cluster.
	Sync(context.Context) error
	// Sessions returns the session store of the cluster: one that is used for maxAge no more is gone.
	Sessions(maxAge time.Duration) core.SharedSessions
	// Places returns the places of users.
	Places() core.Places
}

// newCluster makes what joins the broker to others; nil if it is alone. Nothing runs until start.
func newCluster(c config.Cluster, log *slog.Logger) (*cluster, error) {
	if !c.On() {
		return nil, nil
	}
	stats := new(core.ClusterStats)
	log = log.With("node", c.Node)
	var b backplane
	var check func(context.Context) error
	var err error
	switch c.Engine {
	case "redis":
		b, check, err = onRedis(c, stats, log)
	default:
		b, check, err = onNATS(c, stats, log)
	}
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return &cluster{backplane: b, check: check, stats: stats}, nil
}

func onRedis(c config.Cluster, stats *core.ClusterStats, log *slog.Logger) (backplane, func(context.Context) error, error) {
	options := redis.Options{
		Node: c.Node, URL: c.URL, TLS: c.TLS.Peer(), Prefix: c.Prefix + ":", OutboxBytes: int(c.QueueLimit), Logger: log, Stats: stats,
	}
	b, err := redis.New(options)
	return b, func(ctx context.Context) error { return redis.Check(ctx, options) }, err
}

func onNATS(c config.Cluster, stats *core.ClusterStats, log *slog.Logger) (backplane, func(context.Context) error, error) {
	options := nats.Options{
		Node: c.Node, URL: c.URL, Credentials: c.Credentials,
		TLS:         c.TLS.Peer(),
		Embedded:    embedded(c.Embedded),
		Prefix:      c.Prefix,
		OutboxBytes: int(c.QueueLimit),
		Logger:      log, Stats: stats,
	}
	b, err := nats.New(options)
	return b, func(ctx context.Context) error { return nats.Check(ctx, options) }, err
}

// embedded returns the server within this process; nil if there is none.
func embedded(e config.Embedded) *nats.Embedded {
	if e.Listen == "" {
		return nil
	}
	return &nats.Embedded{Listen: e.Listen, Routes: e.Routes, Secret: e.Secret, TLS: e.TLS.Peer(), StoreDir: e.StoreDir, Client: e.Client}
}

// port returns what the engine needs of it; nil if the broker is alone.
func (c *cluster) port() core.Backplane {
	if c == nil {
		return nil
	}
	return c.backplane
}

// sessions returns the session store of all nodes. The configuration has been checked: there is a
// cluster.
func (c *cluster) sessions(n core.Needs) (core.SessionStore, error) {
	if c == nil {
		return nil, errors.New("a session store of the cluster needs one")
	}
	return c.backplane.Sessions(n.SessionLimits.MaxAge), nil
}

// places returns what counts users over all nodes; nil if the broker is alone.
func (c *cluster) places() core.Places {
	if c == nil {
		return nil
	}
	return c.backplane.Places()
}

// neighbours returns those of the broker, whose bridges show what the other nodes know it by.
func (c *cluster) neighbours() *bridge.Neighbours {
	if c == nil {
		return bridge.NewNeighbours(uuid.NewString())
	}
	return bridge.NewNeighbours(string(c.backplane.ID()))
}

// numbersAfter returns where the numbers of this node's connections begin. They have 53 bits, as
// many as programs keep that read a log in JSON; the upper ones are random, so that two nodes have
// hardly ever the same. A broker that is alone begins with 1.
func (c *cluster) numbersAfter() uint64 {
	if c == nil {
		return 0
	}
	const own, all = 32, 53
	return rand.Uint64N(1<<(all-own)-1)<<own + 1<<own
}

// start joins the cluster, in the background.
func (c *cluster) start(e *engine.Engine, n *network.Server, neighbours *bridge.Neighbours, others *nodes) {
	if c == nil {
		return
	}
	var ctx context.Context
	ctx, c.end = context.WithCancel(context.Background())
	c.backplane.Start(arrivals{Engine: e, network: n, neighbours: neighbours, nodes: others, ctx: ctx, stats: c.stats})
}

// close leaves the cluster.
func (c *cluster) close() {
	if c != nil && c.end != nil {
		c.end()
		c.backplane.Close()
		c.end = nil
	}
}

// arrivals is the engine as the backplane calls it.
type arrivals struct {
	*engine.Engine
	network    *network.Server
	neighbours *bridge.Neighbours
	nodes      *nodes
	ctx        context.Context
	stats      *core.ClusterStats
}

// Together runs f, and lets each loop handle in one turn what comes meanwhile.
func (a arrivals) Together(f func()) { a.network.Together(f) }

// Published waits for room as a client that publishes does, so that other nodes cannot fill the
// mailboxes: what waits then waits in the engine of the cluster, and is dropped and counted there.
func (a arrivals) Published(topic []byte, p core.Payload, headers []byte) {
	if err := a.network.WaitForRoom(a.ctx); err != nil {
		a.stats.Dropped.Inc(core.ReasonDrain)
		return
	}
	a.Engine.Published(topic, p, headers)
}

// Asked puts a call of another node to a client here, or answers the node itself.
func (a arrivals) Asked(from core.NodeID, q core.Question) {
	if !a.nodes.asked(from, q) {
		a.Engine.Asked(from, q)
	}
}

// Joined ends bridges that lead to the node.
func (a arrivals) Joined(n core.NodeID) {
	a.nodes.joins(n)
	a.neighbours.NodeJoined(string(n))
}

// Gone forgets the node.
func (a arrivals) Gone(n core.NodeID) {
	a.nodes.gone(n)
	a.neighbours.NodeGone(string(n))
	a.Engine.Gone(n)
}

// Cluster returns the broker as a node of a cluster; nil if it is alone.
func (p *Parts) Cluster() *admin.Cluster {
	if p.cluster == nil {
		return nil
	}
	return &admin.Cluster{Stats: p.cluster.stats, Health: p.cluster.backplane.Health}
}

// AwaitCluster waits until the other nodes know what clients here have subscribed, offered and
// published before the call. It returns at once if there is no cluster.
func (p *Parts) AwaitCluster(ctx context.Context) error {
	if p.cluster == nil {
		return nil
	}
	p.Engine.Announce()
	return p.cluster.backplane.Sync(ctx)
}

// CheckCluster tries whether the engine of the cluster can be used, before Start.
func (p *Parts) CheckCluster(ctx context.Context) error {
	if p.cluster == nil {
		return nil
	}
	if err := p.cluster.check(ctx); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}
