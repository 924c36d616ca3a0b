package polywire_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/certs/certstest"
)

// jwtSecret signs the tokens of a test.
const jwtSecret = "0123456789abcdef0123456789abcdef"

// jwtOf returns a signed token.
func jwtOf(t *testing.T, claims map[string]any) string {
	t.Helper()
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(body)
	mac := hmac.New(sha256.New, []byte(jwtSecret))
	mac.Write([]byte(text))
	return text + "." + encode(mac.Sum(nil))
}

// visitor asks a server with what it has.
type visitor struct {
	base   string
	client *http.Client
	token  string
}

func (v visitor) ask(t *testing.T, method, path, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, v.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if v.token != "" {
		request.Header.Set("Authorization", "Bearer "+v.token)
	}
	response, err := v.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// The admin server knows its visitors by what clients of endpoints show too, and by tokens whose hashes it has; what
// they may do changes with a reload.
func TestWhoMayOperate(t *testing.T) {
	t.Parallel()
	dir, ca := t.TempDir(), certstest.NewCA(t, "ca")
	cert, key := certstest.Write(t, dir, "a", ca.Issue(nil, "127.0.0.1"))
	text := func(token, more string) string {
		return fmt.Sprintf(`
endpoints: [{name: e, protocol: echo, listen: "127.0.0.1:0"}]
admin:
  listen: "127.0.0.1:0"
  tls: {cert: %s, key: %s, client_ca: %s, client_auth: request}
  auth:
    - {type: jwt, secret: %s}
    - {type: certificate, subject: dns}
  tokens:
    - {hash: "%s", subject: prometheus, role: read}
    - {hash: "%s", subject: ann}
  allow:
    operate: [{groups: [sre], level: ["7", "8"]}, {subject: ann}]
    publish: [{groups: "*"}]
%s`, cert, key, certstest.WriteFile(t, dir, "ca.pem", ca.PEM()), jwtSecret, config.DigestOf(token), config.DigestOf("of ann"), more)
	}
	r := run(t, text("first", ""))
	base := strings.TrimSuffix(r.AdminURL(), "/metrics")
	if !strings.HasPrefix(base, "https://127.0.0.1:") {
		t.Fatalf("the address is %s", base)
	}
	with := func(token string, shows ...tls.Certificate) visitor {
		return visitor{base, &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), Certificates: shows},
		}}, token}
	}
	later, before := time.Now().Add(time.Hour).Unix(), time.Now().Add(-time.Hour).Unix()
	const reader, backend, operator, none, unknown = "read", "publish", "operate", "no role", "nobody"
	may := func(what string, v visitor, role string) {
		t.Helper()
		for _, one := range []struct {
			method, path string
			of           []string
		}{
			{http.MethodGet, "/v1/connections", []string{reader, operator}},
			{http.MethodPost, "/v1/publish?endpoint=nowhere&topic=a", []string{backend, operator}},
			{http.MethodDelete, "/v1/connections/1000000", []string{operator}},
			{http.MethodGet, "/metrics", []string{reader, operator}},
		} {
			want := http.StatusForbidden
			switch {
			case role == unknown:
				want = http.StatusUnauthorized
			case slices.Contains(one.of, role) && strings.Contains(one.path, "nowhere"), slices.Contains(one.of, role) && one.method == http.MethodDelete:
				want = http.StatusNotFound
			case slices.Contains(one.of, role):
				want = http.StatusOK
			}
			if got, body := v.ask(t, one.method, one.path, ""); got != want {
				t.Errorf("%s: %s %s is answered %d %.200s, want %d", what, one.method, one.path, got, body, want)
			}
		}
	}
	may("a token", with("first"), reader)
	may("a token whose subject has a role", with("of ann"), operator)
	may("a JWT of a group", with(jwtOf(t, map[string]any{"sub": "bob", "groups": []string{"dev", "sre"}, "level": 7, "exp": later})), operator)
	may("a JWT with another claim", with(jwtOf(t, map[string]any{"sub": "bob", "groups": "sre", "level": 9, "exp": later})), backend)
	may("a JWT of no group", with(jwtOf(t, map[string]any{"sub": "bob", "exp": later})), none)
	may("a JWT whose subject has a role", with(jwtOf(t, map[string]any{"sub": "ann", "exp": later})), operator)
	may("a certificate whose name has a role", with("", ca.Issue(nil, "ann")), operator)
	may("a certificate without a role", with("", ca.Issue(nil, "eve")), none)
	may("nothing", with(""), unknown)
	if got, _ := with(jwtOf(t, map[string]any{"sub": "ann", "exp": before})).ask(t, http.MethodGet, "/v1/connections", ""); got != http.StatusUnauthorized {
		t.Errorf("an expired JWT: %d", got)
	}
	if got, _ := with(jwtOf(t, map[string]any{"sub": "ann", "exp": before}), ca.Issue(nil, "ann")).ask(t, http.MethodGet, "/v1/connections", ""); got != http.StatusUnauthorized {
		t.Errorf("an expired JWT beside a good certificate: %d", got)
	}
	if got, _ := with("").ask(t, http.MethodGet, "/readyz", ""); got != http.StatusOK {
		t.Errorf("/readyz: %d", got)
	}
	forged := certstest.NewCA(t, "ca").Issue(nil, "ann")
	insists := &tls.Config{RootCAs: ca.Pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &forged, nil }}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: insists}}
	if _, err := client.Get(base + "/livez"); err == nil {
		t.Error("a certificate of another authority is taken")
	}

	renewed := ca.Issue(nil, "127.0.0.1")
	certstest.Write(t, dir, "a", renewed)
	eventually(t, "the certificate is renewed", func() bool {
		response, err := with("").client.Get(base + "/livez")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.TLS.PeerCertificates[0].Equal(renewed.Leaf)
	})
	if _, page := with("first").ask(t, http.MethodGet, "/metrics", ""); !strings.Contains(page, fmt.Sprintf("polywire_tls_certificate_expiry_timestamp_seconds{endpoint=\"$admin\",file=%q}", cert)) {
		t.Error("the metrics do not say when the certificate ends")
	}

	if p := r.reload(t, text("second", "    read: [{subject: eve}]\n")); line(p) != "e unchanged | admin.tokens admin.allow | " {
		t.Errorf("the plan is %s", line(p))
	}
	if got, _ := with("first").ask(t, http.MethodGet, "/v1/connections", ""); got != http.StatusUnauthorized {
		t.Errorf("the token of before: %d", got)
	}
	may("the token after a reload", with("second"), reader)
	may("the certificate after a reload", with("", ca.Issue(nil, "eve")), reader)

	// Who may ask at another address is decided when it is listened at.
	elsewhere := strings.Replace(text("third", ""), `admin:
  listen: "127.0.0.1:0"`, `admin:
  listen: "localhost:0"`, 1)
	if p := r.reload(t, elsewhere); line(p) != "e unchanged |  | admin.listen admin.tokens" {
		t.Errorf("the plan is %s", line(p))
	}
	may("the token while a restart is due", with("second"), reader)
}

// A reload without TLS and credentials, for another address, leaves the server as it is until then.
func TestServerStaysClosed(t *testing.T) {
	t.Parallel()
	dir, ca := t.TempDir(), certstest.NewCA(t, "ca")
	cert, key := certstest.Write(t, dir, "a", ca.Issue(nil, "127.0.0.1"))
	const endpoints = "endpoints: [{name: e, protocol: echo, listen: \"127.0.0.1:0\"}]\n"
	r := run(t, endpoints+fmt.Sprintf("admin: {listen: \"0.0.0.0:0\", tls: {cert: %s, key: %s}, tokens: [{hash: %q, subject: a, role: read}]}\n", cert, key, config.DigestOf("a")))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}}
	v := visitor{base: strings.TrimSuffix(r.AdminURL(), "/metrics"), client: client}
	for _, more := range []string{"", fmt.Sprintf(", tokens: [{hash: %q, subject: b, role: read}]", config.DigestOf("b"))} {
		if p := r.reload(t, endpoints+"admin: {listen: \"127.0.0.1:0\""+more+"}\n"); !slices.Contains(p.Restart, "admin.tokens") || len(p.Applied) != 0 {
			t.Errorf("the plan is %s", line(p))
		}
		if got, _ := v.ask(t, http.MethodGet, "/metrics", ""); got != http.StatusUnauthorized {
			t.Errorf("the metrics: %d", got)
		}
	}
}

// The server for backends publishes to clients, and has nothing else.
func TestBackends(t *testing.T) {
	t.Parallel()
	r := run(t, fmt.Sprintf(`
endpoints: [{name: web, protocol: vws, listen: "127.0.0.1:0"}]
admin: {listen: ""}
api: {listen: "127.0.0.1:0", tokens: [{hash: "%s", subject: shop, role: publish}, {hash: "%s", subject: till, role: read}]}
`, config.DigestOf("of the shop"), config.DigestOf("of the till")))
	base := ""
	for _, s := range r.Sockets() {
		if s.Name == "$api" {
			base = "http://" + s.Listener.Addr().String()
		}
	}
	shop := visitor{base, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "of the shop"}
	c, heard := speaks(t, "vws", r.urls["web"].URL)
	do(t, c, core.Command{Verb: core.Subscribe, Topic: []byte("news")})
	if status, body := shop.ask(t, http.MethodPost, "/v1/publish?topic=news", `"hello"`); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if ev := coretest.Receive(t, "a message", heard); string(ev.Payload.Data) != `"hello"` {
		t.Errorf("it hears %s", ev.Payload.Data)
	}
	r.Handle("echo", func(_ context.Context, c core.Invocation) (core.Payload, error) { return c.Payload, nil })
	if status, body := shop.ask(t, http.MethodPost, "/v1/call/echo", "hi"); status != http.StatusOK || body != "hi" {
		t.Errorf("%d %s", status, body)
	}
	for _, path := range []string{"/metrics", "/livez", "/v1/connections", "/v1/tap?endpoint=web", "/reload"} {
		if status, _ := shop.ask(t, http.MethodGet, path, ""); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	shop.token = "of another shop"
	if status, _ := shop.ask(t, http.MethodPost, "/v1/publish?topic=news", `"hello"`); status != http.StatusUnauthorized {
		t.Errorf("another token: %d", status)
	}
	// Refusals are as the document describes them.
	described := func(token string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/v1/publish?topic=news", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+token)
		response, _ := asDescribed(t, request, []byte("1"))
		return response.StatusCode
	}
	for _, one := range []struct {
		token string
		want  int
	}{{"of the till", http.StatusForbidden}, {"of nobody", http.StatusUnauthorized}} {
		if got := described(one.token); got != one.want {
			t.Errorf("%s: %d", one.token, got)
		}
	}
	eventually(t, "the address is told to wait", func() bool { return described("of nobody") == http.StatusTooManyRequests })
}
