package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/internal/cluster/roster"
)

const (
	// pingPause is how often the server is asked whether it is there.
	pingPause = 2 * time.Second
	// attachTimeout bounds how long the server may take to learn all subscriptions.
	attachTimeout = time.Minute
	// goodbyeTimeout bounds each step of leaving.
	goodbyeTimeout = 2 * time.Second
	// nameProof is after which time without a refusal a node has its name.
	nameProof = 2 * time.Second
)

// errMoved says that another process of the Cluster has the keys and the sharded channels now.
var errMoved = fmt.Errorf("%w: the channels are at another server now", errLost)

// command returns the command for channels that own begins: that of sharded ones, or the plain one.
func command(own, plain string) string {
	if sharded(own) {
		return "S" + plain
	}
	return plain
}

var errLost = errors.New("the connection to Redis was lost")

// life connects, and connects again whenever a connection is lost. All that is bound to
// connections is in session: so there is one way to begin, and nothing of an old connection can
// be left over in a new one.
func (b *Backplane) life(ctx context.Context) {
	roster.KeepConnected(ctx, &b.health, b.o.Logger, b.session, func() time.Duration { return roster.MaxPause })
}

// session is the life of the connections to one server: one that subscribes, one that publishes,
// and those of go-redis for the register. It returns when the first of them has ended.
func (b *Backplane) session(ctx context.Context) error {
	srv, err := connect(ctx, &b.o)
	if err != nil {
		return err
	}
	defer srv.close()
	in, err := dial(ctx, srv.client.Options())
	if err != nil {
		return explain(connecting, err)
	}
	defer in.close()
	out, err := dial(ctx, srv.client.Options())
	if err != nil {
		return explain(connecting, err)
	}
	defer out.close()

	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	ended := make(chan error, 8)
	end := func(err error) {
		select {
		case ended <- err:
		default:
		}
	}
	defer func() {
		b.o.Stats.Connected.Store(false)
		b.nodes.Attach(nil)
		b.pings.Store(nil)
		cancel()
		in.close()
		out.close()
		b.interest.detach()
		parts.Wait()
	}()
	b.nodes.SetRefuse(end)

	messages := newIntake(b.o.Stats, b.cluster.Together, b.handle)
	parts.Go(func() { messages.run(ctx) })
	p := newPings(in)
	parts.Go(func() { end(b.readFrom(in, messages, p)) })
	if err := b.subscribe(ctx, in, p); err != nil {
		select {
		case first := <-ended:
			err = first
		default:
		}
		return explain(connecting, err)
	}
	b.out.start()
	parts.Go(func() {
		if err := b.out.run(ctx, out, b.own); err != nil {
			end(fmt.Errorf("%w: %w", errLost, err))
		}
	})
	b.nodes.Attach(mail{b})
	b.nodes.Hello()
	parts.Go(func() {
		if err := b.channels.run(ctx, newRegister(srv.client, b.o.Prefix, b.own)); err != nil {
			end(explain(asking, err))
		}
	})
	parts.Go(func() { b.places.Run(ctx, newRecords(srv.client, b.o.Prefix)) })
	b.pings.Store(p)
	b.o.Stats.Connects.Add(1)
	b.o.Stats.Connected.Store(true)
	b.health.Set(roster.AboutEngine, nil)
	return b.sayHello(ctx, p, ended)
}

// subscribe begins to hear. After it the server has all subscriptions, before anybody learns of
// this node.
func (b *Backplane) subscribe(ctx context.Context, in *wire, p *pings) error {
	b.health.Set(roster.AboutPermissions, nil)
	if err := in.send(command(b.own, "SUBSCRIBE"), b.own+"nodes", b.own+"channels", b.own+"node:"+string(b.id)); err != nil {
		return err
	}
	b.interest.attach(in)
	ctx, cancel := context.WithTimeout(ctx, attachTimeout)
	defer cancel()
	return p.wait(ctx)
}

// readFrom reads what comes to the subscribing connection, until it fails.
func (b *Backplane) readFrom(w *wire, in *intake, p *pings) error {
	defer close(p.lost)
	defer w.close()
	c := newCopies()
	for {
		m, err := w.push()
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", errLost, err)
		case m.err != nil:
			err := explain("subscribing at Redis", m.err)
			b.health.Set(roster.AboutPermissions, err)
			b.o.Logger.Warn("Redis refuses what the cluster needs", logging.Bounded("", ""), slog.String("error", err.Error()))
		case m.kind == "pong":
			p.pong()
		case m.long:
			b.o.Stats.Refused.Inc(core.ReasonTooLarge)
		case m.kind == "sunsubscribe":
			return errMoved
		case m.kind == "smessage":
			b.received(&m, in)
		case m.kind == "message" || m.kind == "pmessage":
			if c.counts(&m) {
				b.received(&m, in)
			}
		default:
			c.confirmed(&m)
		}
	}
}

// sayHello says hello until a connection ends.
func (b *Backplane) sayHello(ctx context.Context, p *pings, ended <-chan error) error {
	hello := time.NewTicker(roster.HelloTime)
	defer hello.Stop()
	ping := time.NewTicker(pingPause)
	defer ping.Stop()
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			if errors.Is(err, roster.ErrTwin) {
				b.health.Set(roster.AboutName, err)
				b.nodes.Bye()
				ctx, cancel := context.WithTimeout(ctx, goodbyeTimeout)
				defer cancel()
				_ = b.out.written(ctx)
			}
			return err
		case <-ping.C:
			if err := p.ping(); err != nil {
				return fmt.Errorf("%w: %w", errLost, err)
			}
		case <-hello.C:
			b.nodes.Hello()
			if time.Since(began) > nameProof {
				b.health.Set(roster.AboutName, nil)
			}
		}
	}
}
