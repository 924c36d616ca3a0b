package assembly

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/engine"
	"github.com/polywire/polywire/internal/auth"
	"github.com/polywire/polywire/internal/bridge"
	"github.com/polywire/polywire/internal/certs"
)

// bridgeFarewell is how long an old server has to read what waits when a bridge ends.
const bridgeFarewell = 3 * time.Second

// leadPrefix begins the names by which the nodes of a cluster agree on who runs which bridge.
const leadPrefix = core.ServeTopic + "$bridge/"

// bridging is a configured bridge. In a cluster each node has it, and one of them runs it.
type bridging struct {
	// Static after construction.
	config   config.Bridge
	endpoint *core.Endpoint
	engine   *engine.Engine
	build    func(leads func() bool) *bridge.Bridge // makes the bridge anew for each time that this node runs it
	ctx      context.Context
	cancel   context.CancelFunc // ends ctx
	ended    chan struct{}      // closed when what start began has ended

	// Atomic. The bridge while this node runs it; else nil.
	running atomic.Pointer[bridge.Bridge]

	life    sync.Mutex // held by start and stop
	started bool       // guarded by life
}

// start runs the bridge in the background, until stop, when it is this node that is to run it. After stop
// it does nothing.
func (b *bridging) start() {
	b.life.Lock()
	defer b.life.Unlock()
	if b.ctx.Err() != nil {
		return
	}
	b.started = true
	go func() {
		defer close(b.ended)
		b.engine.Lead(b.ctx, leadPrefix+b.config.Name, b.run)
	}()
}

// run runs the bridge until ctx ends.
func (b *bridging) run(ctx context.Context) {
	one := b.build(func() bool { return b.engine.Leads(ctx) })
	one.Start()
	b.running.Store(one)
	<-ctx.Done()
	b.running.Store(nil)
	farewell, cancel := context.WithTimeout(context.Background(), bridgeFarewell)
	defer cancel()
	if errors.Is(context.Cause(ctx), engine.ErrLeadLost) {
		cancel() // another node does all that already
	}
	one.Stop(farewell)
}

// stop ends the bridge, if it was started, and waits for that.
func (b *bridging) stop() {
	b.life.Lock()
	defer b.life.Unlock()
	b.cancel()
	if b.started {
		<-b.ended
	}
}

// health returns why the old server cannot be reached; nil if it can.
func (b *bridging) health() error {
	if one := b.running.Load(); one != nil {
		return one.Health()
	}
	return errors.New("it does not run yet")
}

// standby returns the node that runs the bridge instead of this one; empty if none is known.
func (b *bridging) standby() string {
	node, _ := b.engine.Leader(leadPrefix + b.config.Name)
	return string(node)
}

// addBridges makes the bridges. One that does not change goes on; another one of the same name ends
// before it starts.
func (d *draft) addBridges() error {
	var added []*bridging
	for _, c := range d.cfg.Bridges {
		previous := d.old.bridging(c.Name)
		if previous != nil && reflect.DeepEqual(previous.settings(), settingsOf(c)) {
			d.bridges = append(d.bridges, previous)
			continue
		}
		stats := new(core.Stats)
		if previous != nil {
			stats = previous.endpoint.Stats
		}
		b, err := d.newBridge(c, stats)
		if err != nil {
			return err
		}
		d.bridges = append(d.bridges, b)
		added = append(added, b)
	}
	ended := slices.DeleteFunc(slices.Clone(d.old.bridges), func(b *bridging) bool { return slices.Contains(d.bridges, b) })
	d.onStart(func() {
		d.background.run(func() {
			endAll(ended)
			select {
			case <-d.network.Running(): // they are guests of the event loops
			case <-d.background.ctx.Done():
			}
			for _, b := range added {
				b.start()
			}
		})
	})
	return nil
}

// bridging returns the bridge with a name; nil if there is none.
func (s *state) bridging(name string) *bridging {
	if i := slices.IndexFunc(s.bridges, func(b *bridging) bool { return b.config.Name == name }); i >= 0 {
		return s.bridges[i]
	}
	return nil
}

// settings are what a bridge is made of.
func (b *bridging) settings() config.Bridge { return settingsOf(b.config) }

func settingsOf(c config.Bridge) config.Bridge {
	c.Format = nil // made of Protocol
	return c
}

func (d *draft) newBridge(c config.Bridge, stats *core.Stats) (*bridging, error) {
	security, err := bridgeTLS(c.TLS)
	if err != nil {
		return nil, fmt.Errorf("bridge %q: %w", c.Name, err)
	}
	header := http.Header{}
	for name, value := range c.Headers {
		header.Set(name, value)
	}
	if c.Token != "" {
		header.Set("Authorization", "Bearer "+c.Token)
	}
	log := d.log.With("bridge", c.Name)
	access := auth.NewRules(nil)
	access.Replace(acl(c.ACL))
	possible := core.PossibleWith(c.Format)
	possible.Dropped |= core.Reasons(1<<core.ReasonDenied | 1<<core.ReasonTooLarge) // by the old server
	b := &bridging{config: c, engine: d.engine, ended: make(chan struct{})}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.endpoint = &core.Endpoint{
		Name: c.Name, Protocol: c.Protocol, TopicPrefix: c.TopicPrefix, Access: access,
		Limits: core.NewLiveLimits(core.Limits{CallTimeout: c.Calls.Timeout}), Possible: possible, Stats: stats,
	}
	d.onDiscard(b.close)
	if d.serving {
		if err := startPlugin(c.Format, b.endpoint, log); err != nil {
			return nil, fmt.Errorf("bridge %q: %w", c.Name, err)
		}
	}
	options := bridge.Options{
		Endpoint: b.endpoint, Hub: d.engine, Room: d.network.WaitForRoom, Crowded: d.network.Crowded, Together: d.network.Together, Neighbours: d.neighbours, Format: c.Format,
		Server: client.Options{Host: d.network.Host, Panicked: d.network.Panicked, URL: c.URL, Header: header, Subprotocols: c.Subprotocols, TLS: security, QueueBytes: int(c.QueueLimit), MaxSaid: int(c.MaxMessageSize)},
		Hear:   c.Hear, Tell: c.Tell, Owned: c.Owns, Answered: c.Calls.From, Offered: c.Calls.To, CallTimeout: c.Calls.Timeout,
		Logger: log,
	}
	b.build = func(leads func() bool) *bridge.Bridge {
		o := options
		o.Leads = leads
		o.ID = d.network.NextNumber()
		return bridge.New(o)
	}
	return b, b.build(nil).Check()
}

// startPlugin starts the plugin, and then asks it what the bridge could not know without it.
func (b *bridging) startPlugin(log *slog.Logger) error {
	if err := startPlugin(b.config.Format, b.endpoint, log.With("bridge", b.config.Name)); err != nil {
		return fmt.Errorf("bridge %q: %w", b.config.Name, err)
	}
	return b.build(nil).Check()
}

// close ends the plugin. The bridge has ended, or has never begun.
func (b *bridging) close() {
	stopPlugin(b.config.Format)
}

// bridgeTLS returns the TLS of the connection to the old server.
func bridgeTLS(c config.BridgeTLS) (*tls.Config, error) {
	t, err := certs.Peer{CA: c.CA, Pair: certs.Pair{Cert: c.Cert, Key: c.Key}}.Config()
	if err != nil {
		return nil, fmt.Errorf("reading tls.%w", err)
	}
	t.ServerName, t.InsecureSkipVerify = c.ServerName, c.Insecure
	return t, nil
}

// HandOverBridges lets other nodes of the cluster run the bridges, in the background. A broker that is alone
// keeps them until Close: nobody else runs them. Any goroutine; before Close.
func (p *Parts) HandOverBridges() {
	if p.cluster != nil {
		p.background.run(p.endBridges)
	}
}

// endBridges ends all bridges.
func (p *Parts) endBridges() { endAll(p.state.Load().bridges) }

func endAll(all []*bridging) {
	var ending sync.WaitGroup
	for _, b := range all {
		ending.Go(func() {
			b.stop()
			b.close()
		})
	}
	ending.Wait()
}
