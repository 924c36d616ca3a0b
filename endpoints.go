package polywire

import (
	"net"

	"github.com/polywire/polywire/config"
)

// EndpointInfo tells people where an endpoint is.
type EndpointInfo struct {
	Name, Protocol string
	// URL is what clients dial: ws://127.0.0.1:9190/, or wss:// with TLS. The host is 127.0.0.1
	// where the endpoint listens on every address.
	URL string
	// HTTP is the address at which the endpoint takes messages by HTTP; "" if it
	// does not.
	HTTP string
}

// Endpoints describes the endpoints of a configuration, in its order.
func Endpoints(cfg *config.Config) []EndpointInfo {
	return describe(cfg, func(ep *config.Endpoint) string { return ep.Listen })
}

// AdminURL returns the address of a configuration's metrics, "" if there is none.
func AdminURL(cfg *config.Config) string {
	if cfg.Admin.Listen == "" {
		return ""
	}
	return metricsURL(cfg.Admin.Listen)
}

func metricsURL(address string) string { return "http://" + dialled(address) + "/metrics" }

// describe takes the address of each endpoint from address.
func describe(cfg *config.Config, address func(*config.Endpoint) string) []EndpointInfo {
	infos := make([]EndpointInfo, len(cfg.Endpoints))
	for i := range cfg.Endpoints {
		ep := &cfg.Endpoints[i]
		host := dialled(address(ep))
		path := ep.Path
		if path == "" {
			path = "/"
		}
		s := ""
		if ep.TLS.On() {
			s = "s"
		}
		infos[i] = EndpointInfo{Name: ep.Name, Protocol: ep.Protocol, URL: "ws" + s + "://" + host + path}
		if p := needsOf(ep).HTTPPath; p != "" {
			infos[i].HTTP = "http" + s + "://" + host + p
		}
	}
	return infos
}

// dialled returns the address by which a client of this machine reaches a
// listener.
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
