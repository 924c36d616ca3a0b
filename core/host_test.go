package core

import (
	"net/netip"
	"testing"
)

func TestHostOf(t *testing.T) {
	same := [][2]string{{"192.0.2.1", "::ffff:192.0.2.1"}, {"2001:db8:1:2::1", "2001:db8:1:2:ffff::9"}, {"fe80::1%eth0", "fe80::2"}}
	for _, c := range same {
		if HostOf(netip.MustParseAddr(c[0])) != HostOf(netip.MustParseAddr(c[1])) {
			t.Errorf("%s and %s are two hosts", c[0], c[1])
		}
	}
	other := [][2]string{{"192.0.2.1", "192.0.2.2"}, {"2001:db8:1:2::1", "2001:db8:1:3::1"}, {"::", "0.0.0.0"}, {"::1", "127.0.0.1"}}
	for _, c := range other {
		if HostOf(netip.MustParseAddr(c[0])) == HostOf(netip.MustParseAddr(c[1])) {
			t.Errorf("%s and %s are one host", c[0], c[1])
		}
	}
}
