package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// authority issues client certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert = a.sign(template, template, key)
	return a
}

func (a *authority) sign(template, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

// client returns a certificate of the template.
func (a *authority) client(template *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(255)
	template.NotBefore = time.Now().Add(-time.Hour)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	cert := a.sign(template, a.cert, key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// Certificates come from real TLS handshakes with a server that asks for them.
func TestCertificate(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	end := time.Now().Add(30 * time.Minute).Truncate(time.Second)
	spiffe := &url.URL{Scheme: "spiffe", Host: "x", Path: "/ann"}
	full := ours.client(&x509.Certificate{
		Subject: pkix.Name{CommonName: "ann", Organization: []string{"us"}}, NotAfter: end,
		DNSNames: []string{"a.example", "b.example"}, EmailAddresses: []string{"ann@example.com"}, URIs: []*url.URL{spiffe},
	})
	bare := ours.client(&x509.Certificate{NotAfter: end})
	stranger := theirs.client(&x509.Certificate{Subject: pkix.Name{CommonName: "ann"}, NotAfter: end})
	for _, c := range []struct {
		name    string
		show    []tls.Certificate
		verify  tls.ClientAuthType
		subject string
		want    Outcome
		user    string
	}{
		{"none", nil, tls.VerifyClientCertIfGiven, "cn", Absent, ""},
		{"by common name", []tls.Certificate{full}, tls.VerifyClientCertIfGiven, "cn", Good, "ann"},
		{"by distinguished name", []tls.Certificate{full}, tls.VerifyClientCertIfGiven, "dn", Good, "CN=ann,O=us"},
		{"by host", []tls.Certificate{full}, tls.RequireAndVerifyClientCert, "dns", Good, "a.example"},
		{"by address", []tls.Certificate{full}, tls.VerifyClientCertIfGiven, "email", Good, "ann@example.com"},
		{"by URI", []tls.Certificate{full}, tls.VerifyClientCertIfGiven, "uri", Good, "spiffe://x/ann"},
		{"by serial number", []tls.Certificate{bare}, tls.VerifyClientCertIfGiven, "serial", Good, "ff"},
		{"without the name", []tls.Certificate{bare}, tls.VerifyClientCertIfGiven, "cn", Bad, ""},
		{"without a list", []tls.Certificate{bare}, tls.VerifyClientCertIfGiven, "dns", Bad, ""},
		{"not verified", []tls.Certificate{full}, tls.RequireAnyClientCert, "cn", Bad, ""},
		{"of another authority, not verified", []tls.Certificate{stranger}, tls.RequireAnyClientCert, "cn", Bad, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var state *tls.ConnectionState
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { state = r.TLS }))
			pool := x509.NewCertPool()
			pool.AddCert(ours.cert)
			s.TLS = &tls.Config{ClientAuth: c.verify, ClientCAs: pool}
			s.StartTLS()
			defer s.Close()
			s.Client().Transport.(*http.Transport).TLSClientConfig.Certificates = c.show
			res, err := s.Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			f := wantOutcome(t, Certificate{Subject: c.subject}, core.Handshake{TLS: state}, c.want)
			if f.Identity.User() != c.user {
				t.Errorf("user %q, want %q", f.Identity.User(), c.user)
			}
			if c.want == Good && !f.Identity.Expires.Equal(end) {
				t.Errorf("expires %s, want %s", f.Identity.Expires, end)
			}
		})
	}
	wantOutcome(t, Certificate{Subject: "cn"}, core.Handshake{}, Absent)
}
