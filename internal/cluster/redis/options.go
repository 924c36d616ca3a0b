package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/certs"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// Options say how a node joins a cluster.
type Options struct {
	// Node is the name of this node, which no other node of the cluster has: 1 to 64 letters,
	// digits, dots, dashes and underscores.
	Node string
	// URL is the address of Redis:
	//
	//	redis://user:password@host:port/db      one server; rediss for TLS, unix:///path/to.sock
	//	redis+sentinel://host:port?master_name=mymaster&addr=host2:port2&password=…
	//	redis+cluster://user:password@host:port?addr=host2:port2
	//
	// rediss+sentinel and rediss+cluster use TLS. The user and the password of a sentinel URL are
	// those of the sentinels; username and password among its parameters are those of Redis. What
	// else go-redis takes as a parameter can be there too.
	URL string
	// TLS is for URLs of rediss.
	TLS certs.Peer
	// Prefix is what the channels have before them by which nodes speak to each other; without a
	// colon at its end and in braces it begins the keys. No topic that begins with it is passed
	// on. Empty is "pw:". Clusters with different ones share their topics, if they share a Redis.
	Prefix string
	// OutboxBytes bounds what waits to be passed on; 0 is 64 MiB.
	OutboxBytes int
	// LeaseTTL is how long the channels of a node that has died, or is cut off, remain its own; 0
	// is 6 s. All nodes of a cluster should have the same.
	LeaseTTL time.Duration
	// Logger and Stats are required.
	Logger *slog.Logger
	Stats  *core.ClusterStats
}

const (
	defaultPrefix = "pw:"
	defaultOutbox = 64 << 20
	defaultLease  = 6 * time.Second
	minLease      = 2 * time.Second
)

// check returns the options with their defaults, or what is wrong with them.
func (o Options) check() (Options, error) {
	switch {
	case !roster.PlainName(o.Node, ".-_", 64):
		return o, fmt.Errorf("node: %q: want 1 to 64 letters, digits, dots, dashes and underscores", o.Node)
	case o.Logger == nil || o.Stats == nil:
		return o, errors.New("a logger and counters are required")
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
	if o.LeaseTTL == 0 {
		o.LeaseTTL = defaultLease
	}
	if !roster.PlainName(o.Prefix, ":-_.", 32) {
		return o, fmt.Errorf("prefix: %q: want 1 to 32 letters, digits, colons, dots, dashes and underscores", o.Prefix)
	}
	t, err := parseTarget(o.URL)
	if err != nil {
		return o, fmt.Errorf("url: %w", err)
	}
	if err := t.secure(o.TLS); err != nil {
		return o, fmt.Errorf("tls: %w", err)
	}
	return o, nil
}

// target is what a URL names; one of its fields is set.
type target struct {
	single   *goredis.Options
	sentinel *goredis.FailoverOptions
	cluster  *goredis.ClusterOptions
}

// own returns what the channels have before them by which nodes speak to each other. In a Cluster they
// are sharded: they have the hash tag of the keys, and reach no process but the one that has those.
func (t target) own(prefix string) string {
	if t.cluster != nil {
		return newKeys(prefix).base
	}
	return prefix
}

// sharded reports whether channels are those of SSUBSCRIBE and SPUBLISH; see target.own.
func sharded(own string) bool { return strings.HasPrefix(own, "{") }

var errURL = errors.New("want redis://host:port, redis+sentinel://host:port?master_name=… or redis+cluster://host:port")

// parseTarget reads a URL. Its errors do not have the password.
func parseTarget(text string) (t target, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return t, withoutSecret(err)
	}
	scheme, kind, _ := strings.Cut(u.Scheme, "+")
	if u.Host == "" && scheme != "unix" {
		return t, errURL
	}
	u.Scheme = scheme
	switch {
	case scheme != "redis" && scheme != "rediss" && scheme != "unix", scheme == "unix" && kind != "":
		return t, errURL
	case kind == "":
		t.single, err = goredis.ParseURL(u.String())
	case kind == "sentinel":
		t.sentinel, err = goredis.ParseFailoverURL(u.String())
		if err == nil && t.sentinel.MasterName == "" {
			err = errors.New("want the name of the master that the sentinels know, as ?master_name=…")
		}
	case kind == "cluster":
		t.cluster, err = goredis.ParseClusterURL(u.String())
	default:
		return t, errURL
	}
	return t, withoutSecret(err)
}

var errNoTLS = errors.New("is for a url that begins with rediss")

// secure adds the files of p to what the URL says of TLS.
func (t target) secure(p certs.Peer) error {
	if p == (certs.Peer{}) {
		return nil
	}
	var config **tls.Config
	switch {
	case t.single != nil:
		config = &t.single.TLSConfig
	case t.sentinel != nil:
		config = &t.sentinel.TLSConfig
	default:
		config = &t.cluster.TLSConfig
	}
	if *config == nil {
		return errNoTLS
	}
	files, err := p.Config()
	if err != nil {
		return err
	}
	files.ServerName, files.InsecureSkipVerify = (*config).ServerName, (*config).InsecureSkipVerify
	*config = files
	return nil
}

// own is target.own of checked options.
func (o *Options) own() string {
	t, _ := parseTarget(o.URL)
	return t.own(o.Prefix)
}

// withoutSecret returns err without the address that it quotes, which may have a password.
func withoutSecret(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
