package config_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/internal/certs"
	"github.com/polywire/polywire/internal/certs/certstest"
)

// TestTLS shows how the keys become settings.
func TestTLS(t *testing.T) {
	dir, ca := t.TempDir(), certstest.NewCA(t, "ca")
	cert, key := certstest.Write(t, dir, "a", ca.Issue(nil, "a"))
	cert2, key2 := certstest.Write(t, dir, "b", ca.Issue(certstest.Expired, "b"))
	authority := certstest.WriteFile(t, dir, "ca.pem", ca.PEM())
	one := []certs.Pair{{Cert: cert, Key: key}}
	tests := []struct {
		name, text string
		want       certs.Settings
	}{
		{"short", fmt.Sprintf("{cert: %s, key: %s}", cert, key), certs.Settings{Pairs: one}},
		{"list, one of it expired", fmt.Sprintf("{certificates: [{cert: %s, key: %s}, {cert: %s, key: %s}]}", cert, key, cert2, key2), certs.Settings{
			Pairs: append(one, certs.Pair{Cert: cert2, Key: key2}),
		}},
		{"client_ca alone", fmt.Sprintf("{cert: %s, key: %s, client_ca: %s}", cert, key, authority), certs.Settings{
			Pairs: one, ClientCA: authority, ClientAuth: tls.RequireAndVerifyClientCert,
		}},
		{"all", fmt.Sprintf(`{cert: %s, key: %s, client_ca: %s, client_auth: request, min_version: "1.2", max_version: 1.3,
      curves: [X25519, P-256], cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]}`, cert, key, authority), certs.Settings{
			Pairs: one, ClientCA: authority, ClientAuth: tls.VerifyClientCertIfGiven,
			MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13,
			Curves: []tls.CurveID{tls.X25519, tls.CurveP256}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := load(t, config.Source{}, "endpoints:\n  - name: a\n    protocol: chat\n    tls: "+tt.text)
			if got := cfg.Endpoints[0].TLS.Settings(); fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
	t.Run("from the environment", func(t *testing.T) {
		cfg := load(t, config.Source{Env: []string{"POLYWIRE_ENDPOINTS__A__TLS__CERT=" + cert, "POLYWIRE_ENDPOINTS__A__TLS__KEY=" + key}},
			"endpoints: [{name: a, protocol: chat}]")
		if !cfg.Endpoints[0].TLS.On() {
			t.Error("there is no TLS")
		}
	})
	t.Run("changes", func(t *testing.T) {
		endpoint := func(tls string) *config.Config {
			return load(t, config.Source{}, "endpoints: [{name: a, protocol: chat"+tls+"}]")
		}
		none := endpoint("")
		first, second := endpoint(fmt.Sprintf(", tls: {cert: %s, key: %s}", cert, key)), endpoint(fmt.Sprintf(", tls: {cert: %s, key: %s}", cert2, key2))
		if c := config.Compare(first, second)[0]; c.Ends() || fmt.Sprint(c.Live) != "[tls]" {
			t.Errorf("another certificate: %+v", c)
		}
		if c := config.Compare(none, first)[0]; !c.Ends() || fmt.Sprint(c.Fixed) != "[tls]" {
			t.Errorf("turned on: %+v", c)
		}
	})
	t.Run("key of another certificate", func(t *testing.T) {
		file := write(t, fmt.Sprintf("endpoints:\n  - name: a\n    protocol: chat\n    tls:\n      cert: %s\n      key: %s\n", cert, key2))
		_, err := config.Load(config.Source{File: file}, protocols())
		var faults config.Errors
		if !errors.As(err, &faults) || len(faults) != 1 || faults[0].Line != 6 || faults[0].Path != "endpoints[0].tls.key" ||
			!strings.Contains(faults[0].Text, "does not match") {
			t.Errorf("got %v", err)
		}
	})
}
