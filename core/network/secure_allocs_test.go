//go:build !race

package network

import (
	"context"
	"crypto/tls"
	"net"
	"testing"

	"github.com/polywire/polywire/internal/certs/certstest"
)

// TestSecureOutputAllocatesNothing: with the race detector, pools do.
func TestSecureOutputAllocatesNothing(t *testing.T) {
	ca := certstest.NewCA(t, "ca")
	here, there := net.Pipe()
	s := newSecure(there, nil, &tls.Config{
		Certificates: []tls.Certificate{ca.Issue(nil, "x")}, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
	})
	shaken := make(chan error, 1)
	go func() {
		shaken <- tls.Client(here, &tls.Config{RootCAs: ca.Pool(), ServerName: "x"}).HandshakeContext(context.Background())
	}()
	if err := s.conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	s.leaveSocket()
	l := &loop{}
	c := &conn{loop: l, ep: &endpoint{server: &Server{}}, secure: s}
	f := controlFrame(1, make([]byte, 100))
	allocs := testing.AllocsPerRun(1000, func() {
		for range 16 {
			c.push(lent{f})
		}
		b, err := c.seal()
		if err != nil {
			t.Fatal(err)
		}
		c.sent(b, len(b))
		l.giveSpare(c.out.frames)
		c.out.frames, c.out.list, l.dirty = nil, unlisted, l.dirty[:0]
	})
	if allocs != 0 || c.waiting() != 0 {
		t.Errorf("%v allocations for a write of 16 messages; %d bytes are left", allocs, c.waiting())
	}
}
