package polywire_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/certs/certstest"
)

// everything is a broker that has all that has metrics: an endpoint of each format, webhooks, a service of
// an HTTP server, TLS, a bridge, events for a backend, traces, and a cluster of one node.
func everything(t *testing.T) *running {
	t.Helper()
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/answer" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`"an answer"`))
		}
	}))
	t.Cleanup(hook.Close)
	port := coretest.FreePort(t)
	old(t, "wubsub", port)
	cert, key := certstest.Write(t, t.TempDir(), "a", certstest.NewCA(t, "ca").Issue(nil, "127.0.0.1"))
	cluster := fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t))
	b := run(t, fmt.Sprintf(`
endpoints:
  - {name: bots, protocol: wubsub, listen: "127.0.0.1:0"}
  - {name: web, protocol: wsify, listen: "127.0.0.1:0", options: {authorizer_url: %[1]q}}
  - {name: games, protocol: stocking, listen: "127.0.0.1:0", authorizer: {url: %[1]q}}
  - {name: telemetry, protocol: vws, listen: "127.0.0.1:0", options: {allow_send: true}}
  - {name: mobile, protocol: webwire, listen: "127.0.0.1:0"}
  - {name: echo, protocol: echo, listen: "127.0.0.1:0"}
  - {name: safe, protocol: wsify, listen: "127.0.0.1:0", tls: {cert: %[2]q, key: %[3]q}}
services: [{match: there/ask, url: %[4]q}]
bridges: [{name: old, protocol: wubsub, url: "ws://127.0.0.1:%[5]d/ws", hear: [news]}]
cluster: {engine: nats, node: a, embedded: {listen: %[6]q, routes: [%[7]q], store_dir: %[8]q}}
events: [{name: presence, url: %[4]q, secret: 0123456789abcdef0123456789abcdef}]
traces: {url: %[4]q}
admin: {listen: "127.0.0.1:0"}
`, hook.URL, cert, key, hook.URL+"/answer", port, cluster, "nats://"+cluster, t.TempDir()))
	hears := dial(t, b.urls["web"].URL)
	hears.send(`{"command":"join","args":{"channel":"c"}}`)
	hears.send(`{"command":"broadcast","args":{"channel":"c","content":"heard"}}`)
	hears.want(`"heard"`)
	dial(t, b.urls["games"].URL)
	if _, err := b.Call(t.Context(), "bots", "there/ask", core.Payload{Kind: core.JSON, Data: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	return b
}

// shown is a metric on the metrics page.
type shown struct {
	kind, help string
	labels     []string // sorted
	reasons    []string // the values of the label reason
}

var (
	helpLine   = regexp.MustCompile(`^# HELP (\S+) (.*)$`)
	typeLine   = regexp.MustCompile(`^# TYPE (\S+) (\S+)$`)
	sampleLine = regexp.MustCompile(`^([a-z_:]+)(?:\{(.*)\})? \S+$`)
	labelName  = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
)

// metricsOf returns all metrics of a page.
func metricsOf(t *testing.T, page string) map[string]*shown {
	t.Helper()
	all := make(map[string]*shown)
	last := ""
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if m := helpLine.FindStringSubmatch(line); m != nil {
			all[m[1]] = &shown{help: m[2]}
			last = m[1]
			continue
		}
		if m := typeLine.FindStringSubmatch(line); m != nil {
			all[m[1]].kind = m[2]
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil || !strings.HasPrefix(m[1], last) {
			t.Fatalf("the metrics page has the line %q", line)
		}
		one := all[last]
		for _, label := range labelName.FindAllStringSubmatch(m[2], -1) {
			if label[1] == "reason" {
				one.reasons = append(one.reasons, label[2])
			}
			if label[1] != "le" && !slices.Contains(one.labels, label[1]) {
				one.labels = append(one.labels, label[1])
			}
		}
		slices.Sort(one.labels)
	}
	return all
}

// The metrics are named by Prometheus' rules, have few labels, and docs/metrics.md lists each of them.
func TestMetrics(t *testing.T) {
	b := everything(t)
	_, page := get(t, b.AdminURL())
	for _, series := range []string{
		`polywire_webhook_request_duration_seconds_count{endpoint="games",outcome="ok",protocol="stocking",webhook="authorizer"} `,
		`polywire_service_request_duration_seconds_count{outcome="ok",service="there/ask"} `,
	} {
		if !strings.Contains(page, "\n"+series) || strings.Contains(page, "\n"+series+"0\n") {
			t.Errorf("nothing was measured of %s", series)
		}
	}
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	listed, err := os.ReadFile("docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| `polywire_.*$").FindAllString(string(listed), -1) {
		rows[row] = true
	}
	allowed := strings.Fields("endpoint protocol peer_protocol reason outcome loop webhook service direction result version file backend")
	all := metricsOf(t, page)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !strings.HasPrefix(name, "polywire_") {
			continue
		}
		m := all[name]
		for _, label := range m.labels {
			if !slices.Contains(allowed, label) {
				t.Errorf("%s has the label %s", name, label)
			}
		}
		row := fmt.Sprintf("| `%s` | %s | %s | %s |", name, m.kind, strings.Join(m.labels, ", "), m.help)
		if !rows[row] {
			t.Errorf("docs/metrics.md lacks the line\n%s", row)
		}
		delete(rows, row)
	}
	for row := range rows {
		t.Errorf("docs/metrics.md has a line of no metric:\n%s", row)
	}
}

// What clients do is measured where it happens: at the endpoint that it happens to.
func TestMeasurements(t *testing.T) {
	t.Parallel()
	b := run(t, `
endpoints:
  - {name: web, protocol: wsify, listen: "127.0.0.1:0"}
  - {name: games, protocol: vws, listen: "127.0.0.1:0", options: {allow_send: true, max_event_size: 100}}
  - {name: bots, protocol: wubsub, listen: "127.0.0.1:0"}
services: [{match: echo, builtin: echo}]
admin: {listen: "127.0.0.1:0"}
`)
	if _, err := b.Call(t.Context(), "bots", "echo", core.Payload{Kind: core.JSON, Data: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Call(t.Context(), "bots", "nobody", core.Payload{Kind: core.JSON, Data: []byte("1")}); err == nil {
		t.Error("somebody answers")
	}
	web, games := dial(t, b.urls["web"].URL), dial(t, b.urls["games"].URL)
	games.send(`{"k":"s","t":"c"}`)
	games.want(`{"k":"a"}`)
	web.send(`{"command":"join","args":{"channel":"c"}}`)
	web.send(`{"command":"broadcast","args":{"channel":"c","content":"small"}}`)
	web.want(`"small"`)
	games.want(`{"d":"small","t":"c"}`)
	big := `"` + strings.Repeat("x", 200) + `"`
	web.send(`{"command":"broadcast","args":{"channel":"c","content":` + big + `}}`)
	web.want(big)
	for series, want := range map[string]float64{
		`polywire_handshake_duration_seconds_count\{endpoint="web",outcome="ok",protocol="wsify"\}`:     1,
		`polywire_handshake_duration_seconds_count\{endpoint="web",outcome="failed",protocol="wsify"\}`: 0,
		`polywire_call_duration_seconds_count\{endpoint="bots",outcome="ok",protocol="wubsub"\}`:        1,
		`polywire_call_duration_seconds_count\{endpoint="bots",outcome="failed",protocol="wubsub"\}`:    1,
		`polywire_publish_to_write_seconds_count\{endpoint="web",protocol="wsify"\}`:                    1,
		`polywire_publish_to_write_seconds_count\{endpoint="games",protocol="vws"\}`:                    1,
		`polywire_encode_failures_total\{endpoint="games",peer_protocol="wsify",protocol="vws"\}`:       1,
		`polywire_encode_failures_total\{endpoint="web",peer_protocol="vws",protocol="wsify"\}`:         0,
		`polywire_message_in_size_bytes_count\{endpoint="web",protocol="wsify"\}`:                       3,
		`polywire_message_out_size_bytes_bucket\{endpoint="web",protocol="wsify",le="64"\}`:             1,
	} {
		coretest.Eventually(t, fmt.Sprintf("%s is %v", series, want), func() bool { return b.metric(t, series) == want })
	}
}
