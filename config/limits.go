package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Limits are the limits on what clients of one endpoint may hold and send. Zero is no limit.
type Limits struct {
	// Connections limits the open connections of the endpoint.
	Connections int `koanf:"connections"`
	// ConnectionsPerAddress limits those of one client address (IPv6: of one /64).
	ConnectionsPerAddress int `koanf:"connections_per_address"`
	// ConnectionsPerUser limits those of one user, if clients authenticate.
	ConnectionsPerUser PerUser `koanf:"connections_per_user"`
	// Messages and Bytes limit what one connection sends; the Burst of each is how much may come at
	// once, 0 as much as in one period.
	Messages      Rate `koanf:"messages"`
	MessagesBurst int  `koanf:"messages_burst"`
	Bytes         Rate `koanf:"bytes"`
	BytesBurst    Size `koanf:"bytes_burst"`
	// Subscriptions limits the subscriptions of one connection.
	Subscriptions int `koanf:"subscriptions"`
	// Patterns limits how many of them are patterns; 0 is the broker's own limit, 512.
	Patterns int `koanf:"patterns"`
	// TopicLength limits topics in bytes, TopicDepth in levels.
	TopicLength int `koanf:"topic_length"`
	TopicDepth  int `koanf:"topic_depth"`
	// JSONDepth limits how deeply arrays and objects are nested in a payload.
	JSONDepth int `koanf:"json_depth"`
}

// PerUser limits the connections of one user. It may be written as Max alone.
type PerUser struct {
	// Max is how many there may be.
	Max int `koanf:"max"`
	// Scope says which connections count: ScopeNode or ScopeCluster; "" is ScopeNode.
	Scope string `koanf:"scope"`
}

// The values of PerUser.Scope.
const (
	// ScopeNode counts the connections of this broker.
	ScopeNode = "node"
	// ScopeCluster counts those at all nodes of the cluster.
	ScopeCluster = "cluster"
)

func (PerUser) short() string { return "max" }

// Watermark is an amount of memory: a size, or a part of what the process may use, written as 80%.
type Watermark struct {
	Percent int
	Size    Size
}

// UnmarshalText parses a watermark.
func (w *Watermark) UnmarshalText(text []byte) error {
	percent, ok := strings.CutSuffix(string(text), "%")
	if ok {
		n, err := strconv.Atoi(strings.TrimSpace(percent))
		if err != nil || n < 1 || n > 100 {
			return fmt.Errorf("must be from 1%% to 100%%, not %q", text)
		}
		*w = Watermark{Percent: n}
		return nil
	}
	var size Size
	if size.UnmarshalText(text) != nil {
		return fmt.Errorf("must be a part such as 80%% or a size such as 2GiB, not %q", text)
	}
	*w = Watermark{Size: size}
	return nil
}

// Of returns the bytes of w if the process may use available; available is 0 if that is not known.
func (w Watermark) Of(available uint64) uint64 {
	if w.Percent > 0 {
		return available / 100 * uint64(w.Percent)
	}
	return uint64(w.Size)
}

// CIDR is a range of network addresses, written 10.0.0.0/8, 2001:db8::/32 or, for a single one,
// 10.1.2.3. Without a Prefix, written unix, it means all clients of Unix sockets.
type CIDR struct{ netip.Prefix }

// Unix reports whether c means the clients of Unix sockets.
func (c CIDR) Unix() bool { return !c.IsValid() }

// UnmarshalText parses addresses.
func (c *CIDR) UnmarshalText(text []byte) error {
	if string(text) == "unix" || string(text) == unixPrefix {
		*c = CIDR{}
		return nil
	}
	p, err := netip.ParsePrefix(string(text))
	if a, e := netip.ParseAddr(string(text)); e == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	switch {
	case err != nil:
		return fmt.Errorf("must be addresses such as 10.0.0.0/8 or 10.1.2.3, or unix for Unix sockets, not %q", text)
	case p.Addr().Is4In6():
		return fmt.Errorf("must be written as IPv4 addresses, not %q", text)
	case p != p.Masked():
		return fmt.Errorf("%q has bits behind its prefix; did you mean %q?", text, p.Masked())
	}
	c.Prefix = p
	return nil
}

// checkClients checks the limits of clients.
func (e *endpointReader) checkClients(l Limits) {
	between := func(key string, value, high int) {
		if value < 0 || value > high {
			e.fault(join("limits", key), "must be from 1 to %d, or 0 for no limit of its own", high)
		}
	}
	between("connections", l.Connections, 1<<30)
	between("connections_per_address", l.ConnectionsPerAddress, 1<<30)
	between("connections_per_user", l.ConnectionsPerUser.Max, 1<<30)
	scopes := []string{ScopeNode, ScopeCluster}
	if s := l.ConnectionsPerUser.Scope; s != "" && !slices.Contains(scopes, s) {
		e.fault("limits.connections_per_user.scope", "must be %s, not %q%s", strings.Join(scopes, " or "), s, suggest(s, scopes))
	}
	between("messages_burst", l.MessagesBurst, 1<<30)
	between("subscriptions", l.Subscriptions, 1<<17)
	between("patterns", l.Patterns, 1<<17)
	between("topic_length", l.TopicLength, 1<<16-1)
	between("topic_depth", l.TopicDepth, 256)
	between("json_depth", l.JSONDepth, 10000)
	given, _ := e.fields["limits"].(map[string]any)
	if l.MessagesBurst > 0 && given["messages"] == nil {
		e.fault("limits.messages_burst", "is no use without messages, such as 100/s")
	}
	if l.BytesBurst > 0 && given["bytes"] == nil {
		e.fault("limits.bytes_burst", "is no use without bytes, such as 1MB/s")
	}
}
