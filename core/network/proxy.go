package network

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/pires/go-proxyproto"

	"github.com/polywire/polywire/core"
)

// ProxyProtocol says whether connections begin with a header of the PROXY protocol
// (version 1 or 2), with which a proxy that passes bytes on names the client.
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

// ParseProxyProtocol parses a choice of the configuration.
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

// refusedVisitor is the error of a visitor that is turned away before its endpoint is known.
type refusedVisitor struct {
	reason core.Reason
	status int
	text   string
	cause  error // nil if text says it all
}

func (r *refusedVisitor) Error() string { return r.text }

// readProxyHeader reads the client's address from a PROXY header. It reads only the header;
// what came after it can still be read from v.
func (d *door) readProxyHeader(v *visitor) error {
	if d.proxyProtocol == ProxyOff {
		return nil
	}
	if !d.server.admission.limits.Load().trusts(v.client.Addr()) {
		if d.proxyProtocol == ProxyOptional {
			// If it sends a header, that is refused as an invalid request.
			return nil
		}
		return &refusedVisitor{core.ReasonDenied, http.StatusForbidden, "only trusted proxies may connect here", nil}
	}
	r := bufio.NewReader(v)
	header, err := proxyproto.Read(r)
	switch {
	case errors.Is(err, proxyproto.ErrNoProxyProtocol) && d.proxyProtocol == ProxyOptional:
	case isTimeout(err):
		return &refusedVisitor{core.ReasonTimeout, http.StatusRequestTimeout, "PROXY header not received in time", nil}
	case errors.Is(err, proxyproto.ErrNoProxyProtocol) && r.Buffered() == 0:
		return io.EOF // it only checked whether the port is open
	case errors.Is(err, proxyproto.ErrNoProxyProtocol):
		return &refusedVisitor{core.ReasonHandshake, http.StatusBadRequest, "connection without a PROXY header, which proxy_protocol requires", nil}
	case err != nil:
		return &refusedVisitor{core.ReasonHandshake, http.StatusBadRequest, "malformed PROXY header", err}
	case header.Command.IsLocal():
		// The proxy speaks for itself, as in a health check.
	default:
		if source, ok := header.SourceAddr.(*net.TCPAddr); ok {
			v.client = unmapped(source.AddrPort())
		}
	}
	// Peek returns all that is buffered.
	v.read, _ = r.Peek(r.Buffered())
	return nil
}

// trusts reports whether a is the address of a trusted proxy; the zero Addr stands for a
// client of a Unix socket.
func (l *Limits) trusts(a netip.Addr) bool {
	if !a.IsValid() {
		return l.TrustUnix
	}
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(l.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// client returns the address of the client whose request h came from the address from.
// Each hop is vouched for by the one after it: the client is the first, from the right,
// that is not a trusted proxy itself. The port of a client that a hop names is 0 if the hop
// does not give it.
func (l *Limits) client(from netip.AddrPort, h *head) netip.AddrPort {
	if !l.trusts(from.Addr()) {
		return from
	}
	for _, hop := range slices.Backward(hops(h)) {
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

// hops returns the addresses for which proxies passed the request on, the nearest last. They
// come from the first field present of those that proxies use.
func hops(h *head) []string {
	if hops := h.tokens("X-Forwarded-For"); len(hops) > 0 {
		return hops
	}
	if hops := h.forwarded("for"); len(hops) > 0 {
		return hops
	}
	return h.tokens("X-Real-IP")
}

// hosts returns the hosts that the client may have asked for: the host of the request, which
// came from the address from, and if that is a trusted proxy, the hosts that the proxies were
// asked for. Many proxies send the port separately from the host.
func (l *Limits) hosts(from netip.AddrPort, h *head, target *url.URL) []string {
	hosts := []string{h.host(target)}
	if l.trusts(from.Addr()) {
		hosts = slices.Concat(hosts, h.tokens("X-Forwarded-Host"), h.forwarded("host"))
		if port := h.tokens("X-Forwarded-Port"); len(port) == 1 {
			for _, host := range hosts {
				if host != "" && (!strings.Contains(host, ":") || strings.HasSuffix(host, "]")) {
					hosts = append(hosts, host+":"+port[0])
				}
			}
		}
	}
	return hosts
}

// forwarded returns the values of a parameter in all elements of Forwarded (RFC 7239); an
// element without it gives "". A malformed field counts as one empty element, because it is
// unknown who wrote which part of it.
func (h *head) forwarded(name string) []string {
	var values []string
	for _, f := range h.fields {
		if !h.is(f, "Forwarded") {
			continue
		}
		elements, ok := cutQuoted(string(f.value), ',')
		if !ok {
			values = append(values, "")
			continue
		}
		for _, element := range elements {
			value := ""
			pairs, _ := cutQuoted(element, ';')
			for _, pair := range pairs {
				if key, v, _ := strings.Cut(pair, "="); strings.EqualFold(strings.Trim(key, " \t"), name) {
					value = unquoted(strings.Trim(v, " \t"))
				}
			}
			values = append(values, value)
		}
	}
	return values
}

// cutQuoted cuts s at the separators that are not in quotes. ok is false if a quote is not
// closed.
func cutQuoted(s string, separator byte) (parts []string, ok bool) {
	begin, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		case s[i] == separator && !quoted:
			parts = append(parts, s[begin:i])
			begin = i + 1
		}
	}
	return append(parts, s[begin:]), !quoted
}

// unquoted returns the text of a token or of a quoted string (RFC 9110, section 5.6.4).
func unquoted(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' && i+1 < len(s)-1 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// parseHop parses a hop: an address, with the port or brackets that some proxies add.
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
