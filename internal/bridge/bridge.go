package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
)

// Options are those of one bridge. Static.
type Options struct {
	// Endpoint is the bridge as the engine knows it: its name, limits, access list and counters.
	Endpoint *core.Endpoint
	// ID is the number of the connection to the engine.
	ID uint64
	// Hub is the engine.
	Hub core.Hub
	// Room waits until there is room for what is published next, or ctx ends.
	Room func(ctx context.Context) error
	// Crowded reports whether Room would wait.
	Crowded func() bool
	// Together runs f. What f publishes reaches each client here in one write.
	Together func(f func())
	// Leads reports whether no other node of the cluster may have begun to do what the bridge does. Any
	// goroutine.
	Leads func() bool
	// Server says how the old server is reached. Codec, Heard, Lull, Changed, Field, Queued and how it fails
	// are set here.
	Server client.Options
	// Neighbours are those of the broker.
	Neighbours *Neighbours
	// Format is that of the old server.
	Format core.ClientFormat

	// Hear are topics, or patterns where the format has them, that are heard at the old server and
	// published here.
	Hear []string
	// Tell are patterns of what is published here and said to the old server.
	Tell []string
	// Owned are the channels that the bridge owns at the old server, and Answered the services that it
	// answers there by asking here; those of a format with owners lie below a channel of Owned.
	Owned, Answered []string
	// Offered are services that are answered here by asking the old server.
	Offered []string
	// CallTimeout is how long a call to the old server may take.
	CallTimeout time.Duration

	Logger *slog.Logger
}

// Bridge is one bridge. Static after construction, but where it says otherwise.
type Bridge struct {
	o      Options
	log    *slog.Logger
	loop   *loop
	peer   core.Peer // static after Start
	opened time.Time
	ctx    context.Context
	stop   context.CancelFunc
	echoes echoes
	told   func(core.Event, error) // countTold

	offered []bool // by index of Options.Offered: it is offered here; owned by the loop

	servers   []*server // static; one for all topics, or one for each
	connected atomic.Int64
	trouble   atomic.Pointer[error] // why the old server cannot be reached; nil if it can
}

// New returns a bridge that does nothing until Start.
func New(o Options) *Bridge {
	b := &Bridge{o: o, log: o.Logger, loop: newLoop(o.Server.Panicked), offered: make([]bool, len(o.Offered))}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	b.told = b.countTold
	b.prepare()
	return b
}

// Start connects to the engine and, in the background, to the old server, as often as it takes. It is
// called once, after the engine was started. Any goroutine.
func (b *Bridge) Start() {
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.opened = time.Now()
	ready := make(chan struct{})
	b.loop.post(func() {
		b.peer = b.o.Hub.Connect(b)
		b.o.Endpoint.Stats.Opened.Add(1)
		b.o.Endpoint.Stats.Open.Add(1)
		for _, pattern := range b.o.Tell {
			b.peer.Do(core.Command{Verb: core.Subscribe, Topic: []byte(pattern), Pattern: true})
		}
		close(ready)
	})
	go b.loop.run(b.ctx, b.askAgain)
	<-ready
	for _, s := range b.servers {
		s.client.Start()
	}
}

// Stop leaves the old server and the engine. What waits is said before, as far as ctx allows. It is called
// once, after Start. Any goroutine.
func (b *Bridge) Stop(ctx context.Context) {
	b.stop()
	for _, s := range b.servers {
		s.client.Close(ctx)
		b.o.Neighbours.left(s)
	}
	<-b.loop.ended
	// Nothing runs on the loop any more: this goroutine is the loop now.
	b.peer.Leaving()
	b.peer.Gone(core.ReasonNormal)
	b.o.Endpoint.Stats.Open.Add(-1)
	b.o.Endpoint.Stats.Closed.Inc(core.ReasonNormal)
	b.loop.end()
}

// Health returns why the old server cannot be reached; nil if it can. Any goroutine.
func (b *Bridge) Health() error {
	if b.connected.Load() == int64(len(b.servers)) {
		return nil
	}
	if err := b.trouble.Load(); err != nil {
		return *err
	}
	return errors.New("not connected yet")
}

// Check returns what the format has no words for; that of a plugin which does not run yet is not known. Any
// goroutine.
func (b *Bridge) Check() error {
	codec := b.o.Format.NewClientCodec()
	if remote, ok := codec.(core.RemoteClientCodec); ok {
		defer remote.Close()
	}
	if bounded, ok := codec.(core.BoundedClientCodec); ok && b.o.Server.MaxSaid > 0 {
		bounded.Bound(b.o.Server.MaxSaid)
	}
	var errs []error
	try := func(what string, c core.Command) {
		_, err := codec.Say(c, func(core.Frame) {})
		_, unsayable := errors.AsType[*core.Unsayable](err)
		if _, big := errors.AsType[*core.TooBig](err); unsayable || big {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
	}
	for _, topic := range b.o.Hear {
		try("hear "+topic, core.Command{Verb: core.Subscribe, Topic: []byte(topic), Pattern: true})
	}
	for _, c := range b.offers() {
		try("answer for", c)
	}
	for _, service := range b.o.Offered {
		try("ask for "+service, core.Command{Verb: core.Call, Topic: []byte(service), Payload: core.Payload{Kind: core.JSON, Data: []byte("1")}})
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("bridge %q: %w", b.o.Endpoint.Name, errors.Join(errs...))
}
