package config_test

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
)

// TestBuild: a configuration made in Go is the same as the one of the file that says the same.
func TestBuild(t *testing.T) {
	made := config.Config{
		Endpoints: []config.Endpoint{
			{Name: "a", Protocol: "chat"},
			{
				Name: "b", Protocol: "hook", Listen: ":2", Origins: []string{"https://Example.com"}, PingInterval: 20 * time.Second,
				Options: &hookOptions{Key: "k", Names: []string{"x"}, Send: map[string]any{"prefix": "p/"}, Store: struct {
					Dir string `koanf:"dir"`
				}{"d"}},
				Limits: config.Limits{Messages: config.Rate{N: 5, Per: time.Second}, ConnectionsPerUser: config.PerUser{Max: 3}},
				Auth: []config.Auth{
					{Type: "token", Tokens: []config.Token{{Token: "t", Subject: "s", Claims: map[string]any{"level": 7}}}, From: []config.Place{{In: "query", Name: "token"}}},
					{Type: "none"},
				},
				ACL:        &config.ACL{Publish: config.ACLists{Allow: patterns(t, "a", "users/{subject}/#")}, Serve: config.ACLists{Allow: patterns(t)}},
				Authorizer: &config.Authorizer{URL: "http://y/", Cache: config.Cache{Allow: time.Minute}},
			},
			{Name: "c", Protocol: "chat", Listen: ":3", PingInterval: -1, Options: nil},
			{Name: "d", Protocol: "hook", Listen: ":4", Options: map[string]any{"wait": "3s", "strict": true, "retries": 3, "names": []any{"x", "y"}, "store": map[string]any{"dir": "e"}}},
		},
		Services: []config.Service{{Builtin: "echo"}, {Match: "x", URL: "http://z/"}},
		Bridges:  nil,
		Calls:    config.Calls{MaxPerService: 10},
		Log:      config.Log{Format: "json"},
		Network:  config.Network{MemoryWatermark: config.Watermark{Percent: 80}, TrustedProxies: []config.CIDR{{Prefix: netip.MustParsePrefix("10.0.0.0/8")}, {}}},
		Drain:    config.Drain{Timeout: time.Minute},
	}
	before := made.Endpoints[1]
	before.Origins = []string{"https://Example.com"}
	got, err := config.Build(made, protocols(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := load(t, config.Source{}, `
endpoints:
  - {name: a, protocol: chat}
  - name: b
    protocol: hook
    listen: ":2"
    origins: ["https://Example.com"]
    ping_interval: 20s
    options: {key: k, names: [x], send: {prefix: p/}, store: {dir: d}}
    limits: {messages: 5/s, connections_per_user: 3}
    auth:
      - {type: token, tokens: [{token: t, subject: s, claims: {level: 7}}], from: ["query:token"]}
      - {type: none}
    acl: {publish: [a, "users/{subject}/#"], serve: []}
    authorizer: {url: "http://y/", cache: {allow: 1m}}
  - {name: c, protocol: chat, listen: ":3", ping_interval: 0s}
  - {name: d, protocol: hook, listen: ":4", options: {wait: 3s, strict: true, retries: 3, names: [x, y], store: {dir: e}}}
services: [{match: "", builtin: echo}, {match: x, url: "http://z/"}]
calls: {max_per_service: 10}
log: {format: json}
network: {memory_watermark: 80%, trusted_proxies: [10.0.0.0/8, unix]}
drain: {timeout: 1m}
admin: {listen: ""}
`)
	for i := range want.Endpoints {
		got.Endpoints[i].Format, want.Endpoints[i].Format = nil, nil // they are made anew
		if !reflect.DeepEqual(got.Endpoints[i], want.Endpoints[i]) {
			t.Errorf("got  %+v\nwant %+v", got.Endpoints[i], want.Endpoints[i])
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !reflect.DeepEqual(made.Endpoints[1], before) || got.Endpoints[1].Origins[0] != "https://example.com" {
		t.Errorf("what was given is changed: %+v", made.Endpoints[1])
	}
}

// TestBuildFaults: a fault names the key, and has no line.
func TestBuildFaults(t *testing.T) {
	_, err := config.Build(config.Config{
		Endpoints: []config.Endpoint{
			{Name: "a", Protocol: "chatt", MaxCalls: -1},
			{
				Name: "b", Protocol: "hook", MaxMessageSize: -1, Listen: ":1", CallTimeout: -1, Limits: config.Limits{Messages: config.Rate{N: 1}},
				Options: &config.Auth{Timeout: time.Second}, Auth: []config.Auth{{Type: "token", From: []config.Place{{In: "body"}}}},
				TLS: config.TLS{Cert: "no.pem", Key: "no.pem", MinVersion: 7, Curves: []config.Curve{9}, CipherSuites: []config.CipherSuite{9}, ClientAuth: 77},
			},
			{Name: "b", Protocol: "chat", Options: map[string]any{"x": 1}},
		},
		Services: []config.Service{{Match: "x"}},
		Log:      config.Log{Format: "xml"},
		Network: config.Network{
			MemoryWatermark: config.Watermark{Percent: 101}, TrustedProxies: []config.CIDR{{Prefix: netip.MustParsePrefix("10.0.0.1/8")}}, OutboundBudget: -1,
		},
		Drain: config.Drain{Rate: config.Rate{N: 1, Per: -time.Second}},
	}, protocols(), nil)
	for _, want := range []string{
		`endpoints[0].protocol: unknown protocol "chatt"; did you mean "chat"?`,
		"endpoints[1].max_message_size: must be from 0 to ",
		"endpoints[1].call_timeout: must be more than 0",
		"endpoints[1].limits.messages: must be a number and a period",
		"endpoints[1].auth[0].from[0]: must be header, ",
		"endpoints[1].tls.min_version: must be 1.2 or 1.3, not 0x0007",
		"endpoints[1].tls.curves[0]: unknown curve ",
		"endpoints[1].tls.cipher_suites[0]: unknown cipher suite ",
		"endpoints[1].tls.client_auth: must be none, request or require",
		"endpoints[1].options.timeout: unknown key",
		"endpoints[2].options: the protocol chat has no options",
		`endpoints[2].name: there is an endpoint "b" already`,
		"services[0]: needs builtin or url",
		`log.format: must be text or json, not "xml"`,
		"network.memory_watermark: must be a part",
		`network.trusted_proxies[0]: "10.0.0.1/8" has bits behind its prefix`,
		"network.outbound_budget: must be from 0 to ",
		"drain.rate: must be a number and a period",
	} {
		if !strings.Contains("\n"+errorText(err), "\n"+want) {
			t.Errorf("not reported: %s", want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
	_, err = config.Build(config.Config{}, protocols(), nil)
	if got := errorText(err); got != "endpoints: there is no endpoint; list at least one" {
		t.Error(got)
	}
	_, err = config.Build(config.Config{Endpoints: []config.Endpoint{{Name: "a", Protocol: "hook", Listen: ":1", Options: map[string]any{"wait": "x", "key": []any{}}}}}, protocols(), nil)
	if got := errorText(err); !strings.Contains(got, `endpoints[0].options.wait: must be a duration`) || !strings.Contains(got, "endpoints[0].options.key: must be a single value") {
		t.Error(got)
	}
	type otherOptions struct {
		Key int `koanf:"key"`
	}
	_, err = config.Build(config.Config{Endpoints: []config.Endpoint{{Name: "a", Protocol: "hook", Listen: ":1", Options: &otherOptions{1}}}}, protocols(), nil)
	if got := errorText(err); got != "endpoints[0].options.key: must be a string, not a int" {
		t.Error(got)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestBuilt: a configuration is complete, or not at all.
func TestBuilt(t *testing.T) {
	built, err := config.Build(config.Config{Endpoints: []config.Endpoint{{Name: "a", Protocol: "chat"}}}, protocols(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := built.Built(); !ok || err != nil {
		t.Error(ok, err)
	}
	built.Endpoints = append(built.Endpoints, config.Endpoint{Name: "b", Protocol: "chat"})
	if ok, err := built.Built(); ok || !strings.Contains(errorText(err), `"b"`) {
		t.Error(ok, err)
	}
	if ok, err := (&config.Config{}).Built(); ok || err != nil {
		t.Error(ok, err)
	}
	if ok, err := (&config.Config{Endpoints: []config.Endpoint{{Name: "b"}}}).Built(); ok || err != nil {
		t.Error(ok, err)
	}
}

// TestBuildPlugin: an endpoint and a bridge of a program may have plugins.
func TestBuildPlugin(t *testing.T) {
	asked := ""
	_, err := config.Build(config.Config{
		Endpoints: []config.Endpoint{{Name: "a", Listen: ":1", Plugin: config.Plugin{Command: []string{"p"}, Env: map[string]string{"K": "v"}}, Options: map[string]any{"wait": time.Minute}}},
		Cluster:   config.Cluster{},
	}, protocols(), func(endpoint string, p config.Plugin) (core.Protocol, error) {
		asked = endpoint + " " + p.Command[0] + " " + p.Env["K"]
		return protocols()[1], nil
	})
	if err != nil || asked != "a p v" {
		t.Error(asked, err)
	}
}
