package nats

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/internal/certs"
	"github.com/polywire/polywire/internal/cluster/roster"
)

const (
	// dialTimeout bounds each step of a connection.
	dialTimeout = 3 * time.Second
	// pingInterval and maxPings bound how long a connection may be dead before it is ended.
	pingInterval = 2 * time.Second
	maxPings     = 2
	// writeTimeout ends a connection whose server takes nothing.
	writeTimeout = 5 * time.Second
	// maxServers bounds the addresses that servers may tell us.
	maxServers = 16
)

// engine connects to NATS, and has the embedded server if there is one. It is used by one
// goroutine at a time.
type engine struct {
	o     *Options
	srv   *server.Server
	log   *serverLog
	token string   // without which the embedded server lets nobody in; empty if it lets in all
	known []string // servers that a server has told us of
}

// connection is what the engine wants to know of a connection.
type connection struct {
	closed func()
	failed func(*natsgo.Subscription, error)
}

// connect returns a connection that never reconnects: who has it makes another one when it has
// ended, and knows then that it has to.
func (e *engine) connect(ctx context.Context, c connection) (*natsgo.Conn, error) {
	options, err := e.o.clientOptions(ctx)
	if err != nil {
		return nil, err
	}
	options = append(options, natsgo.NoEcho(), natsgo.SkipSubjectValidation(),
		natsgo.ClosedHandler(func(*natsgo.Conn) { c.closed() }),
		natsgo.ErrorHandler(func(_ *natsgo.Conn, sub *natsgo.Subscription, err error) { c.failed(sub, err) }))
	if e.o.Embedded != nil {
		if err := e.start(ctx); err != nil {
			return nil, err
		}
		nc, err := natsgo.Connect("", append(options, natsgo.Token(e.token), natsgo.InProcessServer(e.srv))...)
		if err != nil {
			return nil, fmt.Errorf("connecting to the embedded NATS: %w", err)
		}
		return nc, nil
	}
	addresses := strings.Join(append([]string{e.o.URL}, e.known...), ",")
	nc, err := natsgo.Connect(addresses, options...)
	if err != nil {
		return nil, explainConnect(err)
	}
	for _, s := range nc.DiscoveredServers() {
		if len(e.known) < maxServers && !slices.Contains(e.known, s) {
			e.known = append(e.known, s)
		}
	}
	return nc, nil
}

// explainConnect says what to do about the errors that users make.
func explainConnect(err error) error {
	switch {
	case errors.Is(err, natsgo.ErrAuthorization), errors.Is(err, natsgo.ErrAuthExpired), errors.Is(err, natsgo.ErrAuthRevoked):
		return fmt.Errorf("connecting to NATS: %w: check cluster.credentials, or the user in cluster.url", err)
	case errors.Is(err, natsgo.ErrNoServers):
		return fmt.Errorf("connecting to NATS: %w: check cluster.url, and whether the server runs", err)
	case errors.Is(err, natsgo.ErrSecureConnRequired), errors.Is(err, natsgo.ErrSecureConnWanted), errors.Is(err, natsgo.ErrTLS):
		return fmt.Errorf("connecting to NATS: %w: check cluster.tls", err)
	}
	return fmt.Errorf("connecting to NATS: %w", err)
}

// clientOptions are those of every connection.
func (o *Options) clientOptions(ctx context.Context) ([]natsgo.Option, error) {
	options := []natsgo.Option{
		natsgo.Name("polywire " + o.Node), natsgo.NoReconnect(), natsgo.Timeout(dialTimeout), natsgo.SetCustomDialer(dialer{ctx}),
		natsgo.PingInterval(pingInterval), natsgo.MaxPingsOutstanding(maxPings), natsgo.FlusherTimeout(writeTimeout),
		// Without one they are written to stderr.
		natsgo.ErrorHandler(func(*natsgo.Conn, *natsgo.Subscription, error) {}),
	}
	if o.Embedded != nil {
		return options, nil
	}
	if o.Credentials != "" {
		options = append(options, natsgo.UserCredentials(o.Credentials))
	}
	if o.TLS != (certs.Peer{}) {
		config, err := o.TLS.Config()
		if err != nil {
			return nil, fmt.Errorf("connecting to NATS: cluster.tls: %w", err)
		}
		options = append(options, natsgo.Secure(config))
	}
	return options, nil
}

// dialer dials until its context ends.
type dialer struct{ ctx context.Context }

// Dial makes a connection for the client.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(d.ctx, network, address)
}

func (e *engine) start(ctx context.Context) error {
	if e.srv != nil && e.srv.Running() && !e.stuck() {
		return nil
	}
	e.stop()
	log := &serverLog{log: e.o.Logger}
	if e.o.Embedded.Client == "" {
		e.token = cryptorand.Text()
	}
	srv, err := startServer(ctx, e.o.Node, e.o.Embedded, e.token, log)
	if err != nil {
		return err
	}
	e.srv, e.log = srv, log
	e.o.Logger.Info("embedded NATS serves", slog.String("clients", srv.ClientURL()), slog.String("routes", e.o.Embedded.Listen))
	return nil
}

var errStuck = errors.New("the embedded NATS could not write, and can write again: it is started anew")

// stuck reports whether the embedded server writes nothing any more because it could not once,
// although its folder can be written again.
func (e *engine) stuck() bool {
	return e.srv != nil && e.log.brokenStore() && tryFolder(e.o.Embedded.StoreDir) == nil
}

func (e *engine) stop() {
	if e.srv != nil {
		stopServer(e.srv)
		e.srv = nil
	}
}

// nameTaken returns an error if the other servers refuse the embedded one because there is one
// of its name.
func (e *engine) nameTaken() error {
	if e.srv == nil || e.srv.NumRoutes() > 0 || !e.log.duplicate() {
		return nil
	}
	return fmt.Errorf("%w: another node of the cluster is called %q too; give each node a name of its own", roster.ErrTwin, e.o.Node)
}

// alone returns a function that reports whether the embedded server knows no other one. Any goroutine.
func (e *engine) alone() func() bool {
	srv := e.srv
	return func() bool { return srv != nil && srv.NumRoutes() == 0 }
}

// servers returns how many servers with JetStream there are at least, as far as this one knows.
func (e *engine) servers() int {
	if e.srv == nil {
		return 0
	}
	n := len(e.o.Embedded.Routes) + 1
	if e.srv.JetStreamIsClustered() {
		n = max(n, len(e.srv.JetStreamClusterPeers()))
	}
	return n
}
