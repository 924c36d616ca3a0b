package admin

import (
	"net/netip"
	"net/url"
)

// Filter says which connections are meant: those that fit all of its fields. The zero value means all.
type Filter struct {
	// Endpoint, Protocol and User are those of the connection; "" is any.
	Endpoint, Protocol, User string
	From                     From
}

// filterOf returns which connections a query asks for.
func filterOf(q url.Values) (Filter, error) {
	from, err := fromOf(q.Get("address"))
	return Filter{Endpoint: q.Get("endpoint"), Protocol: q.Get("protocol"), User: q.Get("user"), From: from}, err
}

// Means reports whether a connection is meant that has these. Any goroutine.
func (f Filter) Means(endpoint, protocol, user, remote string) bool {
	is := func(wanted, has string) bool { return wanted == "" || wanted == has }
	return is(f.Endpoint, endpoint) && is(f.Protocol, protocol) && is(f.User, user) && f.From.Has(remote)
}

// From is where connections come from.
type From struct {
	// Network is that of their addresses; the zero Prefix is any, also that of a Unix socket, which has none. An IPv4
	// network is not mapped into IPv6.
	Network netip.Prefix
	// Port is the one at their side; 0 is any.
	Port uint16
}

// fromOf reads an address, a network, or an address with a port; "" is any.
func fromOf(text string) (From, error) {
	if text == "" {
		return From{}, nil
	}
	if network, err := netip.ParsePrefix(text); err == nil {
		return From{Network: network}, nil
	}
	one, err := netip.ParseAddr(text)
	port := uint16(0)
	if at, atErr := netip.ParseAddrPort(text); atErr == nil && at.Port() != 0 {
		one, port, err = at.Addr(), at.Port(), nil
	}
	if err != nil {
		return From{}, invalid("address must be an address, a network such as 10.0.0.0/8, or an address with a port, not %.50q", text)
	}
	one = one.Unmap().WithZone("")
	return From{netip.PrefixFrom(one, one.BitLen()), port}, nil
}

// String returns it as queries name it.
func (f From) String() string {
	switch addr := f.Network.Addr(); {
	case f.Port != 0:
		return netip.AddrPortFrom(addr, f.Port).String()
	case f.Network.IsSingleIP():
		return addr.String()
	}
	return f.Network.String()
}

// Has reports whether a connection comes from there. remote is its address with its port.
func (f From) Has(remote string) bool {
	if !f.Network.IsValid() {
		return true
	}
	at, err := netip.ParseAddrPort(remote)
	return err == nil && (f.Port == 0 || f.Port == at.Port()) && f.Network.Contains(at.Addr().Unmap().WithZone(""))
}

// wide returns the network of a whole customer, by which those are remembered that were refused: the /64 of an IPv6
// address.
func (f From) wide() From {
	if addr := f.Network.Addr(); f.Network.IsSingleIP() && f.Port == 0 && addr.Is6() {
		return From{Network: netip.PrefixFrom(addr, 64)}
	}
	return f
}
