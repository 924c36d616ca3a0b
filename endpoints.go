package polywire

import (
	"net"
	"strings"

	"github.com/polywire/polywire/config"
)

// EndpointInfo describes for people where an endpoint is reached.
type EndpointInfo struct {
	Name, Protocol string
	// URL is the address that clients dial: ws://127.0.0.1:9190/, or wss:// with TLS. The host is
	// 127.0.0.1 if the endpoint listens on every address. For a Unix socket it is
	// ws+unix:/run/broker.sock:/ws.
	URL string
	// HTTP is the address at which the endpoint takes messages by HTTP; "" if it has none.
	HTTP string
}

// Endpoints describes the endpoints of a configuration, in its order.
func Endpoints(cfg *config.Config) []EndpointInfo {
	return describe(cfg, func(ep *config.Endpoint) string { return ep.Listen })
}

// AdminURL returns the address of the metrics in a configuration, "" if there is none.
func AdminURL(cfg *config.Config) string {
	if cfg.Admin.Listen == "" {
		return ""
	}
	return metricsURL(cfg.Admin.Listen, cfg.Admin.TLS.On())
}

func metricsURL(address string, secure bool) string {
	if secure {
		return urlOf("https", address, "/metrics")
	}
	return urlOf("http", address, "/metrics")
}

// describe describes the endpoints; address returns the address of each.
func describe(cfg *config.Config, address func(*config.Endpoint) string) []EndpointInfo {
	infos := make([]EndpointInfo, len(cfg.Endpoints))
	for i := range cfg.Endpoints {
		ep := &cfg.Endpoints[i]
		listen := address(ep)
		path := ep.Path
		if path == "" {
			path = "/"
		}
		s := ""
		if ep.TLS.On() {
			s = "s"
		}
		infos[i] = EndpointInfo{Name: ep.Name, Protocol: ep.Protocol, URL: urlOf("ws"+s, listen, path)}
		if p := ep.Needs().HTTPPath; p != "" {
			infos[i].HTTP = urlOf("http"+s, listen, p)
		}
	}
	return infos
}

// unixPrefix is the prefix of Unix socket addresses.
const unixPrefix = "unix:"

// urlOf returns the URL of a path at a listener. That of a Unix socket has the form that clients
// with support for such sockets use: ws+unix:/run/x.sock:/path.
func urlOf(scheme, listen, path string) string {
	if socket, ok := strings.CutPrefix(listen, unixPrefix); ok {
		return scheme + "+" + unixPrefix + socket + ":" + path
	}
	return scheme + "://" + dialled(listen) + path
}

// listenText formats the address of a listener as the configuration does.
func listenText(a net.Addr) string {
	if a.Network() == "unix" {
		return unixPrefix + a.String()
	}
	return a.String()
}

// dialled returns the address by which a client on this machine reaches a listener.
func dialled(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
