package core

import "net/netip"

// Host is the owner of a client address, as limits count it: an IPv4 address, or the /64 of
// an IPv6 address, which is what an ISP gives one customer. The zero Host stands for clients
// without an address, as at a Unix socket, and for this machine by IPv6.
type Host [16]byte

// HostOf returns the host of a.
func HostOf(a netip.Addr) Host {
	h := Host(a.Unmap().As16())
	if !a.Unmap().Is4() {
		clear(h[8:])
	}
	return h
}
