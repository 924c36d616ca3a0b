package polywire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/internal/admin"
	"github.com/polywire/polywire/internal/assembly"
)

// flushTimeout bounds the flush of the last log lines.
const flushTimeout = 2 * time.Second

// Broker is one broker. Its methods may be called from any goroutine.
type Broker struct {
	// Static after construction.
	cfg     *config.Config // the first configuration
	options []Option
	source  func() (*config.Config, error) // nil without WithSource
	listen  func(name, address string) (net.Listener, error)
	begin   func() (end func()) // called at each reload
	level   *slog.LevelVar      // nil without WithLogLevel
	given   []*givenListener
	log     *slog.Logger
	lines   *logging.Handler // the handler of log
	parts   *assembly.Parts  // everything that serves; Replace is called under reloading
	admin   *admin.Server    // nil if it is off
	servers []server         // those for operators and backends
	life    *life

	reloads   admin.Reloads
	refusals  admin.Refusals
	reloading sync.Mutex // held during a reload, and while draining begins
}

// New makes a broker from a configuration: one that [Load] or [Build] returned, or one made in Go, with which New
// does what Build does. cfg must not be changed after that. A nil logger means slog.Default(). Nothing listens or
// runs until Run. A broker that never runs needs Close, which releases what New opened for the configuration.
//
// The broker never waits for the logger: its handler is called later, in order, and has received
// every line when Run returns, unless it is stuck. It may block.
func New(cfg *config.Config, logger *slog.Logger, options ...Option) (*Broker, error) {
	if logger == nil {
		logger = slog.Default()
	}
	lines := logging.New(logger.Handler())
	logger = slog.New(lines)
	cfg, err := ready(cfg, logger)
	if err != nil {
		lines.Flush(flushTimeout) // of plugins
		return nil, err
	}
	own, err := gather(cfg, options)
	if err != nil {
		return nil, err
	}
	b := &Broker{
		cfg: cfg, options: options, source: own.source, listen: own.program.Listen, begin: own.begin,
		level: own.level, given: own.given, log: logger, lines: lines, life: newLife(),
	}
	if b.parts, err = assembly.New(cfg, own.program, logger); err != nil {
		lines.Flush(flushTimeout)
		return nil, err
	}
	own.setLevel()
	b.makeServers()
	return b, nil
}

// checkTimeout bounds how long Check tries to reach the engine of a cluster.
const checkTimeout = 10 * time.Second

// Check returns the error that New would return, and leaves nothing running. It finds missing
// resources, such as key files and session stores, because it opens them, and tries whether the
// engine of the cluster can be used.
func Check(cfg *config.Config, options ...Option) error {
	b, err := New(cfg, slog.New(slog.DiscardHandler), options...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	return errors.Join(b.parts.CheckCluster(ctx), b.Close())
}

// Handle makes h answer the calls of a service, or of all services that match a pattern, before any
// client that offers it; nil removes the handler. Services are named as clients name them, without
// the topic prefix of their endpoints. If several handlers match, the exact name wins, then the
// pattern registered first. A handler answers 256 calls at once; further ones fail with
// core.Overloaded.
func (b *Broker) Handle(match string, h core.Handler) { b.parts.Engine.Handle(match, h) }

// Otherwise makes h answer the calls that nobody else answers; nil removes it.
func (b *Broker) Otherwise(h core.Handler) { b.parts.Engine.Otherwise(h) }

// Use puts an interceptor around all handlers: those of Handle and Otherwise, and
// the services of the configuration. The first one is the outermost.
func (b *Broker) Use(i core.Interceptor) { b.parts.Engine.Use(i) }

// Ready is closed when all endpoints listen, or when they never will, because Run could not start
// them or the broker was closed first: then Err says why. A waiter does not wait for ever if Run or
// Close is called.
func (b *Broker) Ready() <-chan struct{} { return b.life.ready.ch }

// Err returns why the broker does not serve: the error of Run, or ErrClosed if it was closed
// without Run. It is nil before Run, while the broker serves, and after Run has ended without an
// error.
func (b *Broker) Err() error { return b.life.error() }

// Draining is closed when Run begins to drain: further calls and clients are refused.
func (b *Broker) Draining() <-chan struct{} { return b.life.draining.ch }

// Config returns the configuration in force: that of New, or of the last reload. After a reload it
// also contains keys that only take effect after a restart. It must not be changed.
func (b *Broker) Config() *config.Config { return b.parts.Config() }

// Endpoints describes the endpoints in configuration order, with their actual ports once they
// listen.
func (b *Broker) Endpoints() []EndpointInfo {
	return describe(b.parts.Config(), b.listens)
}

// listens returns the address of an endpoint's listener, or before it listens that of the configuration.
func (b *Broker) listens(ep *config.Endpoint) string {
	if addr := b.parts.Network.Addr(ep.Name); addr != nil {
		return listenText(addr)
	}
	return ep.Listen
}

// AdminURL returns the address of the metrics, "" if there is none. The actual port is known once
// Ready is closed.
func (b *Broker) AdminURL() string {
	if b.admin != nil && b.life.ready.open() {
		if addr := b.admin.Addr(); addr != nil {
			return metricsURL(listenText(addr), b.cfg.Admin.TLS.On())
		}
	}
	return AdminURL(b.cfg)
}

// Run serves until ctx ends and then drains: it admits no new clients, waits for the calls in
// flight, says goodbye to all clients at the configured pace, waits for their hooks, and returns.
// If ctx ends with [ErrHandedOver] as its cause, nobody is refused. It may be called once; a second
// call returns an error and changes nothing. The error says what could not be started, or could not
// be ended in time.
func (b *Broker) Run(ctx context.Context) error {
	ctx, err := b.life.run(ctx)
	if err != nil {
		return err
	}
	err = b.serve(ctx)
	b.life.end(err)
	return err
}

// Close ends the broker. If it runs, Close makes Run drain, and returns the error of Run when Run
// has returned. Otherwise Close releases what New made, and Run fails from then on. Further calls
// do nothing more. It may be called from any goroutine except those of handlers and hooks, because
// Run waits for them.
func (b *Broker) Close() error {
	if b.life.stop() {
		b.close()
		b.life.end(ErrClosed)
		return nil
	}
	<-b.life.over.ch
	if err := b.life.error(); !errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}

// serve is the body of Run. Nothing runs any more when it returns.
func (b *Broker) serve(ctx context.Context) error {
	defer b.close()
	// The admin server starts first and stops last, so it also reports starting and draining.
	if err := b.startServers(); err != nil {
		return err
	}
	if err := b.parts.Start(); err != nil {
		return errors.Join(fmt.Errorf("starting the endpoints: %w", err), b.stopServers())
	}
	b.reloads.Last.Store(time.Now().Unix())
	b.life.ready.pass()
	<-ctx.Done()
	b.takeLeave(context.Cause(ctx))
	return b.drain()
}

// close ends what New and Run started. The endpoints no longer serve.
func (b *Broker) close() {
	b.parts.Close()
	for _, one := range b.given {
		_ = one.listener.Close() // it is closed already, if it was used
	}
	b.lines.Flush(flushTimeout)
}
