package polywire_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/certs/certstest"
)

// TestTLS: endpoints with TLS show it in their addresses and in the metrics, and their certificate
// is renewed while clients stay connected.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir, ca := t.TempDir(), certstest.NewCA(t, "ca")
	first, second := ca.Issue(nil, "127.0.0.1"), ca.Issue(nil, "127.0.0.1")
	cert, key := certstest.Write(t, dir, "a", first)
	r := run(t, fmt.Sprintf(`
endpoints:
  - {name: one, protocol: echo, listen: "127.0.0.1:0", path: /one, tls: {cert: %s, key: %s}}
  - {name: web, protocol: wsify, listen: "127.0.0.1:0", tls: {cert: %[1]s, key: %[2]s}}
admin: {listen: "127.0.0.1:0"}
`, cert, key))
	if u := r.urls["one"].URL; !strings.HasPrefix(u, "wss://127.0.0.1:") {
		t.Errorf("the address is %s", u)
	}
	if u := r.urls["web"].HTTP; !strings.HasPrefix(u, "https://127.0.0.1:") {
		t.Errorf("the address of HTTP is %s", u)
	}
	metric := func(c tls.Certificate) string {
		return fmt.Sprintf("polywire_tls_certificate_expiry_timestamp_seconds{endpoint=\"one\",file=%q} %v\n", cert, float64(c.Leaf.NotAfter.Unix()))
	}
	if _, page := get(t, r.AdminURL()); !strings.Contains(page, metric(first)) {
		t.Errorf("the metrics lack %s", metric(first))
	}
	trust := &tls.Config{RootCAs: ca.Pool()}
	dialer := ws.Dialer{TLSConfig: trust}
	old, _, _, err := dialer.Dial(t.Context(), r.urls["one"].URL)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	echo := func() {
		t.Helper()
		if err := wsutil.WriteClientText(old, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if b, err := wsutil.ReadServerText(old); err != nil || string(b) != "hello" {
			t.Fatalf("got %q, %v", b, err)
		}
	}
	echo()
	certstest.Write(t, dir, "a", second)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: trust, DisableKeepAlives: true}}
	for deadline := coretest.Deadline(); ; time.Sleep(100 * time.Millisecond) {
		response, err := client.Post(r.urls["web"].HTTP, "application/json", strings.NewReader(`{"channel":"c","payload":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.TLS.PeerCertificates[0].Equal(second.Leaf) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the certificate is not renewed")
		}
		echo()
	}
	echo()
}

// TestClientCertificates: a client with a certificate is its subject, with rights of its own; one
// without is nobody.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	dir, ca := t.TempDir(), certstest.NewCA(t, "ca")
	cert, key := certstest.Write(t, dir, "a", ca.Issue(nil, "127.0.0.1"))
	r := run(t, fmt.Sprintf(`
endpoints:
  - name: web
    protocol: vws
    listen: "127.0.0.1:0"
    tls: {cert: %s, key: %s, client_ca: %s, client_auth: request}
    auth: [{type: certificate, subject: dns}, {type: none}]
    acl: {subscribe: ["users/{subject}"]}
`, cert, key, certstest.WriteFile(t, dir, "ca.pem", ca.PEM())))
	for _, c := range []struct {
		name string
		show []tls.Certificate
		want string
	}{
		{"ann", []tls.Certificate{ca.Issue(nil, "ann")}, `{"k":"a","i":1}`},
		{"bob", []tls.Certificate{ca.Issue(nil, "bob")}, `{"k":"n","i":1,"e":"subscription not allowed"}`},
		{"nobody", nil, `{"k":"n","i":1,"e":"subscription not allowed"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dialer := ws.Dialer{TLSConfig: &tls.Config{RootCAs: ca.Pool(), Certificates: c.show}}
			conn, _, _, err := dialer.Dial(t.Context(), r.urls["web"].URL)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := wsutil.WriteClientText(conn, []byte(`{"k":"s","t":"users/ann","i":1}`)); err != nil {
				t.Fatal(err)
			}
			if got, err := wsutil.ReadServerText(conn); err != nil || string(got) != c.want {
				t.Errorf("got %s, %v, want %s", got, err, c.want)
			}
		})
	}
}
