package config

import (
	"net"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/polywire/polywire/core"
)

// checkNames reports endpoints that an override could not tell apart.
func (r *report) checkNames(endpoints []Endpoint) {
	first := make(map[string]string, len(endpoints))
	for i, ep := range endpoints {
		path := "endpoints." + strconv.Itoa(i) + ".name"
		other, taken := first[canonical(ep.Name)]
		switch {
		case ep.Name == "":
		case !taken:
			first[canonical(ep.Name)] = ep.Name
		case other == ep.Name:
			r.add(path, "there is an endpoint %q already", ep.Name)
		default:
			r.add(path, "%q is too much like %q: an environment variable cannot tell them apart", ep.Name, other)
		}
	}
}

// checkAddresses reports endpoints, and servers for operators and backends, whose addresses conflict.
func (r *report) checkAddresses(c *Config) {
	for i, ep := range c.Endpoints {
		path := "endpoints." + strconv.Itoa(i)
		if listen := c.Admin.Listen; listen != "" && overlap(listen, ep.Listen) {
			r.add("admin.listen", "%q is the address of endpoint %q; the admin server needs its own", listen, ep.Name)
		}
		if listen := c.API.Listen; listen != "" && overlap(listen, ep.Listen) {
			r.add("api.listen", "%q is the address of endpoint %q; the server for backends needs its own", listen, ep.Name)
		}
		for _, other := range c.Endpoints[:i] {
			if overlap(ep.Listen, other.Listen) {
				r.checkShared(path, ep, other)
			}
		}
	}
	if a, b := c.Admin.Listen, c.API.Listen; a != "" && b != "" && overlap(a, b) {
		r.add("api.listen", "%q is the address of the admin server; the server for backends needs its own", b)
	}
}

// checkClusterAddresses reports addresses of the embedded server of a cluster that something else
// has.
func (r *report) checkClusterAddresses(c *Config) {
	e := c.Cluster.Embedded
	for _, own := range []struct{ key, address string }{{"listen", e.Listen}, {"client", e.Client}} {
		path := "cluster.embedded." + own.key
		for _, ep := range c.Endpoints {
			if overlap(own.address, ep.Listen) {
				r.add(path, "%q is the address of endpoint %q; the servers of the cluster need their own", own.address, ep.Name)
			}
		}
		if c.Admin.Listen != "" && overlap(own.address, c.Admin.Listen) {
			r.add(path, "%q is the address of the admin server; the servers of the cluster need their own", own.address)
		}
		if c.API.Listen != "" && overlap(own.address, c.API.Listen) {
			r.add(path, "%q is the address of the server for backends; the servers of the cluster need their own", own.address)
		}
	}
	if overlap(e.Listen, e.Client) {
		r.add("cluster.embedded.client", "%q is the address for the other nodes already", e.Client)
	}
}

// checkProxies reports endpoints that expect PROXY headers although no proxy is trusted.
func (r *report) checkProxies(endpoints []Endpoint, trusted []CIDR) {
	for i, ep := range endpoints {
		if (ep.ProxyProtocol == "optional" || ep.ProxyProtocol == "required") && len(trusted) == 0 {
			r.add("endpoints."+strconv.Itoa(i)+".proxy_protocol", "is no use without network.trusted_proxies, which may send the header")
		}
	}
}

// checkShared checks two endpoints of one port.
func (r *report) checkShared(path string, ep, other Endpoint) {
	switch {
	case ep.Listen != other.Listen:
		r.add(join(path, "listen"), "%q overlaps with %q of endpoint %q; to share the port, write the same address in both",
			ep.Listen, other.Listen, other.Name)
	case !reflect.DeepEqual(ep.TLS, other.TLS):
		r.add(join(path, "tls"), "%s has other TLS at endpoint %q; endpoints at one address share it, so write the same in both", ep.Listen, other.Name)
	case ep.Path == other.Path && ep.Path == "":
		r.add(join(path, "path"), "%s takes any path, and so does endpoint %q; give one of them a path", ep.Listen, other.Name)
	case ep.Path == other.Path:
		r.add(join(path, "path"), "%s%s is the address of endpoint %q already", ep.Listen, ep.Path, other.Name)
	case ep.ProxyProtocol != other.ProxyProtocol:
		r.add(join(path, "proxy_protocol"), "must be that of endpoint %q, which has the same address: %s", other.Name, other.ProxyProtocol)
	case servesHTTP(ep.Format) && servesHTTP(other.Format):
		r.add(join(path, "listen"), "%q has the plain HTTP of endpoint %q already; two at one address cannot be told apart", ep.Listen, other.Name)
	}
}

// servesHTTP reports whether a format answers plain HTTP, such as POST
// /broadcast of wsify, besides upgrades.
func servesHTTP(f core.Format) bool {
	_, ok := f.(interface {
		Handler(core.Publisher, *core.Stats) http.Handler
	})
	return ok
}

// overlap reports whether two addresses cannot both be listened on. Port 0 is always a new port.
func overlap(a, b string) bool {
	if strings.HasPrefix(a, unixPrefix) {
		return a == b
	}
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return anyHost(hostA) || anyHost(hostB) || sameHost(hostA, hostB)
}

func anyHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

func sameHost(a, b string) bool {
	return a == b || loopback(a) && loopback(b)
}

// loopback reports whether host is a usual name of 127.0.0.1.
func loopback(host string) bool { return host == "localhost" || host == "127.0.0.1" }
