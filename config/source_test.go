package config_test

import (
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/config"
)

const twoEndpoints = `
endpoints:
  - {name: Web-1, protocol: hook, listen: ":3000", options: {key: "${KEY:-none}", names: [a]}, origins: ["https://a.example"]}
  - {name: bots, protocol: chat, listen: ":${PORT:-9190}", max_calls: "${CALLS:-5}"}
services: [{match: a, builtin: echo}]
log: {level: error}
`

func TestOverrides(t *testing.T) {
	cfg := load(t, config.Source{
		Env: []string{
			"POLYWIRE_ENDPOINTS__WEB_1__OPTIONS__KEY=from-env",
			"POLYWIRE_ENDPOINTS__WEB_1__OPTIONS__SEND=true",
			"POLYWIRE_ENDPOINTS__WEB_1__OPTIONS__STORE__DIR=./e",
			"POLYWIRE_ENDPOINTS__BOTS__LISTEN=:1",
			"POLYWIRE_ENDPOINTS__1__PING_INTERVAL=1m",
			"POLYWIRE_LOG__LEVEL=debug",
			"POLYWIRE_SERVICES__0__MATCH=b",
			// Variables that Kubernetes sets for a service of this name are not ours.
			"POLYWIRE_PORT=tcp://10.0.0.1:9190", "POLYWIRE_SERVICE_HOST=10.0.0.1",
			"OTHER__LOG__LEVEL=info",
		},
		Set: []config.Override{
			{From: "--set", Key: "endpoints.bots.listen", Value: ":2"},
			{From: "--set", Key: "endpoints.bots.max_message_size", Value: "2MiB"},
			{From: "--set", Key: "endpoints.Web-1.origins", Value: "https://b.example, *"},
			{From: "--set", Key: "endpoints.bots.origins", Value: `["https://c.example", "*"]`},
			{From: "--log-level", Key: "log.level", Value: "warn"},
			{From: "--set", Key: "admin.listen", Value: ""},
		},
	}, twoEndpoints)
	web, bots := cfg.Endpoints[0], cfg.Endpoints[1]
	want := hookOptions{Key: "from-env", Wait: time.Second, Send: true, Names: []string{"a"}}
	want.Store.Dir = "./e"
	if !reflect.DeepEqual(web.Options, &want) {
		t.Errorf("options: %+v", web.Options)
	}
	if !reflect.DeepEqual(web.Origins, []string{"https://b.example", "*"}) {
		t.Errorf("origins: %q", web.Origins)
	}
	if !reflect.DeepEqual(bots.Origins, []string{"https://c.example", "*"}) {
		t.Errorf("origins of bots: %q", bots.Origins)
	}
	if bots.Listen != ":2" || bots.MaxMessageSize != 2<<20 || bots.PingInterval != time.Minute || bots.MaxCalls != 5 {
		t.Errorf("bots: %+v", bots)
	}
	if cfg.Log.Level.Level() != slog.LevelWarn || cfg.Admin.Listen != "" || cfg.Services[0].Match != "b" {
		t.Errorf("rest: %+v", cfg)
	}
}

func TestOverrideFaults(t *testing.T) {
	tests := []struct{ name, env, key, value, want string }{
		{name: "variable", env: "POLYWIRE_LOG__LEVEL=loud", want: `POLYWIRE_LOG__LEVEL: log.level: `},
		{name: "unknown key", env: "POLYWIRE_ADMIN__LISTN=:1", want: `POLYWIRE_ADMIN__LISTN: admin.listn: unknown key; did you mean "listen"?`},
		{name: "unknown section", env: "POLYWIRE_ADMN__LISTEN=:1", want: `POLYWIRE_ADMN__LISTEN: admn: unknown key; did you mean "admin"?`},
		{name: "unknown endpoint", key: "endpoints.bot.listen", value: ":1", want: `--set: endpoints.bot.listen: there is no "bot" in endpoints; did you mean "bots"?`},
		{name: "number over the end", key: "services.1.match", value: "x", want: `there is no "1" in services`},
		{name: "whole endpoint", key: "endpoints.bots", value: "x", want: `--set: endpoints.bots: names no single value; write endpoints.NAME.KEY`},
		{name: "whole list", key: "services", value: "x", want: `names no single value`},
		{name: "value for a section", key: "network", value: "x", want: `--set: network: must be a mapping of keys`},
		{name: "section for a value", key: "admin.listen.x", value: "x", want: `--set: admin.listen: must be a single value`},
		{name: "bad size", key: "network.max_header", value: "8Kib8", want: `--set: network.max_header: must be a size such as`},
		{name: "clash", key: "endpoints.bots.listen", value: ":3000", want: ``},
		{name: "clash with admin", key: "admin.listen", value: "127.0.0.1:9190", want: `--set: admin.listen: "127.0.0.1:9190" is the address of endpoint "bots"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := config.Source{File: write(t, twoEndpoints)}
			if tt.env != "" {
				src.Env = []string{tt.env}
			} else {
				src.Set = []config.Override{{From: "--set", Key: tt.key, Value: tt.value}}
			}
			_, err := config.Load(src, protocols())
			if tt.want == "" {
				if err != nil {
					t.Errorf("got %v, want no error", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %v\nwant %v", err, tt.want)
			}
		})
	}
}

// TestInterpolation gives each text as the key of a hook.
func TestInterpolation(t *testing.T) {
	env := []string{"A=one", "EMPTY=", "TREE=${A}", "POLY_1=p"}
	tests := []struct{ text, want, err string }{
		{text: "${A}", want: "one"},
		{text: "x${A}y${A}", want: "xoney" + "one"},
		{text: "${EMPTY}", want: ""},
		{text: "${EMPTY:-d}", want: "d"},
		{text: "${UNSET:-}", want: ""},
		{text: "${UNSET:-a:-b}", want: "a:-b"},
		{text: "$${A}", want: "${A}"},
		{text: "$A and $", want: "$A and $"},
		{text: "${TREE}", want: "${A}"},
		{text: "${POLY_1}", want: "p"},
		{text: "${UNSET}", err: ":1: endpoints[0].options.key: environment variable UNSET is not set; ${UNSET:-default} would allow that"},
		{text: "${A", err: "without a closing }"},
		{text: "${}", err: "names no environment variable"},
		{text: "${1A}", err: "names no environment variable"},
		{text: "${A-b}", err: "names no environment variable"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			src := config.Source{Env: env, File: write(t, `endpoints: [{name: a, protocol: hook, listen: ":1", options: {key: "`+tt.text+`"}}]`)}
			cfg, err := config.Load(src, protocols())
			var faults config.Errors
			switch {
			case tt.err != "":
				if !errors.As(err, &faults) || len(faults) != 1 || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %s", err, tt.err)
				}
			case err != nil:
				t.Error(err)
			default:
				if got := cfg.Endpoints[0].Options.(*hookOptions).Key; got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			}
		})
	}
}

func TestSize(t *testing.T) {
	tests := []struct {
		text string
		want config.Size // -1: an error
	}{
		{"0", 0},
		{"512", 512},
		{"512B", 512},
		{"64KiB", 64 << 10},
		{"64kib", 64 << 10},
		{"1 MiB", 1 << 20},
		{"32MB", 32e6},
		{"2GiB", 2 << 30},
		{"", -1},
		{"MiB", -1},
		{"-1", -1},
		{"1.5MiB", -1},
		{"1TB", -1},
		{"99999999999GiB", -1},
		{"18446744073709551616", -1},
		{"1K", -1},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			var got config.Size
			err := got.UnmarshalText([]byte(tt.text))
			if (err != nil) != (tt.want < 0) || err == nil && got != tt.want {
				t.Errorf("got %d, %v; want %d", got, err, tt.want)
			}
		})
	}
}

// TestMistakenVariables: likely mistakes are not ignored silently, and variables of others are left
// alone.
func TestMistakenVariables(t *testing.T) {
	for variable, want := range map[string]string{
		"POLYWIRE_LOG_LEVEL=debug":                      "log.level is set with POLYWIRE_LOG__LEVEL",
		"POLYWIRE_ADMIN_LISTEN=:1":                      "admin.listen is set with POLYWIRE_ADMIN__LISTEN",
		"POLYWIRE_ADMIN_RELOAD_TOKEN=x":                 "admin.reload_token is set with POLYWIRE_ADMIN__RELOAD_TOKEN",
		"POLYWIRE_NETWORK_MAX_CONNECTIONS=1":            "POLYWIRE_NETWORK__MAX_CONNECTIONS",
		"POLYWIRE_DRAIN_RATE=1/s":                       "POLYWIRE_DRAIN__RATE",
		"POLYWIRE_ENDPOINTS_BOTS_LISTEN=:1":             "endpoints.bots.listen is set with POLYWIRE_ENDPOINTS__BOTS__LISTEN",
		"POLYWIRE_ENDPOINTS_WEB_1_MAX_MESSAGE_SIZE=1":   "POLYWIRE_ENDPOINTS__WEB_1__MAX_MESSAGE_SIZE",
		"POLYWIRE_ENDPOINTS_WEB_1_OPTIONS_KEY=x":        "POLYWIRE_ENDPOINTS__WEB_1__OPTIONS__KEY",
		"POLYWIRE_ENDPOINTS_WEB_1_LIMITS_TOPIC_DEPTH=1": "POLYWIRE_ENDPOINTS__WEB_1__LIMITS__TOPIC_DEPTH",

		"POLYWIRE_CONFIG=x.yaml":                     "",
		"POLYWIRE_PORT=tcp://10.0.0.1:9190":          "",
		"POLYWIRE_ADMIN_SERVICE_HOST=10.0.0.1":       "",
		"POLYWIRE_ADMIN_PORT_9100_TCP=tcp://1:9100":  "",
		"POLYWIRE_ENDPOINTS_OTHER_LISTEN=:1":         "",
		"POLYWIRE_LOG=debug":                         "",
		"POLYWIRE_=x":                                "",
		"OTHER_LOG_LEVEL=debug":                      "",
		"POLYWIRE_ENDPOINTS_BOTS_SERVICE_HOST=10.0.": "",
	} {
		_, err := config.Load(config.Source{Text: twoEndpoints, Env: []string{variable}}, protocols())
		name, _, _ := strings.Cut(variable, "=")
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), name+": is not read; ") || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", variable, err, want)
		}
	}
}
