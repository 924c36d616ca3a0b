package config_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/polywire/polywire/config"
)

// Where other machines reach the server somebody has to say who he is.
func TestWhereAdminNeedsCredentials(t *testing.T) {
	token := fmt.Sprintf(`, tokens: [{hash: %q, subject: a, role: read}]`, config.DigestOf("x"))
	for listen, near := range map[string]bool{
		"127.0.0.1:9100": true, "127.1.2.3:9100": true, "[::1]:9100": true, "localhost:9100": true, "unix:/run/x.sock": true, "unix:@x": true,
		":9100": false, "0.0.0.0:9100": false, "[::]:9100": false, "10.0.0.1:9100": false, "[2001:db8::1]:9100": false, "broker.internal:9100": false,
		"localhost.evil.example:9100": false, "192.168.0.1:0": false,
	} {
		for _, server := range []string{"admin", "api"} {
			for more, enough := range map[string]bool{"": near, token: true, ", reload_token: x": server == "admin" || near} {
				if server == "api" && strings.Contains(more, "reload") {
					continue
				}
				text := fmt.Sprintf("endpoints: [{name: a, protocol: chat, listen: ':1'}]\nadmin: {listen: ''}\n%s: {listen: %q%s}\n", server, listen, more)
				if server == "admin" {
					text = strings.Replace(text, "admin: {listen: ''}\n", "", 1)
				}
				_, err := config.Load(config.Source{Text: text}, protocols())
				if (err == nil) != enough || err != nil && !strings.Contains(err.Error(), server+".listen: ") {
					t.Errorf("%s: {listen: %s%s}: %v", server, listen, more, err)
				}
			}
		}
	}
}

// What is written arrives.
func TestAdminValues(t *testing.T) {
	cfg := load(t, config.Source{}, fmt.Sprintf(`
endpoints: [{name: a, protocol: chat, listen: ":1"}]
admin:
  listen: ":9100"
  auth: [{type: jwt, secret: 0123456789abcdef0123456789abcdef, from: ["header:X-Token"]}]
  tokens: [{hash: "sha256:%s", subject: ann}, {hash: %q, subject: bob, role: publish}]
  allow:
    read: [{groups: staff}]
    operate: [{subject: [ann, eve], level: "7"}]
`, strings.ToUpper(config.DigestOf("x").String()[len("sha256:"):]), config.DigestOf("y")))
	want := []config.AdminToken{{Hash: config.DigestOf("x"), Subject: "ann"}, {Hash: config.DigestOf("y"), Subject: "bob", Role: "publish"}}
	if !reflect.DeepEqual(cfg.Admin.Tokens, want) {
		t.Errorf("the tokens are %+v", cfg.Admin.Tokens)
	}
	texts := func(list ...string) config.Texts { return config.Texts{List: list} }
	if want := (config.Allow{
		Read: []config.Grant{{"groups": texts("staff")}}, Operate: []config.Grant{{"subject": texts("ann", "eve"), "level": texts("7")}},
	}); !reflect.DeepEqual(cfg.Admin.Allow, want) {
		t.Errorf("the roles are %+v", cfg.Admin.Allow)
	}
	if a := cfg.Admin.Auth; len(a) != 1 || a[0].Subject != "sub" || !slices.Equal(a[0].From, []config.Place{{In: "header", Name: "X-Token"}}) {
		t.Errorf("the methods are %+v", a)
	}
}

// Who may ask changes with a reload, where the server listens does not, and both at once neither.
func TestAdminKeysThatNeedARestart(t *testing.T) {
	text := func(admin string) *config.Config {
		return load(t, config.Source{}, "endpoints: [{name: a, protocol: chat, listen: ':1'}]\nadmin: {"+admin+"}\n")
	}
	token := func(of string) string {
		return fmt.Sprintf("tokens: [{hash: %q, subject: a, role: read}]", config.DigestOf(of))
	}
	old := text("listen: ':9100', " + token("a"))
	for admin, want := range map[string]string{
		"listen: ':9100', " + token("b"):                  "[admin.tokens] []",
		"listen: ':9100', reload_token: x, " + token("a"): "[admin.reload_token] []",
		"listen: ':9100', hosts: [x], " + token("a"):      "[] [admin.hosts]",
		"listen: '127.0.0.1:9100'":                        "[] [admin.listen admin.tokens]",
		"listen: '127.0.0.1:9100', " + token("a"):         "[] [admin.listen]",
	} {
		live, restart := config.Elsewhere(old, text(admin))
		if got := fmt.Sprint(live, restart); got != want {
			t.Errorf("%s: %s, want %s", admin, got, want)
		}
	}
	secure := *old
	secure.Admin.TLS = config.TLS{Certificates: []config.Certificate{{Cert: "a", Key: "b"}}}
	if live, restart := config.Elsewhere(old, &secure); fmt.Sprint(live, restart) != "[] [admin.tls]" {
		t.Errorf("TLS turned on: %v %v", live, restart)
	}
	renewed := secure
	renewed.Admin.TLS = config.TLS{Certificates: []config.Certificate{{Cert: "c", Key: "d"}}}
	if live, restart := config.Elsewhere(&secure, &renewed); fmt.Sprint(live, restart) != "[admin.tls] []" {
		t.Errorf("another certificate: %v %v", live, restart)
	}
}
