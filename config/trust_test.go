package config_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
)

func patterns(t *testing.T, texts ...string) []core.Template {
	t.Helper()
	list := []core.Template{}
	for _, text := range texts {
		one, err := core.ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, one)
	}
	return list
}

// TestTrust shows the forms of auth, acl and authorizer, and their defaults.
func TestTrust(t *testing.T) {
	cfg := load(t, config.Source{Env: []string{"TOKEN=t0ken"}}, `
endpoints:
  - name: a
    protocol: chat
    origins: ["https://example.com"]
    auth:
      - {type: jwt, jwks: "https://id.example/jwks", issuer: us, audience: [a, b], from: [header, "header:X-Token", "query:token", "cookie:s"]}
      - type: jwt
        public_keys: [a.pem]
        algorithms: [ES256]
        require: {role: [a, b], exp: "*"}
        leeway: 0s
        refresh: 1m
        timeout: 1s
        subject: uid
      - {type: token, tokens: [{token: "${TOKEN}", subject: bot, claims: {level: 7, rooms: [x]}}], token_file: tokens}
      - {type: webhook, url: "http://x/", idle_timeout: 3s, cache: {allow: 30s, deny: 5s, jitter: 0}, on_error: last_known}
      - {type: basic, users: [{user: ann, password: "${TOKEN}", claims: {level: 7}}], user_file: users}
      - {type: token, token_file: t, from: [subprotocol, "subprotocol:app"]}
      - {type: none}
    acl:
      publish: [a, "users/{subject}/#"]
      subscribe: {allow: ["#"], deny: [secret/#]}
      call: {deny: [admin/#]}
      serve: []
      publish_owned: a
    authorizer: {url: "http://y/", timeout: 1s, idle_timeout: 2s, cache: {allow: 1m, size: 7}}
  - {name: b, protocol: chat, listen: ":1", authorizer: {url: "http://y/"}}
`)
	header := []config.Place{{In: "header"}}
	const usual = 5 * time.Second
	want := config.Endpoint{
		Auth: []config.Auth{
			{
				Type: "jwt", JWKS: "https://id.example/jwks", Issuer: config.Texts{List: []string{"us"}},
				Audience: config.Texts{List: []string{"a", "b"}}, Subject: "sub",
				From:    []config.Place{{In: "header"}, {In: "header", Name: "X-Token"}, {In: "query", Name: "token"}, {In: "cookie", Name: "s"}},
				Refresh: 15 * time.Minute, Timeout: usual, Leeway: 10 * time.Second,
			},
			{
				Type: "jwt", PublicKeys: []string{"a.pem"}, Algorithms: []string{"ES256"}, Subject: "uid", From: header,
				Require: map[string]config.Texts{"role": {List: []string{"a", "b"}}, "exp": {List: []string{"*"}}},
				Refresh: time.Minute, Timeout: time.Second,
			},
			{
				Type: "token", From: header, Timeout: usual, TokenFile: "tokens",
				Tokens: []config.Token{{Token: "t0ken", Subject: "bot", Claims: map[string]any{"level": 7, "rooms": []any{"x"}}}},
			},
			{
				Type: "webhook", From: header, URL: "http://x/", Timeout: usual, IdleTimeout: 3 * time.Second, OnError: "last_known",
				Cache: config.Cache{Allow: 30 * time.Second, Deny: 5 * time.Second},
			},
			{
				Type: "basic", From: header, Timeout: usual, UserFile: "users",
				Users: []config.User{{User: "ann", Password: "t0ken", Claims: map[string]any{"level": 7}}},
			},
			{Type: "token", TokenFile: "t", Timeout: usual, From: []config.Place{{In: "subprotocol"}, {In: "subprotocol", Name: "app"}}},
			{Type: "none", From: header, Timeout: usual},
		},
		ACL: &config.ACL{
			Publish:      config.ACLists{Allow: patterns(t, "a", "users/{subject}/#")},
			Subscribe:    config.ACLists{Allow: patterns(t, "#"), Deny: patterns(t, "secret/#")},
			Call:         config.ACLists{Deny: patterns(t, "admin/#")},
			Serve:        config.ACLists{Allow: patterns(t)},
			PublishOwned: config.ACLists{Allow: patterns(t, "a")},
		},
		Authorizer: &config.Authorizer{
			URL: "http://y/", Timeout: time.Second, IdleTimeout: 2 * time.Second, OnError: "deny", Cache: config.Cache{Allow: time.Minute, Jitter: 0.1, Size: 7},
		},
	}
	got := cfg.Endpoints[0]
	for i := range want.Auth {
		if !reflect.DeepEqual(got.Auth[i], want.Auth[i]) {
			t.Errorf("auth[%d]:\ngot  %+v\nwant %+v", i, got.Auth[i], want.Auth[i])
		}
	}
	if len(got.Auth) != len(want.Auth) || !reflect.DeepEqual(got.ACL, want.ACL) || !reflect.DeepEqual(got.Authorizer, want.Authorizer) {
		t.Errorf("got  %d %+v %+v\nwant %d %+v %+v", len(got.Auth), got.ACL, got.Authorizer, len(want.Auth), want.ACL, want.Authorizer)
	}
	b := cfg.Endpoints[1]
	if b.Auth != nil || b.ACL != nil || b.Authorizer.Timeout != usual || b.Authorizer.OnError != "deny" {
		t.Errorf("defaults: %+v", b)
	}
}
