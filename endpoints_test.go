package polywire_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
)

func TestEndpoints(t *testing.T) {
	tests := []struct{ fields, url, http string }{
		{`protocol: wubsub`, "ws://127.0.0.1:9190/", ""},
		{`protocol: wubsub, listen: "[::]:1", path: /x`, "ws://127.0.0.1:1/x", ""},
		{`protocol: wubsub, listen: "0.0.0.0:1"`, "ws://127.0.0.1:1/", ""},
		{`protocol: wubsub, listen: "[::1]:1"`, "ws://[::1]:1/", ""},
		{`protocol: wsify, listen: "example.com:1"`, "ws://example.com:1/ws", "http://example.com:1/broadcast"},
		{`protocol: wsify, options: {broadcast_path: ""}`, "ws://127.0.0.1:3000/ws", ""},
	}
	for _, tt := range tests {
		t.Run(tt.fields, func(t *testing.T) {
			got := polywire.Endpoints(load(t, `endpoints: [{name: a, `+tt.fields+`}]`))
			if len(got) != 1 || got[0].Name != "a" || got[0].URL != tt.url || got[0].HTTP != tt.http {
				t.Errorf("got %+v, want %s %s", got, tt.url, tt.http)
			}
		})
	}
}

func TestAdminURL(t *testing.T) {
	const text = `endpoints: [{name: a, protocol: echo}]`
	if got := polywire.AdminURL(load(t, text+"\nadmin: {}")); got != "http://127.0.0.1:9100/metrics" {
		t.Errorf("got %q", got)
	}
	if got := polywire.AdminURL(load(t, text+"\nadmin: {listen: ''}")); got != "" {
		t.Errorf("turned off: %q", got)
	}
}

// TestExample loads the shipped example as it is, and again with everything that its comments show,
// which must give the same: the comments are the defaults.
func TestExample(t *testing.T) {
	shipped, err := os.ReadFile("config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	plain := load(t, string(shipped))
	full := load(t, uncomment(string(shipped)))
	want := []polywire.EndpointInfo{
		{Name: "bots", Protocol: "wubsub", URL: "ws://127.0.0.1:9190/"},
		{Name: "web", Protocol: "wsify", URL: "ws://127.0.0.1:3000/ws", HTTP: "http://127.0.0.1:3000/broadcast"},
		{Name: "games", Protocol: "stocking", URL: "ws://127.0.0.1:12345/ws"},
		{Name: "telemetry", Protocol: "vws", URL: "ws://127.0.0.1:8080/ws"},
		{Name: "mobile", Protocol: "webwire", URL: "ws://127.0.0.1:8081/"},
	}
	if got := polywire.Endpoints(plain); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if len(full.Endpoints) != len(want)+1 {
		t.Fatalf("%d endpoints with the comments", len(full.Endpoints))
	}
	full.Endpoints = full.Endpoints[:len(want)]
	full.Services = full.Services[:len(plain.Services)]
	// The example of origins is what the format does by default.
	full.Endpoints[0].Origins = nil
	// The restrictions of clients are not the default.
	if ep := &full.Endpoints[0]; len(ep.Auth) != 2 || ep.ACL == nil || ep.Authorizer == nil {
		t.Error("auth, acl or authorizer is not shown")
	}
	full.Endpoints[0].Auth, full.Endpoints[0].ACL, full.Endpoints[0].Authorizer = nil, nil, nil
	plain.Admin.Hosts = []string{}
	// Nobody has to say who he is by default, and there is no server for backends.
	if a := &full.Admin; len(a.Auth) != 1 || len(a.Tokens) != 1 || len(a.Allow.Operate) != 2 || full.API.Listen == "" || len(full.API.Tokens) != 1 {
		t.Errorf("who may ask is not shown: %+v, %+v", a, full.API)
	}
	full.Admin.Auth, full.Admin.Tokens, full.Admin.Allow, full.API = nil, nil, config.Allow{}, config.Admin{}
	// Nobody is told of events by default, and who is, in this way.
	if e := full.Events; len(plain.Events) != 0 || len(e) != 1 || e[0].Batch != 100 || e[0].Timeout != 5e9 || e[0].RetryFor != 600e9 || e[0].Queue != 16<<20 {
		t.Errorf("events are shown as %+v", e)
	}
	full.Events = plain.Events
	// A broker is alone by default.
	if c := &full.Cluster; c.Engine != "nats" || c.Node == "" || c.Embedded.Listen == "" || len(c.Embedded.Routes) != 1 || c.Embedded.StoreDir == "" {
		t.Errorf("the cluster is shown as %+v", c)
	}
	if c := full.Cluster; c.QueueLimit != plain.Cluster.QueueLimit || c.Prefix != "pw" {
		t.Errorf("a comment on the cluster is not the default: %+v", c)
	}
	full.Cluster = plain.Cluster
	// The network replaces 0 by its defaults; the example shows which.
	plain.Network = config.Network{
		MaxHandshakes: 4096, HandshakeTimeout: 10e9, HTTPIdleTimeout: 120e9, MaxHeader: 64 << 10, MaxHeaderFields: 1000, SendBuffer: 128 << 10, OutboundBudget: 256 << 20, InboundBudget: 256 << 20,
		TrustedProxies: []config.CIDR{},
	}
	for i := range plain.Endpoints {
		plain.Endpoints[i].Format, full.Endpoints[i].Format = nil, nil
	}
	if !reflect.DeepEqual(plain, full) {
		t.Errorf("a comment is not the default:\n%+v\n%+v", plain, full)
	}
}

// uncomment turns comments that look like settings into settings.
func uncomment(text string) string {
	head, text, _ := strings.Cut(text, "\nendpoints:\n")
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		indent, rest, ok := strings.Cut(line, "# ")
		key, _, isSetting := strings.Cut(rest, ":")
		if !ok || strings.TrimSpace(indent) != "" || !isSetting {
			continue
		}
		if !strings.ContainsAny(strings.TrimSpace(key), " ,.") || strings.HasPrefix(rest, "- {") {
			lines[i] = indent + rest
		}
	}
	return head + "\nendpoints:\n" + strings.Join(lines, "\n")
}
