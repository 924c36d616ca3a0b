package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/certs/certstest"
)

// A token is new each time, and its hash is the one that the configuration wants.
func TestAdminToken(t *testing.T) {
	seen := make(map[string]bool)
	for range 3 {
		var out, log bytes.Buffer
		if code := run([]string{"admin", "token"}, &out, &log); code != 0 {
			t.Fatalf("%d %s", code, &log)
		}
		m := regexp.MustCompile(`^token  (\S{43})\nhash   (sha256:[0-9a-f]{64})\n$`).FindStringSubmatch(out.String())
		if m == nil {
			t.Fatalf("it prints %q", &out)
		}
		if config.DigestOf(m[1]).String() != m[2] || seen[m[1]] {
			t.Errorf("the token is %s, its hash %s", m[1], m[2])
		}
		seen[m[1]] = true
	}
}

// Commands that ask show a token or a certificate, over TLS too, and trust the certificate that the configuration names.
func TestOperatorShowsWhoItIs(t *testing.T) {
	dir, ca := t.TempDir(), certstest.NewCA(t, "ca")
	cert, key := certstest.Write(t, dir, "server", ca.Issue(nil, "broker.internal"))
	authority := certstest.WriteFile(t, dir, "ca.pem", ca.PEM())
	ownCert, ownKey := certstest.Write(t, dir, "ann", ca.Issue(nil, "ann"))
	admin := fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t))
	text := func(admin, more string) string {
		return fmt.Sprintf(`endpoints: [{name: web, protocol: wsify, listen: "127.0.0.1:%d"}]
admin:
  listen: "%s"
  tls: {cert: %s, key: %s, client_ca: %s, client_auth: request}
  auth: [{type: certificate, subject: dns}]
  tokens: [{hash: "%s", subject: bob, role: read}]
  allow: {operate: [{subject: ann}]}
%s`, coretest.FreePort(t), admin, cert, key, authority, config.DigestOf("s3cret"), more)
	}
	file := write(t, text(admin, ""))
	serveHere(t, file)
	tokenFile := certstest.WriteFile(t, dir, "token", []byte("s3cret\n"))
	empty := certstest.WriteFile(t, dir, "empty", []byte("a token\nand more"))
	ask := func(variable string, args ...string) (code int, text string) {
		t.Helper()
		t.Setenv(tokenVariable, variable)
		var out, log bytes.Buffer
		code = run(args, &out, &log)
		return code, out.String() + log.String()
	}
	// The certificate names the broker, not the address; this file is that of another machine, with the name of the broker.
	named := write(t, strings.NewReplacer(cert, ownCert, key, ownKey, "  tls:", "  hosts: [broker.internal]\n  tls:").Replace(text(admin, "")))
	url := "https://" + admin
	for _, one := range []struct {
		name, variable string
		args           []string
		want           string
	}{
		{"nothing", "", []string{"connections", "-c", file}, "401 Unauthorized: to look at connections needs a credential of admin.tokens or admin.auth"},
		{"the variable", "s3cret", []string{"connections", "-c", file}, "CONNECTION"},
		{"a flag before the variable", "s3cret", []string{"connections", "-c", file, "--token", "x"}, "401 Unauthorized"},
		{"a flag", "", []string{"connections", "-c", file, "--token", "s3cret"}, "CONNECTION"},
		{"a file", "", []string{"connections", "-c", file, "--token-file", tokenFile}, "CONNECTION"},
		{"no file", "", []string{"connections", "-c", file, "--token-file", filepath.Join(dir, "none")}, "reading --token-file: "},
		{"a file with more", "", []string{"connections", "-c", file, "--token-file", empty}, "must have one token"},
		{"without the role", "s3cret", []string{"reload", "-c", file}, `403 Forbidden: "bob" may not reload the configuration`},
		{"a certificate", "", []string{"kick", "1000000", "-c", file, "--cert", ownCert, "--key", ownKey}, "404 Not Found: there is no connection 1000000"},
		{"half of one", "", []string{"reload", "-c", file, "--cert", ownCert}, "--cert and --key belong together"},
		{"a certificate that nobody vouches for", "s3cret", []string{"connections", "-c", named}, "is not trusted"},
		{"one that somebody vouches for", "s3cret", []string{"connections", "-c", named, "--ca", authority}, "CONNECTION"},
		{"a URL whose name it has not", "s3cret", []string{"connections", "--url", url, "--ca", authority}, "is not trusted"},
		{"no URL", "s3cret", []string{"connections", "--url", admin}, "is no address of an admin server"},
		{"health needs nothing", "", []string{"health", "-c", file}, "ok"},
	} {
		code, text := ask(one.variable, one.args...)
		good := one.want == "CONNECTION" || one.want == "ok"
		if !strings.Contains(text, one.want) || (code == 0) != good {
			t.Errorf("%s: %d %s, want %s", one.name, code, text, one.want)
		}
	}
}
