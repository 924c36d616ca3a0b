package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/internal/cluster/roster"
)

const (
	// twinPause is how long a node waits, likewise, whose name is taken.
	twinPause = 10 * time.Second
	// helloPause is how often a node says hello.
	helloPause = roster.HelloTime
	// attachTimeout bounds how long the server may take to learn all subscriptions.
	attachTimeout = time.Minute
	// goodbyeTimeout bounds each step of leaving.
	goodbyeTimeout = 2 * time.Second
	// nameProof is after which time without a refusal a node has its name.
	nameProof = 2 * time.Second
)

var errLost = errors.New("the connection to NATS was lost")

// life connects, and connects again whenever the connection is lost. All that is bound to a
// connection is in session: so there is one way to begin, and nothing of an old connection can
// be left over in a new one.
func (b *Backplane) life(ctx context.Context) {
	n := uint64(0) // connections
	connect := func(ctx context.Context) error { return b.connected(ctx, &n) }
	roster.KeepConnected(ctx, &b.health, b.o.Logger, connect, func() time.Duration {
		// Servers of one name must not be in one cluster until the other one leaves.
		b.engine.stop()
		return twinPause
	})
}

// connected connects and returns when the connection has ended, with the reason. n counts the
// connections.
func (b *Backplane) connected(ctx context.Context, n *uint64) error {
	ended := make(chan struct{})
	nc, err := b.engine.connect(ctx, connection{closed: sync.OnceFunc(func() { close(ended) }), failed: b.failed})
	if err != nil {
		return err
	}
	defer func() {
		nc.Close()
		<-ended
	}()
	*n++
	return b.session(ctx, nc, ended, *n)
}

// failed handles what the client tells of a connection or a subscription.
func (b *Backplane) failed(sub *natsgo.Subscription, err error) {
	switch {
	case errors.Is(err, natsgo.ErrSlowConsumer) && sub != nil:
		b.drops.began(sub)
	case errors.Is(err, natsgo.ErrBadHeaderMsg):
		b.o.Stats.Refused.Inc(core.ReasonMalformed)
	case errors.Is(err, natsgo.ErrPermissionViolation), errors.Is(err, natsgo.ErrMaxSubscriptionsExceeded):
		b.health.Set(roster.AboutPermissions, err)
		b.o.Logger.Warn("NATS refuses what the cluster needs: check the permissions of the user",
			logging.Bounded("", ""), slog.String("error", err.Error()))
	}
}

// session is the life of one connection.
func (b *Backplane) session(ctx context.Context, nc *natsgo.Conn, ended <-chan struct{}, n uint64) error {
	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	refused := make(chan error, 1)
	b.nodes.SetRefuse(func(err error) {
		select {
		case refused <- err:
		default:
		}
	})
	defer func() {
		b.o.Stats.Connected.Store(false)
		b.conn.Store(nil)
		b.nodes.Attach(nil)
		b.topics.Store(nil)
		b.foreign.attach(nil, nil)
		b.interest.attach(nil)
		cancel()
		nc.Close()
		parts.Wait()
	}()

	topics, speech := newIntake(b.o.Stats, b.cluster.Together, b.published), newIntake(b.o.Stats, b.cluster.Together, b.spoken)
	parts.Go(func() { topics.run(ctx) })
	b.topics.Store(topics)
	parts.Go(func() { speech.run(ctx) })
	for _, subject := range []string{b.subjects.nodes(), b.subjects.node(b.id)} {
		if _, err := nc.ChanSubscribe(subject, speech.ch); err != nil {
			return err
		}
	}
	b.health.Set(roster.AboutPermissions, nil)
	b.interest.attach(&line{nc: nc, group: b.group(n), ch: topics.ch})
	b.foreign.attach(nc, speech.ch)
	// After this the server has all subscriptions, before anybody learns of this node.
	if err := nc.FlushTimeout(attachTimeout); err != nil {
		return err
	}
	b.conn.Store(nc)
	b.nodes.Attach(&mail{nc: nc, subjects: b.subjects, id: b.id})
	b.nodes.Hello()
	opened := make(chan struct{})
	parts.Go(func() { b.out.run(ctx, nc, b.subjects.origin(b.group(n)), opened) })
	<-opened
	servers, alone := b.engine.servers(), b.engine.alone()
	parts.Go(func() { b.channels.run(ctx, nc, servers, alone) })
	parts.Go(func() { b.keepPlaces(ctx, nc, servers) })
	b.o.Stats.Connects.Add(1)
	b.o.Stats.Connected.Store(true)
	b.health.Set(roster.AboutEngine, nil)
	return b.sayHello(ctx, nc, ended, refused)
}

// sayHello says hello until the connection ends.
func (b *Backplane) sayHello(ctx context.Context, nc *natsgo.Conn, ended <-chan struct{}, refused <-chan error) error {
	ticker := time.NewTicker(helloPause)
	defer ticker.Stop()
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			if err := nc.LastError(); err != nil {
				return fmt.Errorf("%w: %w", errLost, err)
			}
			return errLost
		case err := <-refused:
			b.health.Set(roster.AboutName, err)
			b.nodes.Bye()
			_ = nc.FlushTimeout(goodbyeTimeout)
			return err
		case <-ticker.C:
			b.nodes.Hello()
			if err := b.engine.nameTaken(); err != nil || time.Since(began) > nameProof {
				b.health.Set(roster.AboutName, err)
			}
			if b.engine.stuck() {
				return errStuck
			}
		}
	}
}

// spoken handles what is said to all nodes, to this one, or to who offers a service.
func (b *Backplane) spoken(m *natsgo.Msg) {
	switch m.Subject {
	case b.subjects.nodes():
		b.nodes.Notice(m.Data)
	case b.subjects.node(b.id):
		b.frames.Receive(m.Data)
	default:
		b.count(m)
		b.foreign.asked(m)
	}
}
