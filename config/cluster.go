package config

import (
	"cmp"
	"errors"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/certs"
)

// Cluster joins the broker to others, as nodes of one cluster. Without an engine it is alone.
type Cluster struct {
	// Engine carries what the nodes tell each other: nats or redis.
	Engine string `koanf:"engine"`
	// Node is the name of this node: letters, digits, - and _. No other node of the cluster may
	// have it. In a checked configuration it is the name of the host if it was not given.
	Node string `koanf:"node"`
	// URL is where the servers of the engine are; of NATS with commas between several. Exactly one
	// of URL and Embedded is set.
	URL string `koanf:"url"`
	// Credentials is a file of NATS credentials.
	Credentials string `koanf:"credentials"`
	// TLS secures the connection to the servers of URL.
	TLS ClusterTLS `koanf:"tls"`
	// Embedded runs a NATS server within this process.
	Embedded Embedded `koanf:"embedded"`
	// Prefix is the first token of all subjects of NATS, and with a colon the beginning of what Redis
	// has besides the topics. The nodes of one cluster have the same.
	Prefix string `koanf:"prefix"`
	// QueueLimit is how many bytes may wait to be passed on to the other nodes.
	QueueLimit Size `koanf:"queue_limit"`
}

// On reports whether the broker is part of a cluster.
func (c Cluster) On() bool { return c.Engine != "" }

// ClusterTLS is the TLS of connections to the servers of an engine.
type ClusterTLS struct {
	// CA is a PEM file with the authorities of the servers' certificates; "" is those of the system.
	CA string `koanf:"ca"`
	// Cert and Key are the files of the certificate that is shown to the servers.
	Cert string `koanf:"cert"`
	Key  string `koanf:"key"`
}

// Peer returns t in the types of package certs.
func (t ClusterTLS) Peer() certs.Peer {
	return certs.Peer{CA: t.CA, Pair: certs.Pair{Cert: t.Cert, Key: t.Key}}
}

// Embedded is a NATS server within this process.
type Embedded struct {
	// Listen is the address at which it listens for the servers of the other nodes, "host:port".
	Listen string `koanf:"listen"`
	// Routes are the addresses of those servers, such as "nats://10.0.0.2:6222"; one that can be
	// reached is enough.
	Routes []string `koanf:"routes"`
	// Secret is what the servers of the nodes show each other; "" lets any server in that reaches
	// Listen.
	Secret string `koanf:"secret"`
	// TLS is with which the servers of the nodes show who they are, and encrypt what they say. All its
	// files are set, or none.
	TLS ClusterTLS `koanf:"tls"`
	// StoreDir is the folder in which it keeps which channels are owned. Without it nobody can own a
	// channel.
	StoreDir string `koanf:"store_dir"`
	// Client is an address at which it listens for other NATS programs; "" lets in none.
	Client string `koanf:"client"`
}

// given reports whether something of e is set.
func (e Embedded) given() bool {
	return e.Listen != "" || len(e.Routes) > 0 || e.Secret != "" || e.TLS != (ClusterTLS{}) || e.StoreDir != "" || e.Client != ""
}

// clusterEngines are the engines that there are.
var clusterEngines = []string{"nats", "redis"}

func (r *report) checkCluster(c *Cluster) {
	fault := func(key, format string, args ...any) { r.add(join("cluster", key), format, args...) }
	if !c.On() {
		if c.URL != "" || c.Embedded.given() || c.Node != "" {
			fault("engine", "is missing; it says what joins the nodes: %s", strings.Join(clusterEngines, ", "))
		}
		return
	}
	if !slices.Contains(clusterEngines, c.Engine) {
		fault("engine", "must be %s, not %q%s", strings.Join(clusterEngines, " or "), c.Engine, suggest(c.Engine, clusterEngines))
	}
	r.checkNode(c)
	c.Prefix = cmp.Or(c.Prefix, "pw")
	if !isWord(c.Prefix) {
		fault("prefix", "%q may hold letters, digits, - and _ only", c.Prefix)
	}
	if c.QueueLimit < 1<<20 {
		fault("queue_limit", "must be at least 1MiB")
	}
	switch {
	case c.Engine == "redis":
		r.checkRedis(c)
	case c.URL == "" && !c.Embedded.given():
		r.add("cluster", "needs url, where the servers are, or embedded, to run one within this process")
	case c.URL != "" && c.Embedded.given():
		fault("url", "is no use with embedded; leave one of them out")
	case c.URL != "":
		r.checkServers(c)
	default:
		r.checkEmbedded(c)
	}
}

// checkClustered checks that there is a cluster where endpoints need one, and one that can give a bridge to
// one node.
func (r *report) checkClustered(cfg *Config) {
	if cfg.Cluster.On() {
		if e := cfg.Cluster.Embedded; e.Listen != "" && e.StoreDir == "" && len(cfg.Bridges) > 0 {
			r.add("cluster.embedded.store_dir", "is missing: one node runs a bridge, and the nodes keep there which")
		}
		return
	}
	for i := range cfg.Endpoints {
		ep, path := &cfg.Endpoints[i], "endpoints."+strconv.Itoa(i)
		if ep.Needs().Sessions == core.SessionsCluster {
			key := "options.sessions.store"
			if ep.Protocol == "" || len(ep.Plugin.Command) > 0 {
				key = "plugin"
			}
			r.add(join(path, key), "%s is no use without a cluster: the key cluster says what joins the brokers", core.SessionsCluster)
		}
		if ep.Limits.ConnectionsPerUser.Scope == ScopeCluster {
			r.add(join(path, "limits.connections_per_user.scope"), "%s is no use without a cluster: the key cluster says what joins the brokers", ScopeCluster)
		}
	}
}

// checkNode checks the name of the node, and finds one if there is none.
func (r *report) checkNode(c *Cluster) {
	if c.Node == "" {
		host, err := os.Hostname()
		host = strings.Map(func(c rune) rune {
			if isWord(string(c)) {
				return c
			}
			return '-'
		}, host)
		if err != nil || !isWord(host) || len(host) > maxNode {
			r.add("cluster.node", "is missing, and the name of the host cannot be used; give the node a name of its own")
		}
		c.Node = host
	}
	if !isWord(c.Node) || len(c.Node) > maxNode {
		r.add("cluster.node", "%q must be 1 to %d letters, digits, - and _", c.Node, maxNode)
	}
}

// maxNode is the longest name of a node.
const maxNode = 64

func (r *report) checkServers(c *Cluster) {
	schemes := []string{"nats", "tls", "ws", "wss"}
	for one := range strings.SplitSeq(c.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		switch {
		case err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme):
			// Not the whole text: it may hold a password.
			r.add("cluster.url", `is no address such as "nats://10.0.0.2:4222"`)
			return
		case u.Path != "" && u.Path != "/" && u.Scheme[0] != 'w':
			r.add("cluster.url", "has the path %q, which means nothing to NATS", u.Path)
		}
	}
	r.checkPeer("cluster.tls", c.TLS)
}

// checkPeer checks the files of t.
func (r *report) checkPeer(path string, t ClusterTLS) {
	_, err := t.Peer().Config()
	for _, err := range split(err) {
		if f, ok := errors.AsType[*certs.Fault](err); ok {
			r.add(join(path, f.Setting), "%s", f.Err)
		}
	}
}

func (r *report) checkRedis(c *Cluster) {
	u, err := url.Parse(c.URL)
	schemes := []string{"redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"}
	switch {
	case c.URL == "":
		r.add("cluster.url", `is missing: where Redis is, such as "redis://10.0.0.2:6379"`)
	case err != nil || !slices.Contains(schemes, u.Scheme) || u.Host == "" && u.Scheme != "unix":
		r.add("cluster.url", `is no address such as "redis://10.0.0.2:6379"; schemes: %s`, strings.Join(schemes, ", "))
	}
	if c.Embedded.given() {
		r.add("cluster.embedded", "is a NATS server; Redis runs outside, at url")
	}
	if c.Credentials != "" {
		r.add("cluster.credentials", "is for NATS; user and password of Redis stand in the url: redis://user:password@host:port")
	}
	if c.TLS != (ClusterTLS{}) && err == nil && !strings.HasPrefix(u.Scheme, "rediss") {
		r.add("cluster.tls", "is for a url that begins with rediss")
	}
	r.checkPeer("cluster.tls", c.TLS)
}

func (r *report) checkEmbedded(c *Cluster) {
	e := c.Embedded
	switch problem := badAddress(e.Listen); {
	case e.Listen == "":
		r.add("cluster.embedded.listen", `is missing: the address for the servers of the other nodes, such as "10.0.0.1:6222"`)
	case strings.HasPrefix(e.Listen, unixPrefix):
		r.add("cluster.embedded.listen", "%q is a Unix socket, which other machines cannot reach", e.Listen)
	case problem != "":
		r.add("cluster.embedded.listen", "%s", problem)
	}
	if e.Client != "" {
		if problem := badAddress(e.Client); problem != "" || strings.HasPrefix(e.Client, unixPrefix) {
			r.add("cluster.embedded.client", "%s", cmp.Or(problem, "must be a TCP address"))
		}
	}
	for i, route := range e.Routes {
		u, err := url.Parse(route)
		var port string
		if err == nil {
			_, port, err = net.SplitHostPort(u.Host)
		}
		if err != nil || port == "" || u.Scheme != "nats" && u.Scheme != "nats-route" {
			r.add("cluster.embedded.routes."+strconv.Itoa(i), `is no address such as "nats://10.0.0.2:6222"`)
		}
	}
	if c.Credentials != "" || c.TLS != (ClusterTLS{}) {
		r.add("cluster", "credentials and tls are for url; what secures the server within this process is embedded.tls and embedded.secret")
	}
	if e.TLS != (ClusterTLS{}) && (e.TLS.CA == "" || e.TLS.Cert == "" || e.TLS.Key == "") {
		r.add("cluster.embedded.tls", "needs ca, cert and key: each server shows who it is to the others")
		return
	}
	r.checkPeer("cluster.embedded.tls", e.TLS)
}
