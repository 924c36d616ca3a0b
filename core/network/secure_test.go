package network

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/certs/certstest"
)

// secureRig is a rig whose chat endpoint speaks TLS, as "localhost".
type secureRig struct {
	*rig
	ca *certstest.CA
}

// startSecure starts a rig with TLS; change may alter it.
func startSecure(t testing.TB, change func(o *Options, chat *Endpoint)) *secureRig {
	t.Helper()
	ca := certstest.NewCA(t, "test")
	cert := ca.Issue(nil, "localhost")
	return &secureRig{
		rig: start(t, func(o *Options, ep *Endpoint) {
			ep.TLS = &tls.Config{
				Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
			}
			if change != nil {
				change(o, ep)
			}
		}),
		ca: ca,
	}
}

// startWith starts a rig with TLS or without, and returns how to connect to its chat endpoint, without an upgrade.
func startWith(t testing.TB, secured bool, change func(o *Options, chat *Endpoint)) (*rig, func() *client) {
	t.Helper()
	if !secured {
		r := start(t, change)
		return r, func() *client { return r.dialTCP("chat") }
	}
	s := startSecure(t, change)
	return s.rig, func() *client {
		c, err := s.shakeHands(s.config(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

// config returns the TLS configuration of clients.
func (r *secureRig) config() *tls.Config {
	return &tls.Config{RootCAs: r.ca.Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

// shakeHands connects and makes the TLS handshake over the socket, which wrap may
// have wrapped.
func (r *secureRig) shakeHands(config *tls.Config, wrap func(net.Conn) net.Conn) (*client, error) {
	r.t.Helper()
	nc := r.dialTCP("chat").Conn
	if wrap != nil {
		nc = wrap(nc)
	}
	c := tls.Client(nc, config)
	return &client{r.t, c}, c.Handshake()
}

// dial connects, shakes hands and upgrades.
func (r *secureRig) dial(config *tls.Config, wrap func(net.Conn) net.Conn) *client {
	r.t.Helper()
	c, err := r.shakeHands(config, wrap)
	if err != nil {
		r.t.Fatal(err)
	}
	return c.upgrade()
}

func TestSecureEcho(t *testing.T) {
	r := startSecure(t, nil)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			config := r.config()
			config.MinVersion, config.MaxVersion = version, version
			c := r.dial(config, nil)
			for _, n := range []int{0, 1, 125, 126, 16383, 16384, 65536, 300_000} {
				text := strings.Repeat("x", n)
				c.send("echo " + text)
				c.expect(text)
			}
		})
	}
}

// dribble writes one byte at a time.
type dribble struct{ net.Conn }

func (d dribble) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := d.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

func TestSecureClientOfOneBytePerPacket(t *testing.T) {
	r := startSecure(t, nil)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := r.config()
		config.MaxVersion = version
		c := r.dial(config, func(nc net.Conn) net.Conn { return dribble{nc} })
		for i := range 5 {
			text := strings.Repeat("y", i*40)
			c.send("echo " + text)
			c.expect(text)
		}
		c.write(masked(ws.OpClose, true, "\x03\xe8"))
		c.expectClose(1000)
	}
}

// TestSecurePipelinedFrames: input that comes with the end of the TLS handshake and with
// the upgrade request is not lost, wherever the records are cut.
func TestSecurePipelinedFrames(t *testing.T) {
	r := startSecure(t, nil)
	first := append([]byte(upgradeRequest()), masked(ws.OpText, true, "echo early")...)
	second := masked(ws.OpText, true, "echo next")
	for cut := 1; cut < len(first); cut += 7 {
		held := &withheld{}
		c, err := r.shakeHands(r.config(), func(nc net.Conn) net.Conn { held.Conn = nc; return held })
		if err != nil {
			t.Fatal(err)
		}
		held.hold = true
		c.write(first[:cut])
		c.write(first[cut:])
		c.write(second)
		if cut%2 == 1 {
			// The head in a packet of its own, the rest after it.
			held.releaseAt(len(held.kept) / 2)
		}
		held.release()
		c.readResponse("HTTP/1.1 101 ")
		c.expect("early")
		c.expect("next")
		_ = c.Close()
	}
}

// withheld keeps what is written until it is released, to be sent as one packet.
type withheld struct {
	net.Conn
	hold bool
	kept []byte
}

func (w *withheld) Write(b []byte) (int, error) {
	if !w.hold {
		return w.Conn.Write(b)
	}
	w.kept = append(w.kept, b...)
	return len(b), nil
}

func (w *withheld) releaseAt(n int) {
	_, _ = w.Conn.Write(w.kept[:n])
	w.kept = w.kept[n:]
}

func (w *withheld) release() {
	w.hold = false
	w.releaseAt(len(w.kept))
}

// stalledHello is the beginning of a ClientHello of 512 bytes.
var stalledHello = []byte{22, 3, 1, 2, 0, 1, 0, 1}

// TestSecureStalledHandshake: a client that stalls in the handshake blocks nobody.
func TestSecureStalledHandshake(t *testing.T) {
	r := startSecure(t, func(o *Options, _ *Endpoint) { o.MaxHandshakes = 3 })
	taken := func(n int64) {
		t.Helper()
		eventually(t, "the slots of those that stall are taken", func() bool { return r.admission.handshakes.Load() == n })
	}
	old := r.dial(r.config(), nil)
	taken(0)
	r.dialTCP("chat")
	r.dialTCP("chat").write(stalledHello)
	for range 10 { // more than there are slots
		taken(2)
		c := r.dial(r.config(), nil)
		c.send("echo here")
		c.expect("here")
	}
	old.send("echo alive")
	old.expect("alive")
}

// TestSecureStalledHandshakeEnds: a client that stalls in the handshake is turned away in time.
func TestSecureStalledHandshakeEnds(t *testing.T) {
	r := startSecure(t, func(o *Options, _ *Endpoint) { o.HandshakeTimeout = 500 * time.Millisecond })
	silent, half := r.dialTCP("chat"), r.dialTCP("chat")
	_, _ = half.Write(stalledHello)
	for _, c := range []*client{silent, half} {
		if _, err := io.ReadAll(c); err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
			t.Errorf("a stalled client was not turned away: %v", err)
		}
	}
	if got := r.Stats().Rejected[core.ReasonTimeout].Load(); got != 2 {
		t.Errorf("Rejected[timeout] = %d, want 2", got)
	}
	eventually(t, "no slot is taken", func() bool { return r.admission.handshakes.Load() == 0 })
}

// clientHello returns the first record of a client.
func clientHello(t *testing.T, config *tls.Config) []byte {
	here, there := net.Pipe()
	go func() { _ = tls.Client(here, config).Handshake() }()
	b := make([]byte, 16<<10)
	n, err := there.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	_ = there.Close()
	return b[:n]
}

// TestSecureFloodOfAbortedHandshakes leaves no goroutine behind.
func TestSecureFloodOfAbortedHandshakes(t *testing.T) {
	r := startSecure(t, nil)
	c := r.dial(r.config(), nil)
	ended := coretest.Leftovers(t)
	hello := clientHello(t, r.config())
	garbage := make([]byte, 2000)
	for i := range garbage {
		garbage[i] = byte(rand.IntN(256))
	}
	for i := range 300 {
		nc := r.dialTCP("chat")
		switch i % 3 {
		case 0:
			nc.write(hello[:1+i%len(hello)])
		case 1:
			nc.write(hello)
		case 2:
			nc.write(append([]byte{0x80 ^ byte(i)}, garbage...))
		}
		_ = nc.Close()
	}
	eventually(t, "300 handshakes are counted as rejected", func() bool {
		return r.Stats().Rejected[core.ReasonTLS].Load()+r.Stats().Rejected[core.ReasonLost].Load() == 300
	})
	ended()
	c.send("echo alive")
	c.expect("alive")
}

// identifier is an authenticator that lets everybody in.
type identifier chan core.Handshake

func (w identifier) Authenticate(_ context.Context, h core.Handshake) (*core.Identity, core.Verdict, error) {
	w <- h
	return nil, core.Allow, nil
}

func TestSecureHandshakes(t *testing.T) {
	clients, strangers := certstest.NewCA(t, "clients"), certstest.NewCA(t, "strangers")
	good := clients.Issue(nil, "good client")
	only := func(version uint16) func(*tls.Config) {
		return func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version }
	}
	shows := func(cert tls.Certificate) func(*tls.Config) {
		return func(c *tls.Config) {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		}
	}
	tests := []struct {
		name   string
		auth   tls.ClientAuthType
		client func(*tls.Config)
		want   string // in the client's error; "" if it is let in
		user   string // of the client's certificate
	}{
		{name: "plain", client: func(*tls.Config) {}},
		{name: "no SNI", client: func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "", true }},
		{name: "unknown SNI", client: func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "elsewhere.test", true }},
		{name: "a choice of ALPN", client: func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }},
		{name: "wrong ALPN", client: func(c *tls.Config) { c.NextProtos = []string{"h2"} }, want: "no application protocol"},
		{name: "TLS 1.0", client: only(tls.VersionTLS10), want: "protocol version"},
		{name: "TLS 1.1", client: only(tls.VersionTLS11), want: "protocol version"},
		{name: "client that does not trust", client: func(c *tls.Config) { c.RootCAs = strangers.Pool() }, want: "unknown authority"},
		{name: "no client certificate", auth: tls.RequireAndVerifyClientCert, client: func(*tls.Config) {}, want: "certificate required"},
		{name: "no client certificate in TLS 1.2", auth: tls.RequireAndVerifyClientCert, client: only(tls.VersionTLS12), want: "handshake failure"},
		{name: "unknown CA", auth: tls.RequireAndVerifyClientCert, client: shows(strangers.Issue(nil, "s")), want: "unknown certificate authority"},
		{name: "unknown CA where none is needed", auth: tls.VerifyClientCertIfGiven, client: shows(strangers.Issue(nil, "s")), want: "unknown certificate authority"},
		{name: "expired client certificate", auth: tls.RequireAndVerifyClientCert, client: shows(clients.Issue(certstest.Expired, "old")), want: "expired certificate"},
		{name: "client certificate", auth: tls.RequireAndVerifyClientCert, client: shows(good), user: "good client"},
		{name: "client certificate where none is needed", auth: tls.VerifyClientCertIfGiven, client: shows(good), user: "good client"},
		{name: "no client certificate where none is needed", auth: tls.VerifyClientCertIfGiven, client: func(*tls.Config) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seen := make(identifier, 1)
			r := startSecure(t, func(_ *Options, ep *Endpoint) {
				ep.TLS.ClientAuth, ep.TLS.ClientCAs = tt.auth, clients.Pool()
				ep.Authenticator = seen
			})
			config := r.config()
			tt.client(config)
			c, err := r.shakeHands(config, nil)
			if tt.want != "" {
				if err == nil { // in TLS 1.3 the client is done first
					_, err = c.Read(make([]byte, 1))
				}
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("the client's error is %v, want one with %q", err, tt.want)
				}
				_ = c.Close()
				eventually(t, "the refusal is counted", func() bool { return r.Stats().Rejected[core.ReasonTLS].Load() == 1 })
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; got != "" && got != "http/1.1" {
				t.Errorf("ALPN %q", got)
			}
			c.write([]byte(upgradeRequest()))
			c.readResponse("HTTP/1.1 101 ")
			user := ""
			if chains := (<-seen).TLS.VerifiedChains; len(chains) > 0 {
				user = chains[0][0].Subject.CommonName
			}
			if user != tt.user {
				t.Errorf("the client is %q, want %q", user, tt.user)
			}
		})
	}
}
