package config

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/polywire/polywire/core"
)

// Bridge joins the broker to an old server, of which it is a client.
type Bridge struct {
	// Name is the bridge's name in logs and metrics, as an endpoint's; it must not be that of an
	// endpoint.
	Name string `koanf:"name"`
	// Protocol is the format of the old server.
	Protocol string `koanf:"protocol"`
	// URL is where the old server is: ws:// or wss://.
	URL string `koanf:"url"`
	// Hear are topics there, or patterns where the format has them, that are published here.
	Hear []string `koanf:"hear"`
	// Tell are topics or patterns here that are published there.
	Tell []string `koanf:"tell"`
	// Calls are the services that one side answers for the other.
	Calls BridgeCalls `koanf:"calls"`
	// Owns are the channels that the bridge owns there, for formats with owners.
	Owns []string `koanf:"owns"`
	// Headers are sent with the upgrade; Token is short for an Authorization header.
	Headers map[string]string `koanf:"headers"`
	Token   string            `koanf:"token"`
	// Subprotocols are offered with the upgrade.
	Subprotocols []string `koanf:"subprotocols"`
	// TLS is for wss.
	TLS BridgeTLS `koanf:"tls"`
	// TopicPrefix is put before every topic of the old server.
	TopicPrefix string `koanf:"topic_prefix"`
	// ACL is what the old server may do here; nil allows everything except publishing into owned
	// channels.
	ACL *ACL `koanf:"acl"`
	// QueueLimit is how many bytes may wait to be said to the old server.
	QueueLimit Size `koanf:"queue_limit"`
	// MaxMessageSize is how many bytes a message to the old server may have; 0 is no limit, or one that the
	// old server says itself. The default is that of the original.
	MaxMessageSize Size `koanf:"max_message_size"`

	// Plugin is the program that knows the old server's format, if it is not built in; Protocol is then
	// only a name. Options are the format's own, which only a plugin has here.
	Plugin  Plugin `koanf:"plugin"`
	Options any    `koanf:"options"`

	// Format is the format of Protocol or Plugin. That of a plugin has to be started.
	Format core.ClientFormat `koanf:"-"`
}

// BridgeCalls are services that one side answers for the other.
type BridgeCalls struct {
	// To are answered by the old server for clients here.
	To []string `koanf:"to"`
	// From are answered here for clients of the old server.
	From []string `koanf:"from"`
	// Timeout is how long the other side may take.
	Timeout time.Duration `koanf:"timeout"`
}

// BridgeTLS is how the old server is trusted.
type BridgeTLS struct {
	// CA is a PEM file with the authorities of its certificate; "" is those of the system.
	CA string `koanf:"ca"`
	// Cert and Key are the files of the certificate that is shown to it.
	Cert string `koanf:"cert"`
	Key  string `koanf:"key"`
	// ServerName is the name that its certificate must have; "" is the host of the URL.
	ServerName string `koanf:"server_name"`
	// Insecure trusts any certificate.
	Insecure bool `koanf:"insecure"`
}

// checkBridges checks the bridges, fills in what was left out, and makes their formats.
func (r *report) checkBridges(bridges []Bridge, tree map[string]any, endpoints []Endpoint, protocols []core.Protocol, plugin pluginMaker) {
	entries, _ := tree["bridges"].(map[string]any)
	taken := make(map[string]string)
	for _, ep := range endpoints {
		taken[canonical(ep.Name)] = "an endpoint"
	}
	for i := range bridges {
		b, path := &bridges[i], "bridges."+strconv.Itoa(i)
		fault := func(key, format string, args ...any) { r.add(join(path, key), format, args...) }
		switch other, used := taken[canonical(b.Name)]; {
		case b.Name == "":
			fault("name", "is missing")
		case !isWord(b.Name):
			fault("name", "%q may hold letters, digits, - and _ only", b.Name)
		case used:
			fault("name", "%q is the name of %s already", b.Name, other)
		}
		taken[canonical(b.Name)] = "a bridge"
		b.Calls.Timeout, b.QueueLimit = cmp.Or(b.Calls.Timeout, 30*time.Second), cmp.Or(b.QueueLimit, 16<<20)
		fields, _ := entries[strconv.Itoa(i)].(map[string]any)
		e := &endpointReader{report: r, path: path, fields: fields, plugin: plugin}
		switch {
		case e.given("plugin"):
			e.bridgePlugin(b)
		case e.given("options"):
			e.fault("options", "are those of a plugin, and there is none")
		default:
			r.checkBridgeFormat(path, b, protocols)
		}
		if bounded, ok := b.Format.(core.BoundedFormat); ok && !e.given("max_message_size") {
			b.MaxMessageSize = Size(bounded.ServerLimit())
		} else if !ok && b.Format != nil && e.given("max_message_size") {
			fault("max_message_size", "is no use with %s, whose servers have no limit or say it themselves", b.Protocol)
		}
		r.checkBridgeServer(path, b)
		r.checkBridgeTopics(path, b)
	}
	r.checkBridgePairs(bridges)
}

// checkBridgePairs looks for topics that go round and round: what one bridge tells, another one hears at the
// same server, and publishes here, where the first tells it again.
func (r *report) checkBridgePairs(bridges []Bridge) {
	for i := range bridges {
		for j := range bridges {
			teller, hearer := &bridges[i], &bridges[j]
			if i == j || teller.TopicPrefix != hearer.TopicPrefix || !sameServer(teller.URL, hearer.URL) {
				continue
			}
			for k, told := range teller.Tell {
				for _, heard := range hearer.Hear {
					if core.PatternsOverlap(told, heard) {
						r.add(join("bridges."+strconv.Itoa(i)+".tell", strconv.Itoa(k)), "%q goes round and round: the bridge %q tells it, and the bridge %q hears %q at the same server and publishes it here again; let one of them do both, or take the topic from one",
							told, teller.Name, hearer.Name, heard)
					}
				}
			}
		}
	}
}

// sameServer reports whether two URLs lead to one server, as whoever.
func sameServer(a, b string) bool {
	x, err := url.Parse(a)
	if err != nil || x.Host == "" {
		return false
	}
	y, err := url.Parse(b)
	return err == nil && x.Scheme == y.Scheme && strings.EqualFold(x.Host, y.Host) &&
		cmp.Or(x.Path, "/") == cmp.Or(y.Path, "/") && x.RawQuery == y.RawQuery
}

func (r *report) checkBridgeFormat(path string, b *Bridge, protocols []core.Protocol) {
	var names []string
	for _, p := range protocols {
		format, err := p.Default()
		client, ok := format.(core.ClientFormat)
		if err != nil || !ok {
			continue
		}
		names = append(names, p.Name)
		if p.Name == b.Protocol {
			b.Format = client
		}
	}
	switch {
	case b.Protocol == "":
		r.add(join(path, "protocol"), "is missing; formats of old servers: %s", strings.Join(names, ", "))
	case b.Format == nil:
		r.add(join(path, "protocol"), "must be one of %s, not %q%s", strings.Join(names, ", "), b.Protocol, suggest(b.Protocol, names))
	}
}

// bridgePlugin asks the plugin of a bridge, as that of an endpoint, and makes its format.
func (e *endpointReader) bridgePlugin(b *Bridge) {
	ep := Endpoint{Name: b.Name, Protocol: b.Protocol, Plugin: b.Plugin}
	p, ok := e.pluginProtocol(&ep)
	if !ok {
		return
	}
	before := len(e.problems)
	e.options(&ep, p)
	if len(e.problems) > before {
		return
	}
	b.Protocol, b.Options = ep.Protocol, ep.Options
	format, err := p.New(ep.Options, 0)
	if err != nil {
		e.fault("options", "%s", err)
		return
	}
	if b.Format, ok = format.(core.ClientFormat); !ok {
		e.fault("plugin", "does not offer the client's side of its format, %s, which a bridge speaks", p.Name)
	}
}

func (r *report) checkBridgeServer(path string, b *Bridge) {
	u, err := url.Parse(b.URL)
	switch {
	case b.URL == "":
		r.add(join(path, "url"), `is missing: where the old server is, such as "ws://10.0.0.2:9190/"`)
	case err != nil || u.Host == "" || u.Scheme != "ws" && u.Scheme != "wss":
		// Not the whole text: it may hold a password.
		r.add(join(path, "url"), `is no address such as "ws://10.0.0.2:9190/" or wss://`)
	case u.Scheme == "ws" && b.TLS != (BridgeTLS{}):
		r.add(join(path, "tls"), "is no use with ws://; write wss://")
	}
	if (b.TLS.Cert == "") != (b.TLS.Key == "") {
		r.add(join(path, "tls"), "cert and key belong together")
	}
	if b.Token != "" {
		for name := range b.Headers {
			if strings.EqualFold(name, "Authorization") {
				r.add(join(path, "token"), "is the header Authorization, which headers has too")
			}
		}
	}
	if b.Calls.Timeout < 0 {
		r.add(join(path, "calls.timeout"), "must not be negative")
	}
	if b.QueueLimit < 1<<10 {
		r.add(join(path, "queue_limit"), "must be at least 1KiB")
	}
}

func (r *report) checkBridgeTopics(path string, b *Bridge) {
	if len(b.Hear)+len(b.Tell)+len(b.Calls.To)+len(b.Calls.From) == 0 {
		r.add(path, "does nothing: say what it hears (hear), tells (tell), or whose calls it passes on (calls)")
	}
	for key, list := range map[string][]string{
		"hear": b.Hear, "tell": b.Tell, "calls.to": b.Calls.To, "calls.from": b.Calls.From, "owns": b.Owns,
	} {
		for i, topic := range list {
			at := join(join(path, key), strconv.Itoa(i))
			switch {
			case topic == "":
				r.add(at, "is empty")
			case core.Reserved([]byte(topic)):
				r.add(at, "%q belongs to the broker", topic)
			case core.MatchesNothing(topic):
				r.add(at, "%q matches nothing: # is for the last level", topic)
			case key != "hear" && key != "tell" && core.HasWildcard(topic):
				r.add(at, "%q must not have wildcards", topic)
			case slices.Contains(list[:i], topic):
				r.add(at, "%q is listed already", topic)
			}
		}
	}
}
