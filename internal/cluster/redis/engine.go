package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	// dialTimeout bounds each step of a connection, askTimeout what is asked of the server.
	dialTimeout = 3 * time.Second
	askTimeout  = 2 * time.Second
	// poolSize is how many connections scripts may use: the register uses one after the other, and
	// records of sessions and users are read and written at the same time.
	poolSize = 16
)

// server is the one Redis process that this node speaks to during a session. In a Cluster too it
// is one, for everything: what is published over several would arrive in another order. It
// is the one that has the keys.
type server struct {
	client *goredis.Client
	close  func()
}

// connect finds the process; whether it answers is seen when it is dialed. go-redis never tries anything twice by itself here: a message that
// perhaps was published must not be published again.
func connect(ctx context.Context, o *Options) (*server, error) {
	t, err := parseTarget(o.URL)
	if err == nil {
		err = t.secure(o.TLS)
	}
	if err != nil {
		return nil, explain(connecting, err)
	}
	s := new(server)
	name := "polywire-" + o.Node
	switch {
	case t.single != nil:
		c := t.single
		c.MaxRetries, c.PoolSize, c.DialTimeout, c.ReadTimeout, c.WriteTimeout, c.DialerRetries = -1, poolSize, dialTimeout, askTimeout, askTimeout, 1
		c.ClientName, c.Protocol = name, 2
		s.client = goredis.NewClient(c)
		s.close = func() { _ = s.client.Close() }
	case t.sentinel != nil:
		c := t.sentinel
		c.MaxRetries, c.PoolSize, c.DialTimeout, c.ReadTimeout, c.WriteTimeout, c.DialerRetries = -1, poolSize, dialTimeout, askTimeout, askTimeout, 1
		c.ClientName, c.Protocol = name, 2
		s.client = goredis.NewFailoverClient(c)
		s.close = func() { _ = s.client.Close() }
	default:
		c := t.cluster
		c.MaxRetries, c.PoolSize, c.DialTimeout, c.ReadTimeout, c.WriteTimeout, c.DialerRetries = -1, poolSize, dialTimeout, askTimeout, askTimeout, 1
		c.ClientName, c.Protocol = name, 2
		all := goredis.NewClusterClient(c)
		s.client, err = all.MasterForKey(ctx, newKeys(o.Prefix).owners)
		s.close = func() { _ = all.Close() }
	}
	if err != nil {
		s.close()
		return nil, explain(connecting, err)
	}
	return s, nil
}

const hintEnded = "the server has ended the connection; if it does so each time, check whether cluster.url begins with redis or rediss, and cluster.tls"

// What explain is told is being done.
const (
	connecting = "connecting to Redis"
	asking     = "asking Redis who owns which channel"
)

// explain says what was being done, and what to do about the errors that users make.
func explain(doing string, err error) error {
	text := err.Error()
	for _, e := range []struct{ has, hint string }{
		{"NOAUTH", "check the user and the password in cluster.url"},
		{"WRONGPASS", "check the user and the password in cluster.url"},
		{"invalid password", "check the user and the password in cluster.url"},
		{"without any password configured", "the server wants no password: take it out of cluster.url"},
		{"NOPERM", "the user in cluster.url needs all channels and commands, and the keys that begin with the prefix in braces"},
		{"certificate", "check cluster.tls: ca must have the authority of the server's certificate, and that must name the host in cluster.url"},
		{"first record does not look like a TLS handshake", "the server does not use TLS: check whether cluster.url begins with redis or rediss"},
		{"cluster support disabled", "the server is no Redis Cluster: check cluster.url"},
		{"MOVED", "the server is part of a Redis Cluster: cluster.url begins with redis+cluster then"},
		{"READONLY", "the server is a replica: cluster.url must name the master, or the sentinels"},
		{"OOM", "Redis is out of memory (maxmemory)"},
		{"WRONGTYPE", "another program uses keys of this cluster: choose another prefix, or remove them"},
		{"connection refused", "check cluster.url, and whether the server runs"},
		// So a server ends connections that do not begin as it wants.
		{"connection reset", hintEnded},
		{"EOF", hintEnded},
		{"LOADING", "the server still loads its data"},
	} {
		if strings.Contains(text, e.has) {
			return fmt.Errorf("%s: %w: %s", doing, err, e.hint)
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w: check cluster.url, and whether the server answers", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// Check tries whether a node with these options could join, without joining. It returns what is
// wrong and what can be done about it.
func Check(ctx context.Context, o Options) error {
	o, err := o.check()
	if err != nil {
		return err
	}
	s, err := connect(ctx, &o)
	if err != nil {
		return err
	}
	defer s.close()
	w, err := dial(ctx, s.client.Options())
	if err != nil {
		return explain(connecting, err)
	}
	defer w.close()
	own := o.own()
	r := newRegister(s.client, o.Prefix, own)
	for _, try := range []func() error{
		// What nobody hears, and a topic that nobody uses.
		func() error { return r.identify(ctx) },
		func() error { return w.ask(command(own, "PUBLISH"), own+"node:check", "") },
		func() error { _, err := r.probe(ctx); return err },
		func() error { return w.subscribeOnce("SUBSCRIBE", "polywire/check") },
		func() error { return w.subscribeOnce(command(own, "SUBSCRIBE"), own+"nodes") },
	} {
		if err := try(); err != nil {
			return explain("trying Redis", err)
		}
	}
	return nil
}
