package core

import "net/netip"

// Host is whose a client address is, as bounds count it: an IPv4 address, or the /64 of an
// IPv6 address, which is what one subscriber has. The zero Host is who has no address, as at
// a Unix socket, and this machine by IPv6.
type Host [16]byte

// HostOf returns whose a is.
func HostOf(a netip.Addr) Host {
	h := Host(a.Unmap().As16())
	if !a.Unmap().Is4() {
		clear(h[8:])
	}
	return h
}
