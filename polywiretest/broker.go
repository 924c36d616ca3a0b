package polywiretest

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/sockets"
)

// patience is how long is waited, unless Broker.Patience is changed: nothing that works takes that long, however
// busy the machine is.
const patience = time.Minute

// Broker is a broker that runs until its test ends, or until Close.
type Broker struct {
	*polywire.Broker
	// Patience is how long clients wait for what has to come before they fail the test. It is changed before they
	// connect.
	Patience time.Duration
	// Log is what the broker has logged; nil if Run was given the broker.
	Log *Log

	t      testing.TB
	closed atomic.Bool // by Close
}

// Start makes a broker and runs it; cfg is not changed. It listens at [FreePorts], unless an option says otherwise, so
// that cfg need not say where. The log goes to the test.
func Start(t testing.TB, cfg config.Config, options ...polywire.Option) *Broker {
	t.Helper()
	cfg.Endpoints = slices.Clone(cfg.Endpoints)
	for i := range cfg.Endpoints {
		if ep := &cfg.Endpoints[i]; ep.Listen == "" {
			ep.Listen = anyPort
		}
	}
	log := NewLog(t)
	own := []polywire.Option{FreePorts(), polywire.WithLogLevel(&log.level)}
	broker, err := polywire.New(&cfg, log.Logger, append(own, options...)...)
	if err != nil {
		t.Fatalf("making the broker: %v", err)
	}
	b := Run(t, broker)
	b.Log = log
	return b
}

// anyPort is the address of a free port.
const anyPort = "127.0.0.1:0"

// FreePorts makes a broker listen at a free port of 127.0.0.1 for each address of its configuration that is not a Unix
// socket.
func FreePorts() polywire.Option {
	return polywire.WithListen(func(_, address string) (net.Listener, error) {
		if !strings.HasPrefix(address, "unix:") {
			address = anyPort
		}
		return sockets.Listen(address)
	})
}

// Run runs a broker that the program has made, until the test ends. [NewLog] has a logger for it, and [FreePorts] is an
// option for its addresses.
func Run(t testing.TB, broker *polywire.Broker) *Broker {
	t.Helper()
	go func() { _ = broker.Run(context.Background()) }() // Close returns the error
	<-broker.Ready()
	if err := broker.Err(); err != nil {
		t.Fatalf("running the broker: %v", err)
	}
	b := &Broker{Broker: broker, Patience: patience, t: t}
	t.Cleanup(func() {
		if err := broker.Close(); err != nil && !b.closed.Load() {
			t.Errorf("ending the broker: %v", err)
		}
	})
	return b
}

// Close ends the broker as its own Close does. Then an error is the caller's, and does not fail the test.
func (b *Broker) Close() error {
	b.closed.Store(true)
	return b.Broker.Close()
}

// URL returns the address that the clients of an endpoint dial.
func (b *Broker) URL(endpoint string) string {
	b.t.Helper()
	return b.Endpoint(endpoint).URL
}

// Endpoint returns where an endpoint is reached.
func (b *Broker) Endpoint(name string) polywire.EndpointInfo {
	b.t.Helper()
	for _, ep := range b.Endpoints() {
		if ep.Name == name {
			return ep
		}
	}
	b.t.Fatalf("the broker has no endpoint %q", name)
	panic("unreachable")
}

// patient returns a context that ends when Patience does.
func (b *Broker) patient() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), b.Patience)
}
