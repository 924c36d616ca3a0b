package network

import (
	"crypto/tls"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// The tests of this file are attacks of hostile clients on TLS endpoints.

// TestSecureProxyProtocol: the header comes before TLS, and only trusted proxies are
// believed. Others get no answer, because there is no TLS yet.
func TestSecureProxyProtocol(t *testing.T) {
	tests := []struct {
		name    string
		choice  ProxyProtocol
		trusted []netip.Prefix
		header  string
		remote  string // "" if the client is not let in
		reason  core.Reason
	}{
		{"version 1", ProxyRequired, trusting, v1, "203.0.113.9:4711", 0},
		{"version 2", ProxyRequired, trusting, v2of4, "203.0.113.9:4711", 0},
		{"version 2, IPv6", ProxyOptional, trusting, v2of6, "[2001:dead::1]:4711", 0},
		{"optional and not there", ProxyOptional, trusting, "", "127.0.0.1:", 0},
		{"forged", ProxyOptional, elsewhere, v2of4, "", core.ReasonTLS},
		{"forged where it is required", ProxyRequired, elsewhere, v2of4, "", core.ReasonDenied},
		{"where it is off", ProxyOff, trusting, v2of4, "", core.ReasonTLS},
		{"required and not there", ProxyRequired, trusting, "", "", core.ReasonHandshake},
		{"two headers", ProxyRequired, trusting, v2of4 + v2of4, "", core.ReasonTLS},
		{"truncated", ProxyRequired, trusting, v2of4[:20], "", core.ReasonTLS},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seen := make(identifier, 1)
			r := startSecure(t, func(o *Options, ep *Endpoint) {
				o.TrustedProxies = tt.trusted
				ep.ProxyProtocol, ep.Authenticator = tt.choice, seen
			})
			nc := r.dialTCP("chat")
			nc.write([]byte(tt.header))
			c := &client{t, tls.Client(nc, r.config())}
			if tt.remote == "" {
				if _, err := c.Write([]byte(upgradeRequest())); err == nil {
					t.Error("the TLS handshake was made")
				}
				eventually(t, "the refusal is counted as "+tt.reason.String(), func() bool {
					return r.Stats().Rejected[tt.reason].Load() == 1
				})
				return
			}
			c.write([]byte(upgradeRequest()))
			c.readResponse("HTTP/1.1 101")
			if h := <-seen; !strings.HasPrefix(h.Remote, tt.remote) {
				t.Errorf("the client is %s, want %s", h.Remote, tt.remote)
			}
			c.send("echo here")
			c.expect("here")
		})
	}
}

// TestSecureProxyHeaderInside: a PROXY header after the TLS handshake is not believed.
func TestSecureProxyHeaderInside(t *testing.T) {
	r := startSecure(t, func(o *Options, ep *Endpoint) {
		o.TrustedProxies, ep.ProxyProtocol = trusting, ProxyOptional
	})
	c, err := r.shakeHands(r.config(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c.write([]byte(v1 + upgradeRequest()))
	c.readResponse("HTTP/1.1 400")
}

// TestSecureFullDoor: the connection of a TLS client that finds no place is closed at once,
// and the client is let in when there is a place again.
func TestSecureFullDoor(t *testing.T) {
	r := startSecure(t, func(o *Options, _ *Endpoint) { o.MaxHandshakes = 1 })
	slow := r.dialTCP("chat")
	slow.write([]byte{22, 3, 1})
	eventually(t, "the only place is taken", func() bool { return r.admission.handshakes.Load() == 1 })
	for n := range uint64(3) {
		if _, err := r.shakeHands(r.config(), nil); err == nil {
			t.Fatal("there was a place")
		}
		if got := r.Stats().Rejected[core.ReasonOverload].Load(); got != n+1 {
			t.Errorf("%d refusals are counted, want %d", got, n+1)
		}
	}
	_ = slow.Close()
	eventually(t, "the place is free", func() bool { return r.admission.handshakes.Load() == 0 })
	c := r.dial(r.config(), nil)
	c.send("echo in")
	c.expect("in")
}

// TestSecureSlowloris: clients that send their handshake, or their request after it,
// byte by byte hold a place for as long as that may take, however busy they are.
func TestSecureSlowloris(t *testing.T) {
	const slow = 5
	r := startSecure(t, func(o *Options, _ *Endpoint) { o.HandshakeTimeout = time.Second })
	drip := func(to io.Writer, all []byte) {
		for i := range all {
			if _, err := to.Write(all[i : i+1]); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond) // the pace is what is tested
		}
		t.Error("what took seconds was read to its end")
	}
	hello := clientHello(t, r.config())
	request := []byte(upgradeRequest("X: " + strings.Repeat("x", 4000) + "\r\n"))
	var done sync.WaitGroup
	for range slow {
		nc := r.dialTCP("chat").Conn
		done.Go(func() { drip(nc, hello[:len(hello)-1]) })
		var c *client
		eventually(t, "a client is there in time", func() bool {
			var err error
			c, err = r.shakeHands(r.config(), nil)
			return err == nil
		})
		done.Go(func() { drip(c, request) })
	}
	eventually(t, "all are turned away", func() bool { return r.Stats().Rejected[core.ReasonTimeout].Load() >= 2*slow })
	eventually(t, "their places are free", func() bool { return r.admission.handshakes.Load() == 0 })
	done.Wait()
}
