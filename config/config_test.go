package config_test

import (
	"errors"
	"flag"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// format is a wire format of which only the profile matters here.
type format struct {
	core.Format
	profile core.Profile
}

func (f format) Profile() core.Profile { return f.profile }

// hookFormat also answers plain HTTP.
type hookFormat struct{ format }

func (hookFormat) Handler(core.Publisher, *core.Stats) http.Handler { return http.NotFoundHandler() }

type hookOptions struct {
	Key     string            `koanf:"key"`
	Wait    time.Duration     `koanf:"wait"`
	Strict  bool              `koanf:"strict"`
	Ratio   float64           `koanf:"ratio"`
	Retries uint8             `koanf:"retries"`
	Send    any               `koanf:"send"`
	Names   []string          `koanf:"names"`
	Headers map[string]string `koanf:"headers"`
	Store   struct {
		Dir string `koanf:"dir"`
	} `koanf:"store"`
	Sessions struct {
		Store string `koanf:"store"`
	} `koanf:"sessions"`
}

func (o *hookOptions) Needs() core.Needs { return core.Needs{Sessions: o.Sessions.Store} }

// protocols are two formats: chat without options and hook with some of each kind.
func protocols() []core.Protocol {
	chat := core.Profile{MaxMessage: 1 << 20, PingInterval: 54 * time.Second, PongTimeout: 60 * time.Second}
	hook := core.Profile{MaxMessage: 4096, IdleTimeout: time.Minute}
	return []core.Protocol{
		{
			Name: "chat", Listen: ":9190",
			New: func(any, int) (core.Format, error) { return format{profile: chat}, nil },
		},
		{
			Name: "hook", Path: "/ws",
			Options: func() any { return &hookOptions{Wait: time.Second} },
			Validate: func(options any) error {
				var faults []error
				o := options.(*hookOptions)
				if o.Wait <= 0 {
					faults = append(faults, errors.New("wait: must be more than 0"))
				}
				if o.Key == "secret" && o.Strict {
					faults = append(faults, errors.New("a strict hook needs a better key"))
				}
				return errors.Join(faults...)
			},
			New: func(any, int) (core.Format, error) { return hookFormat{format{profile: hook}}, nil },
		},
	}
}

// The limit of a user's connections is a number, or a mapping with its scope; a cluster gives a meaning
// to what needs one.
func TestUsersOfCluster(t *testing.T) {
	cfg, err := config.Load(config.Source{Text: `
endpoints:
  - {name: a, protocol: chat, listen: ":1", limits: {connections_per_user: 3}}
  - {name: b, protocol: chat, listen: ":2", limits: {connections_per_user: {max: 4, scope: cluster}}}
  - {name: c, protocol: hook, listen: ":3", limits: {connections_per_user: {max: 5}}, options: {sessions: {store: cluster}}}
cluster: {engine: redis, node: a, url: "redis://10.0.0.2"}
`, Set: []config.Override{{From: "test", Key: "endpoints.c.limits.connections_per_user", Value: "6"}}}, protocols())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []config.PerUser{{Max: 3}, {Max: 4, Scope: config.ScopeCluster}, {Max: 6}} {
		if got := cfg.Endpoints[i].Limits.ConnectionsPerUser; got != want {
			t.Errorf("endpoint %d: %+v, want %+v", i, got, want)
		}
	}
}

// write puts a configuration into a file and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// load loads a configuration that must be valid.
func load(t *testing.T, src config.Source, text string) *config.Config {
	t.Helper()
	src.File = write(t, text)
	cfg, err := config.Load(src, protocols())
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return cfg
}

// TestFaults compares everything that is reported about each file of testdata with its golden file.
func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	env := []string{"SET=yes", "EMPTY="}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := config.Load(config.Source{File: file, Env: env}, protocols())
			var faults config.Errors
			if !errors.As(err, &faults) {
				t.Fatalf("Load returned %v, want config.Errors", err)
			}
			got := strings.ReplaceAll(faults.Error(), file, filepath.Base(file)) + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	cfg := load(t, config.Source{}, `
endpoints:
  - {name: a, protocol: chat}
  - {name: b, protocol: hook, listen: "127.0.0.1:3000"}
`)
	a, b := cfg.Endpoints[0], cfg.Endpoints[1]
	if a.Listen != ":9190" || a.Path != "" || a.Options != nil || a.MaxMessageSize != 1<<20 || a.OutboundLimit != 2<<20 ||
		a.SlowConsumer != "disconnect" || a.PingInterval != 54*time.Second || a.PongTimeout != time.Minute ||
		a.IdleTimeout != 0 || a.Origins != nil || a.CallTimeout != 30*time.Second || a.MaxCalls != 1024 || a.Format == nil {
		t.Errorf("defaults of chat: %+v", a)
	}
	if o, ok := b.Options.(*hookOptions); !ok || o.Wait != time.Second {
		t.Errorf("options of hook: %+v", b.Options)
	}
	if b.Path != "/ws" || b.IdleTimeout != time.Minute || b.PingInterval != 0 || b.PongTimeout != 0 {
		t.Errorf("defaults of hook: %+v", b)
	}
	if cfg.Admin.Listen != "127.0.0.1:9100" || cfg.Log.Level.Level() != slog.LevelInfo || cfg.Log.Format != "text" {
		t.Errorf("defaults: %+v", cfg)
	}
}

// TestOutboundLimit: by default it follows the biggest message of any endpoint.
func TestOutboundLimit(t *testing.T) {
	cfg, err := config.Load(config.Source{Text: `
endpoints:
  - {name: small, protocol: chat, listen: ":1"}
  - {name: big, protocol: chat, listen: ":2", max_message_size: 32MiB}
  - {name: own, protocol: chat, listen: ":3", outbound_limit: 5MiB}
`}, protocols())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []config.Size{33 << 20, 33 << 20, 5 << 20} {
		if got := cfg.Endpoints[i].OutboundLimit; got != want {
			t.Errorf("%s: %s, want %s", cfg.Endpoints[i].Name, got, want)
		}
	}
}

func TestValues(t *testing.T) {
	cfg := load(t, config.Source{}, `
endpoints:
  - &base
    name: a
    protocol: hook
    listen: ":3000"
    path: /a
    options:
      key: 0123
      wait: 2m30s
      strict: true
      ratio: 0.5
      retries: 3
      send: {prefix: [client/, 1, true]}
      names: [x, "y,z"]
      headers: {a: b}
      store: {dir: ./d}
    max_message_size: 64KiB
    outbound_limit: 32 mb
    slow_consumer: drop_oldest
    ping_interval: 10s
    pong_timeout: 15s
    idle_timeout: 0
    origins: ["https://example.com", "https://*.example.com:8443", "http://localhost:*", "*"]
    proxy_protocol: optional
    health: /healthz
    limits:
      connections: 100
      connections_per_address: 10
      connections_per_user: 5
      messages: 600/m
      messages_burst: 50
      bytes: 1 MB / s
      bytes_burst: 4MiB
      subscriptions: 64
      topic_length: 128
      topic_depth: 8
      json_depth: 32
    topic_prefix: tenant/
    call_timeout: 1s
    max_calls: 7
  - <<: *base
    name: b
    listen: ":3001"
services: [{match: echo, builtin: echo}, {match: up, url: "http://h/", max_calls: 8}, {match: "", builtin: echo}]
calls: {max_per_service: 9, budget: 64MiB}
admin: {listen: ""}
log: {level: warn, format: json, access: off}
network: {loops: 2, max_connections: 10, max_handshakes: 20, handshake_timeout: 3s, max_header: 16KiB, max_header_fields: 50, send_buffer: 1MiB,
  max_handshakes_per_address: 5, max_http_per_address: 6, http_idle_timeout: 90s, handshake_rate: 500/s, handshake_burst: 1000, memory_watermark: 80%,
  trusted_proxies: [10.0.0.0/8, 192.168.1.1, "2001:db8::/32"]}
drain: {rate: 90/m, timeout: 1m}
cluster: {engine: nats, node: n-1, embedded: {listen: "10.0.0.1:6222", routes: ["nats://10.0.0.2:6222"], store_dir: ./data, client: ":4222"}, queue_limit: 2MiB}
traces: {url: "https://h:4318", headers: {k: v}, sample: 0.25, service: s}
`)
	want := config.Endpoint{
		Name: "a", Protocol: "hook", Listen: ":3000", Path: "/a",
		MaxMessageSize: 64 << 10, OutboundLimit: 32_000_000, SlowConsumer: "drop_oldest",
		PingInterval: 10 * time.Second, PongTimeout: 15 * time.Second,
		Origins:     []string{"https://example.com", "https://*.example.com:8443", "http://localhost:*", "*"},
		TopicPrefix: "tenant/", CallTimeout: time.Second, MaxCalls: 7, ProxyProtocol: "optional", Health: "/healthz",
		Limits: config.Limits{
			Connections: 100, ConnectionsPerAddress: 10, ConnectionsPerUser: config.PerUser{Max: 5},
			Messages: config.Rate{N: 600, Per: time.Minute}, MessagesBurst: 50,
			Bytes: config.Rate{N: 1e6, Per: time.Second}, BytesBurst: 4 << 20,
			Subscriptions: 64, TopicLength: 128, TopicDepth: 8, JSONDepth: 32,
		},
	}
	options := hookOptions{
		Key: "0123", Wait: 150 * time.Second, Strict: true, Ratio: 0.5, Retries: 3,
		Send: map[string]any{"prefix": []any{"client/", 1, true}}, Names: []string{"x", "y,z"},
		Headers: map[string]string{"a": "b"},
	}
	options.Store.Dir = "./d"
	for i, ep := range cfg.Endpoints {
		if !reflect.DeepEqual(ep.Options, &options) {
			t.Errorf("options of %s: %+v", ep.Name, ep.Options)
		}
		ep.Options, ep.Format = nil, nil
		if i == 1 {
			want.Name, want.Listen = "b", ":3001"
		}
		if !reflect.DeepEqual(ep, want) {
			t.Errorf("got  %+v\nwant %+v", ep, want)
		}
	}
	rest := config.Config{
		Services: []config.Service{{Match: "echo", Builtin: "echo"}, {Match: "up", URL: "http://h/", MaxCalls: 8}, {Builtin: "echo"}},
		Calls:    config.Calls{MaxPerService: 9, Budget: 64 << 20},
		Admin:    config.Admin{Health: config.Defaults().Admin.Health},
		Log:      config.Log{Level: config.Level(slog.LevelWarn), Format: "json", Access: "off"},
		Network: config.Network{
			Loops: 2, MaxConnections: 10, MaxHandshakes: 20, HandshakeTimeout: 3 * time.Second,
			MaxHeader: 16 << 10, MaxHeaderFields: 50, SendBuffer: 1 << 20,
			MaxHandshakesPerAddress: 5, MaxHTTPPerAddress: 6, HTTPIdleTimeout: 90 * time.Second, HandshakeRate: config.Rate{N: 500, Per: time.Second}, HandshakeBurst: 1000,
			MemoryWatermark: config.Watermark{Percent: 80},
			TrustedProxies: []config.CIDR{
				{Prefix: netip.MustParsePrefix("10.0.0.0/8")},
				{Prefix: netip.MustParsePrefix("192.168.1.1/32")},
				{Prefix: netip.MustParsePrefix("2001:db8::/32")},
			},
		},
		Drain:  config.Drain{Rate: config.Rate{N: 90, Per: time.Minute}, Timeout: time.Minute},
		Traces: config.Traces{URL: "https://h:4318", Headers: map[string]string{"k": "v"}, Sample: 0.25, Service: "s"},
		Cluster: config.Cluster{
			Engine: "nats", Node: "n-1", Prefix: "pw", QueueLimit: 2 << 20,
			Embedded: config.Embedded{Listen: "10.0.0.1:6222", Routes: []string{"nats://10.0.0.2:6222"}, StoreDir: "./data", Client: ":4222"},
		},
	}
	cfg.Endpoints = nil
	if !reflect.DeepEqual(*cfg, rest) {
		t.Errorf("got  %+v\nwant %+v", *cfg, rest)
	}
}

// TestPings shows how the default times follow a changed one.
func TestPings(t *testing.T) {
	tests := []struct {
		name, set  string
		ping, pong time.Duration
	}{
		{"none", "", 54 * time.Second, 60 * time.Second},
		{"longer interval keeps the slack", "ping_interval: 90s", 90 * time.Second, 96 * time.Second},
		{"no pings, no pongs", "ping_interval: 0", 0, 0},
		{"pong alone", "pong_timeout: 2m", 54 * time.Second, 2 * time.Minute},
		{"pong off", "pong_timeout: 0s", 54 * time.Second, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ep := load(t, config.Source{}, "endpoints: [{name: a, protocol: chat, "+tt.set+"}]").Endpoints[0]
			if ep.PingInterval != tt.ping || ep.PongTimeout != tt.pong {
				t.Errorf("ping %s, pong %s; want %s, %s", ep.PingInterval, ep.PongTimeout, tt.ping, tt.pong)
			}
		})
	}
}

// TestSharedListener shows what may share a port.
func TestSharedListener(t *testing.T) {
	load(t, config.Source{}, `
endpoints:
  - {name: any, protocol: chat, listen: ":3000"}
  - {name: a, protocol: chat, listen: ":3000", path: /a}
  - {name: b, protocol: hook, listen: ":3000", path: /b}
  - {name: c, protocol: chat, listen: "127.0.0.1:4000"}
  - {name: d, protocol: chat, listen: "127.0.0.2:4000"}
  - {name: e, protocol: chat, listen: "127.0.0.1:0"}
  - {name: f, protocol: chat, listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
`)
}

// A configuration may be a text; its faults are reported like those of a file.
func TestText(t *testing.T) {
	const text = `endpoints: [{name: a, protocol: chat, listen: ":${PORT:-1}"}]`
	cfg, err := config.Load(config.Source{Text: text, Env: []string{"PORT=2"}}, protocols())
	if err != nil || cfg.Endpoints[0].Listen != ":2" {
		t.Errorf("%+v, %v", cfg, err)
	}
	for file, want := range map[string]string{"": "\nconfig:1: endpoint: unknown key", "main.go": "\nmain.go:1: endpoint: unknown key"} {
		_, err := config.Load(config.Source{Text: "endpoint: []", File: file}, protocols())
		if err == nil || !strings.Contains("\n"+err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestMissingFile(t *testing.T) {
	_, err := config.Load(config.Source{File: "testdata/no-such-file"}, protocols())
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
