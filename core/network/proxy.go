package network

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/pires/go-proxyproto"

	"github.com/polywire/polywire/core"
)

// ProxyProtocol says whether connections begin with a header of the PROXY protocol
// (version 1 or 2), by which a proxy that passes bytes on tells whose they are.
type ProxyProtocol uint8

// The choices. Only trusted proxies may send a header.
const (
	// ProxyOff: there is no header.
	ProxyOff ProxyProtocol = iota
	// ProxyOptional: a trusted proxy may send one. Others connect as usual.
	ProxyOptional
	// ProxyRequired: every connection comes from a trusted proxy and has one.
	ProxyRequired
)

// ParseProxyProtocol reads a choice as the configuration writes it.
func ParseProxyProtocol(s string) (ProxyProtocol, error) {
	switch s {
	case "off", "":
		return ProxyOff, nil
	case "optional":
		return ProxyOptional, nil
	case "required":
		return ProxyRequired, nil
	}
	return 0, fmt.Errorf("unknown choice of the PROXY protocol %q: want off, optional or required", s)
}

// refusedVisitor is why a visitor is turned away before its endpoint is known.
type refusedVisitor struct {
	reason core.Reason
	status int
	text   string
}

func (r *refusedVisitor) Error() string { return r.text }

// readProxyHeader finds out on whose behalf v is here. It reads the header alone;
// what came with it stays to be read from v.
func (d *door) readProxyHeader(v *visitor) error {
	if d.proxyProtocol == ProxyOff {
		return nil
	}
	if !d.server.admission.limits.Load().trusts(v.client.Addr()) {
		if d.proxyProtocol == ProxyOptional {
			// A header that it sends is no request, and is refused as such.
			return nil
		}
		return &refusedVisitor{core.ReasonDenied, http.StatusForbidden, "only trusted proxies may connect here"}
	}
	r := bufio.NewReader(v)
	header, err := proxyproto.Read(r)
	switch {
	case errors.Is(err, proxyproto.ErrNoProxyProtocol) && d.proxyProtocol == ProxyOptional:
	case isTimeout(err):
		return &refusedVisitor{core.ReasonTimeout, http.StatusRequestTimeout, "PROXY header not received in time"}
	case err != nil:
		return &refusedVisitor{core.ReasonHandshake, http.StatusBadRequest, "malformed PROXY header: " + err.Error()}
	case header.Command.IsLocal():
		// The proxy speaks for itself: it looks whether we are alive.
	default:
		if source, ok := header.SourceAddr.(*net.TCPAddr); ok {
			v.client = unmapped(source.AddrPort())
		}
	}
	// What is buffered can be peeked at.
	v.read, _ = r.Peek(r.Buffered())
	return nil
}

// trusts reports whether a is the address of a trusted proxy; the zero Addr is that of
// whoever connects by a Unix socket.
func (l *Limits) trusts(a netip.Addr) bool {
	if !a.IsValid() {
		return l.TrustUnix
	}
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(l.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// client returns the address of the client whose request came from the address from
// and names hops in X-Forwarded-For. Each hop is vouched for by the one behind it:
// the client is the first, from the right, that is no trusted proxy itself. The port
// of a client that a hop names is 0 if the hop does not tell it.
func (l *Limits) client(from netip.AddrPort, hops []string) netip.AddrPort {
	for _, hop := range slices.Backward(hops) {
		if !l.trusts(from.Addr()) {
			break
		}
		next, ok := parseHop(hop)
		if !ok {
			break
		}
		from = next
	}
	return from
}

// parseHop reads a member of X-Forwarded-For: an address, and what some proxies put
// behind and around it.
func parseHop(hop string) (netip.AddrPort, bool) {
	if both, err := netip.ParseAddrPort(hop); err == nil {
		return unmapped(both), true
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(hop, "["), "]"))
	return netip.AddrPortFrom(a.Unmap(), 0), err == nil
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// addrPortOf returns the address of a TCP connection.
func addrPortOf(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return unmapped(tcp.AddrPort())
	}
	return netip.AddrPort{}
}
