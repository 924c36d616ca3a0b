package polywire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/polywire/polywire/admin"
	"github.com/polywire/polywire/assembly"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// flushTimeout is how long the last lines of the log may take.
const flushTimeout = 2 * time.Second

// Broker is one broker. Its methods may be called from any goroutine.
type Broker struct {
	// Static after construction.
	cfg     *config.Config // that it began with
	options []Option
	source  func() (*config.Config, error) // nil without WithSource
	listen  func(name, address string) (net.Listener, error)
	begin   func() (end func()) // told of reloads
	log     *slog.Logger
	lines   *logging.Handler // of log
	parts   *assembly.Parts  // what serves; Replace is called under reloading
	admin   *admin.Server    // nil if it is turned off
	life    *life

	reloads   admin.Reloads
	reloading sync.Mutex // held by a reload, and when draining begins
}

// New makes a broker of a configuration that [Load] or [config.Load] returned; cfg must
// not be changed after that. A nil logger is slog.Default(). Nothing listens or runs yet:
// that begins with Run. A broker that is not run is ended with Close, which closes what
// its configuration has opened.
//
// Nothing in the broker waits for the logger: its handler is called later, in order, and
// has got everything when Run returns, unless it is stuck. It may block.
func New(cfg *config.Config, logger *slog.Logger, options ...Option) (*Broker, error) {
	if cfg == nil {
		return nil, errNoConfig
	}
	if logger == nil {
		logger = slog.Default()
	}
	lines := logging.New(logger.Handler())
	logger = slog.New(lines)
	own, err := gather(cfg, options)
	if err != nil {
		return nil, err
	}
	b := &Broker{
		cfg: cfg, options: options, source: own.source, listen: own.program.Listen, begin: own.begin,
		log: logger, lines: lines, life: newLife(),
	}
	if b.parts, err = assembly.New(cfg, own.program, logger); err != nil {
		lines.Flush(flushTimeout)
		return nil, err
	}
	own.setLevel()
	if cfg.Admin.Listen != "" {
		b.admin = admin.New(b.adminSource(), logger)
	}
	return b, nil
}

// Check returns the error that New would, without leaving anything running: whether there
// is what a configuration names, such as files of keys and session stores, shows only when
// it is opened.
func Check(cfg *config.Config, options ...Option) error {
	b, err := New(cfg, slog.New(slog.DiscardHandler), options...)
	if err != nil {
		return err
	}
	return b.Close()
}

// Handle makes h answer the calls of a service, or of all services that match a
// pattern, before any client that offers it; nil ends that. Services are named as
// clients name them, without the topic prefix of their endpoints. Of several that
// match, the exact name wins, then the pattern registered first. A handler answers 256
// calls at once; further ones fail with core.Overloaded.
func (b *Broker) Handle(match string, h core.Handler) { b.parts.Engine.Handle(match, h) }

// Otherwise makes h answer the calls that nobody else answers; nil ends that.
func (b *Broker) Otherwise(h core.Handler) { b.parts.Engine.Otherwise(h) }

// Use puts an interceptor around all handlers: those of Handle and Otherwise, and
// the services of the configuration. The first one is the outermost.
func (b *Broker) Use(i core.Interceptor) { b.parts.Engine.Use(i) }

// Ready is closed when all endpoints listen, and when they never will, because Run could
// not start them or the broker was closed before: then Err says why. Who waits for it
// does not wait for ever if Run or Close is called.
func (b *Broker) Ready() <-chan struct{} { return b.life.ready.ch }

// Err returns why the broker does not serve: what Run has returned, or ErrClosed if it was
// closed without Run. It is nil before, while the broker serves, and if Run has ended as it
// should.
func (b *Broker) Err() error { return b.life.error() }

// Draining is closed when Run has begun to end: further calls and clients are refused.
func (b *Broker) Draining() <-chan struct{} { return b.life.draining.ch }

// Config returns the configuration in force: that of New, or of the last reload, in which what
// needs a restart does not hold yet. It must not be changed.
func (b *Broker) Config() *config.Config { return b.parts.Config() }

// Endpoints describes the endpoints in the order of the configuration, with
// their real ports once they listen.
func (b *Broker) Endpoints() []EndpointInfo {
	return describe(b.parts.Config(), func(ep *config.Endpoint) string {
		if addr := b.parts.Network.Addr(ep.Name); addr != nil {
			return listenText(addr)
		}
		return ep.Listen
	})
}

// AdminURL returns the address of the metrics, "" if there is none. The real port
// is known once Ready is closed.
func (b *Broker) AdminURL() string {
	if b.admin != nil && b.life.ready.open() {
		if addr := b.admin.Addr(); addr != nil {
			return metricsURL(listenText(addr))
		}
	}
	return AdminURL(b.cfg)
}

// Run serves until ctx ends; then it drains: it lets nobody in, waits for the calls
// under way, says goodbye to all clients at the configured pace, waits for their hooks,
// and returns. If ctx ends with [ErrHandedOver] as its cause, nobody is refused. It is called
// once; another call is an error and changes nothing. The error says what could not be
// started, or not be ended in time.
func (b *Broker) Run(ctx context.Context) error {
	ctx, err := b.life.run(ctx)
	if err != nil {
		return err
	}
	err = b.serve(ctx)
	b.life.end(err)
	return err
}

// Close ends the broker. If it runs, Run is told to drain, and Close returns when Run has,
// with the same error; otherwise Close lets go of what New has made, and Run fails from
// then on. Closing again does nothing more. Any goroutine but those of handlers and hooks,
// for which Run waits.
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

// serve is Run. Nothing runs any more when it returns.
func (b *Broker) serve(ctx context.Context) error {
	defer b.close()
	// The admin server comes first and goes last: it tells of starting and
	// draining as well.
	if err := b.startAdmin(); err != nil {
		return err
	}
	if err := b.parts.Start(); err != nil {
		return errors.Join(fmt.Errorf("starting the endpoints: %w", err), b.stopAdmin())
	}
	b.reloads.Last.Store(time.Now().Unix())
	b.life.ready.pass()
	<-ctx.Done()
	b.takeLeave(context.Cause(ctx))
	return b.drain()
}

// close ends what New and Run have begun. The endpoints are served no longer.
func (b *Broker) close() {
	b.parts.Close()
	b.lines.Flush(flushTimeout)
}
