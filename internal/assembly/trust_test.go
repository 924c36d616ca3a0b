package assembly

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
)

// loadEndpoint returns an endpoint of protocol wsify with more keys.
func loadEndpoint(t *testing.T, keys string) *config.Endpoint {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	text := "endpoints:\n  - {name: a, protocol: wsify, listen: '127.0.0.1:0', " + keys + "}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Source{File: file}, Protocols())
	if err != nil {
		t.Fatal(err)
	}
	return &cfg.Endpoints[0]
}

// auth and acl can be replaced while clients are connected, and an invalid one changes nothing.
func TestTrustIsReplaced(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	trust, err := newTrust(loadEndpoint(t, ""), new(core.Stats), log)
	if err != nil {
		t.Fatal(err)
	}
	defer trust.close()
	shake := core.Handshake{Header: http.Header{"Authorization": {"Bearer x"}}}
	want := func(what, user string, v core.Verdict, publish bool) {
		t.Helper()
		id, got, _ := trust.chain.Authenticate(t.Context(), shake)
		if got != v || id.User() != user {
			t.Errorf("%s: %d %q, want %d %q", what, got, id.User(), v, user)
		}
		if trust.rules.May(id, core.MayPublish, []byte("a"), false) != publish {
			t.Errorf("%s: may publish is not %t", what, publish)
		}
	}
	want("at first", "", core.Allow, true)
	replace := func(keys string) error {
		t.Helper()
		c := loadEndpoint(t, keys)
		m, err := trust.prepare(c)
		if err != nil {
			return err
		}
		trust.use(m)
		trust.rules.Replace(acl(c.ACL))
		return nil
	}
	if err := replace("auth: [{type: token, tokens: [{token: x, subject: ann}]}], acl: {publish: [b]}"); err != nil {
		t.Fatal(err)
	}
	want("with auth and acl", "ann", core.Allow, false)
	err = replace("auth: [{type: jwt, jwks: 'http://127.0.0.1:1/'}, {type: jwt, jwks: no-such-file}, {type: none}]")
	if err == nil || !strings.Contains(err.Error(), "auth[1]") || !strings.Contains(err.Error(), "no-such-file") {
		t.Errorf("a file that is not there: %v", err)
	}
	want("after a broken one", "ann", core.Allow, false)
	if err := replace("acl: {publish: {deny: [b]}}, auth: [{type: token, tokens: [{token: y}]}]"); err != nil {
		t.Fatal(err)
	}
	want("with other tokens", "", core.Deny, true)
	if err := replace(""); err != nil {
		t.Fatal(err)
	}
	want("without", "", core.Allow, true)
}

func TestTwoAuthorizers(t *testing.T) {
	ep := loadEndpoint(t, "authorizer: {url: 'http://x/'}, options: {authorizer_url: 'http://y/'}")
	_, err := newTrust(ep, new(core.Stats), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "one too many") {
		t.Errorf("error %v", err)
	}
}
