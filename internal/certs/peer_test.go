package certs_test

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"slices"
	"testing"

	"github.com/polywire/polywire/internal/certs"
	"github.com/polywire/polywire/internal/certs/certstest"
)

// meets lets two processes speak, and returns what each of them says of the other.
func meets(t *testing.T, client, server *tls.Config) (clientErr, serverErr error) {
	t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	said := make(chan error)
	go func() {
		conn := tls.Server(there, server)
		err := conn.Handshake()
		if err == nil {
			_, err = conn.Write([]byte("x"))
		} else {
			_ = there.Close()
		}
		said <- err
	}()
	client = client.Clone()
	client.ServerName = "localhost"
	conn := tls.Client(here, client)
	_, clientErr = conn.Read(make([]byte, 1)) // with TLS 1.3 a refusal comes after the handshake
	_ = here.Close()
	return clientErr, <-said
}

// Who has a certificate of the authority is let in, and nobody else; a pair that was renewed counts
// at once.
func TestPeer(t *testing.T) {
	ca, other, dir := certstest.NewCA(t, "authority"), certstest.NewCA(t, "other"), t.TempDir()
	peer := func(name string, of *certstest.CA, trusts *certstest.CA) certs.Peer {
		p := certs.Peer{CA: certstest.WriteFile(t, dir, name+"-ca.pem", trusts.PEM())}
		p.Cert, p.Key = certstest.Write(t, dir, name, of.Issue(nil, "localhost"))
		return p
	}
	config := func(p certs.Peer) *tls.Config {
		t.Helper()
		c, err := p.Config()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	server := config(peer("server", ca, ca))
	node := peer("node", ca, ca)
	client := config(node)
	if c, s := meets(t, client, server); c != nil || s != nil {
		t.Errorf("of one authority: %v, %v", c, s)
	}
	if c, _ := meets(t, config(peer("trusting", ca, other)), server); c == nil {
		t.Error("a server of another authority is trusted")
	}
	if _, s := meets(t, config(peer("stranger", other, ca)), server); s == nil {
		t.Error("a client of another authority is let in")
	}
	if _, s := meets(t, config(certs.Peer{CA: node.CA}), server); s == nil {
		t.Error("a client without a certificate is let in")
	}
	certstest.Write(t, dir, "node", other.Issue(nil, "localhost"))
	if _, s := meets(t, client, server); s == nil {
		t.Error("the certificate of before is shown")
	}
	certstest.Write(t, dir, "node", ca.Issue(nil, "localhost"))
	if c, s := meets(t, client, server); c != nil || s != nil {
		t.Errorf("with a renewed certificate: %v, %v", c, s)
	}
	if c := config(certs.Peer{}); c.RootCAs != nil || c.GetClientCertificate != nil || c.ClientAuth != tls.NoClientCert {
		t.Errorf("of no files: %+v", c)
	}
}

// Each file that cannot be used is named.
func TestPeerFaults(t *testing.T) {
	ca, dir := certstest.NewCA(t, "authority"), t.TempDir()
	good := certs.Peer{CA: certstest.WriteFile(t, dir, "ca.pem", ca.PEM())}
	good.Cert, good.Key = certstest.Write(t, dir, "a", ca.Issue(nil, "a"))
	_, otherKey := certstest.Write(t, dir, "b", ca.Issue(nil, "b"))
	garbage := certstest.WriteFile(t, dir, "garbage", []byte("x"))
	for _, test := range []struct {
		p    certs.Peer
		want []string
	}{
		{good, nil},
		{certs.Peer{CA: "missing", Pair: certs.Pair{Cert: garbage, Key: good.Key}}, []string{"ca", "cert"}},
		{certs.Peer{CA: garbage, Pair: certs.Pair{Cert: good.Cert, Key: otherKey}}, []string{"ca", "key"}},
		{certs.Peer{Pair: certs.Pair{Cert: good.Cert}}, []string{"key"}},
		{certs.Peer{Pair: certs.Pair{Key: good.Key}}, []string{"cert"}},
		{certs.Peer{CA: dir}, []string{"ca"}},
	} {
		_, err := test.p.Config()
		var got []string
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, err := range joined.Unwrap() {
				if f, ok := errors.AsType[*certs.Fault](err); ok {
					got = append(got, f.Setting)
				}
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%+v: %v, want faults of %v", test.p, err, test.want)
		}
	}
	if err := os.Remove(good.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := good.Config(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the key: %v", err)
	}
}
