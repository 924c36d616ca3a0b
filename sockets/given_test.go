package sockets

import (
	"net"
	"testing"
)

// TestIs shows which socket is the one of an address.
func TestIs(t *testing.T) {
	tcp := func(ip string, port int) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: port} }
	unix := func(path string) net.Addr { return &net.UnixAddr{Name: path, Net: "unix"} }
	for _, c := range []struct {
		socket        net.Addr
		name, address string
		want          bool
	}{
		{tcp("::", 80), "x", ":80", true},
		{tcp("0.0.0.0", 80), "x", ":80", true},
		{tcp("::", 80), "x", "0.0.0.0:80", true},
		{tcp("::", 80), "x", "[::]:80", true},
		{tcp("::", 80), "x", ":81", false},
		{tcp("127.0.0.1", 80), "x", ":80", false},
		{tcp("127.0.0.1", 80), "x", "127.0.0.1:80", true},
		{tcp("127.0.0.1", 80), "x", "localhost:80", true},
		{tcp("127.0.0.2", 80), "x", "127.0.0.1:80", false},
		{tcp("::", 80), "x", "127.0.0.1:80", false},
		{tcp("::1", 80), "x", "[::1]:80", true},
		{tcp("::1", 80), "x", "[0:0::1]:80", true},
		{tcp("192.0.2.1", 80), "x", "no.such.host.invalid:80", false},
		{tcp("127.0.0.1", 4711), "web", "127.0.0.1:0", true},
		{tcp("127.0.0.1", 4711), "bots", "127.0.0.1:0", false},
		{unix("/run/x.sock"), "x", "unix:/run/x.sock", true},
		{unix("/run/y.sock"), "x", "unix:/run/x.sock", false},
		{unix("@x"), "x", "unix:@x", true},
		{unix("/run/x.sock"), "x", ":80", false},
		{tcp("::", 80), "x", "unix:/run/x.sock", false},
	} {
		if got := is(c.socket, c.name, "web", c.address); got != c.want {
			t.Errorf("%s of name %s for %s: %t", c.socket, c.name, c.address, got)
		}
	}
}
