package nats

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/certs"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// Options say how a node joins a cluster. Either URL or Embedded is set.
type Options struct {
	// Node is the name of this node, which no other node of the cluster has: 1 to 64 letters,
	// digits, dots, dashes and underscores.
	Node string
	// URL is the address of a NATS server, or several with commas between them.
	URL string
	// Credentials is a file as `nsc` makes it; empty if the server wants none.
	Credentials string
	// TLS is for connections to URL; they use TLS if it is set, or if the server wants it.
	TLS certs.Peer
	// Embedded is a server within this process.
	Embedded *Embedded
	// Prefix is the first token of all subjects, and the beginning of the bucket's name; empty
	// is "pw". Clusters with different ones can share a NATS.
	Prefix string
	// OutboxBytes bounds what waits to be passed on; 0 is 64 MiB.
	OutboxBytes int
	// LeaseTTL is how long the channels of a node that has died, or is cut off, remain its own.
	// 0 is 6 s, or 20 s if the bucket is replicated: a cluster of NATS servers needs up to 9 s
	// to elect a leader after one has died, and no lease can be renewed meanwhile. All nodes of
	// a cluster should have the same.
	LeaseTTL time.Duration
	// Logger and Stats are required.
	Logger *slog.Logger
	Stats  *core.ClusterStats
}

// Embedded is a NATS server within this process.
type Embedded struct {
	// Listen is the host:port for the servers of other nodes; empty is a node that is alone.
	Listen string
	// Routes are the addresses of the other nodes' servers, as nats://host:port. They should be
	// all of them: how many make a majority is counted by them when a cluster begins.
	Routes []string
	// Secret is what the servers of the nodes show each other; empty lets any server in.
	Secret string
	// TLS is with which the servers of the nodes show who they are, and encrypt what they say; all its
	// files are set, or none, which is neither.
	TLS certs.Peer
	// StoreDir is the folder of JetStream, which gives channels; empty is a cluster in which no
	// channel can be owned, unless servers of other nodes have one.
	StoreDir string
	// Client is the host:port for other NATS programs; empty lets none in.
	Client string
}

const (
	defaultPrefix      = "pw"
	defaultOutbox      = 64 << 20
	defaultLease       = 6 * time.Second
	replicatedLease    = 20 * time.Second
	minLease           = 2 * time.Second
	embeddedMaxPayload = 32 << 20
)

// check returns the options with their defaults, or what is wrong with them.
func (o Options) check() (Options, error) {
	switch {
	case !roster.PlainName(o.Node, ".-_", 64):
		return o, fmt.Errorf("node: %q: want 1 to 64 letters, digits, dots, dashes and underscores", o.Node)
	case o.Logger == nil || o.Stats == nil:
		return o, errors.New("a logger and counters are required")
	case (o.URL == "") == (o.Embedded == nil):
		return o, errors.New("want either url or embedded")
	case o.OutboxBytes < 0:
		return o, errors.New("outbox: a negative size")
	case o.LeaseTTL != 0 && o.LeaseTTL < minLease:
		return o, fmt.Errorf("lease: %v: want at least %v", o.LeaseTTL, minLease)
	}
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.OutboxBytes == 0 {
		o.OutboxBytes = defaultOutbox
	}
	if !roster.PlainName(o.Prefix, "-_", 32) {
		return o, fmt.Errorf("prefix: %q: want 1 to 32 letters, digits, dashes and underscores", o.Prefix)
	}
	if o.Embedded != nil {
		return o, o.Embedded.check()
	}
	return o, o.checkRemote()
}

func (o *Options) checkRemote() error {
	for address := range strings.SplitSeq(o.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(address))
		if err == nil && u.Host == "" {
			err = errors.New("want nats://host:port")
		}
		if err == nil && u.Scheme != "nats" && u.Scheme != "tls" && u.Scheme != "ws" && u.Scheme != "wss" {
			err = fmt.Errorf("unknown scheme %q: want nats or tls", u.Scheme)
		}
		if err != nil {
			return fmt.Errorf("url: %w", withoutSecret(err))
		}
	}
	if o.Credentials != "" {
		if err := checkCredentials(o.Credentials); err != nil {
			return fmt.Errorf("credentials: %w", err)
		}
	}
	if _, err := o.TLS.Config(); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	return nil
}

// checkCredentials reports what is wrong with a file as `nsc` makes it.
func checkCredentials(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := nkeys.ParseDecoratedUserNKey(text); err != nil {
		return fmt.Errorf("%s has no key of a user (want a file as nsc makes it): %w", file, err)
	}
	return nil
}

// withoutSecret returns err without the address that it quotes, which may have a password.
func withoutSecret(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func (e *Embedded) check() error {
	if e.Listen == "" && len(e.Routes) > 0 {
		return errors.New("embedded: routes without listen: the other nodes could not reach this one")
	}
	if e.Listen != "" && len(e.Routes) == 0 && e.StoreDir != "" {
		return errors.New("embedded: with store_dir, routes must name the other nodes (or leave out listen, for a node that is alone)")
	}
	for name, address := range map[string]string{"listen": e.Listen, "client": e.Client} {
		if address == "" {
			continue
		}
		if _, _, err := hostPort(address); err != nil {
			return fmt.Errorf("embedded.%s: %w", name, err)
		}
	}
	if e.TLS != (certs.Peer{}) && (e.TLS.CA == "" || e.TLS.Cert == "" || e.TLS.Key == "") {
		return errors.New("embedded.tls: want ca, cert and key: each server shows who it is to the others")
	}
	if _, err := e.TLS.Config(); err != nil {
		return fmt.Errorf("embedded.tls: %w", err)
	}
	for _, r := range e.Routes {
		u, err := url.Parse(r)
		if err == nil && (u.Host == "" || u.Port() == "") {
			err = fmt.Errorf("%q: want nats://host:port", r)
		}
		if err != nil {
			return fmt.Errorf("embedded.routes: %w", withoutSecret(err))
		}
	}
	return nil
}

// hostPort returns the parts of an address to listen on.
func hostPort(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("%q: want host:port", address)
	}
	return host, port, nil
}
