package auth

import (
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
	"github.com/polywire/polywire/internal/certs/certstest"
)

// Certificates come from real TLS handshakes with a server that asks for them.
func TestCertificate(t *testing.T) {
	ours, theirs := certstest.NewCA(t, "ours"), certstest.NewCA(t, "theirs")
	end := time.Now().Add(30 * time.Minute).Truncate(time.Second)
	spiffe := &url.URL{Scheme: "spiffe", Host: "x", Path: "/ann"}
	full := ours.Issue(func(c *x509.Certificate) {
		c.Subject, c.NotAfter = pkix.Name{CommonName: "ann", Organization: []string{"us"}}, end
		c.EmailAddresses, c.URIs = []string{"ann@example.com"}, []*url.URL{spiffe}
	}, "a.example", "b.example")
	bare := ours.Issue(func(c *x509.Certificate) {
		c.Subject, c.DNSNames, c.NotAfter, c.SerialNumber = pkix.Name{}, nil, end, big.NewInt(255)
	}, "bare")
	stranger := theirs.Issue(func(c *x509.Certificate) { c.Subject.CommonName = "ann" }, "stranger")
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
			s.TLS = &tls.Config{ClientAuth: c.verify}
			if c.verify != tls.RequireAnyClientCert { // which names no authorities
				s.TLS.ClientCAs = ours.Pool()
			}
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
