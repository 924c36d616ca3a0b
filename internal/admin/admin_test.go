package admin_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/admin"
)

// source returns a source with two endpoints whose counters are all different.
func source(ready *atomic.Bool) admin.Source {
	one := &core.Endpoint{Name: "one", Protocol: "wubsub", Possible: core.PossibleWith(nil), Stats: new(core.Stats)}
	one.Stats.Open.Store(2)
	one.Stats.Opened.Store(3)
	one.Stats.MessagesIn.Store(4)
	one.Stats.BytesIn.Store(5)
	one.Stats.MessagesOut.Store(6)
	one.Stats.BytesOut.Store(7)
	one.Stats.Published.Store(8)
	one.Stats.Calls.Store(9)
	one.Stats.Throttled.Store(20)
	one.Stats.Restarts.Store(30)
	one.Stats.Unanswered.Store(31)
	one.Stats.Closed.Add(core.ReasonLost, 10)
	one.Stats.Rejected.Add(core.ReasonOrigin, 11)
	one.Stats.Refused.Add(core.ReasonMalformed, 12)
	one.Stats.Dropped.Add(core.ReasonSlow, 13)
	one.Stats.DroppedBytes.Add(core.ReasonSlow, 20)
	one.Stats.CallsFailed.Add(core.ReasonTimeout, 14)
	one.Stats.CallsFailed.Add(core.ReasonGone, 15)
	one.Stats.AuthorizerHook.InUse.Store(true)
	one.Stats.AuthorizerHook.Hits.Store(20)
	one.Stats.AuthorizerHook.Misses.Store(21)
	one.Stats.AuthorizerHook.Errors.Store(22)
	one.Stats.AuthorizerHook.Breaker.Store(true)
	one.Stats.Queued.Add(90)
	one.Stats.Queued.Add(-20)
	one.Stats.Unwritable.Inc("wsify")
	one.Stats.Unwritable.Inc("wsify")
	one.Stats.Unwritable.Inc("gone")
	two := &core.Endpoint{Name: "two", Protocol: "wsify", Possible: core.PossibleWith(nil), Stats: new(core.Stats)}
	rejected := new(core.Counters)
	rejected.Inc(core.ReasonHandshake)
	accept := new(atomic.Uint64)
	accept.Store(16)
	reloads := new(admin.Reloads)
	reloads.Done.Store(30)
	reloads.Failed.Store(31)
	reloads.Last.Store(32)
	return admin.Source{
		Version: "v1.2.3", Endpoints: func() []*core.Endpoint { return []*core.Endpoint{one, two} }, Rejected: rejected,
		AcceptErrors: accept, Panics: func() uint64 { return 17 },
		Calls: func() int { return 18 }, Topics: func() int { return 19 },
		Counts: func() admin.Counts { return admin.Counts{Patterns: 50, Channels: 51, Services: 52, Sessions: 53} },
		Loops: func() []admin.Loop {
			return []admin.Loop{{Index: 3, Busy: 1500 * time.Millisecond, Mails: 54, MaxMails: 55}}
		},
		Handshakes: new(core.Durations),
		Outbound:   func() int64 { return 21 }, OutboundBudget: 22,
		Inbound: func() int64 { return 26 }, InboundBudget: func() int64 { return 27 },
		Memory: func() (used, watermark uint64) { return 23, 24 }, LogDropped: func() uint64 { return 25 }, Matrix: func() any { return struct{}{} }, Taps: func() (open int, lost uint64) { return 28, 29 },
		Services: func() []admin.Service {
			one := new(core.ServiceStats)
			one.Calls.Store(40)
			one.Failed.Add(core.ReasonTimeout, 41)
			one.Breaker.Store(true)
			return []admin.Service{{Match: "a/#", Stats: one}}
		},
		Certificates: func() []admin.Certificate {
			return []admin.Certificate{{Endpoint: "one", File: "one.pem", Expires: time.Unix(20, 0)}}
		},
		Bridges: func() []admin.Bridge {
			return []admin.Bridge{{Name: "old", Health: func() error { return nil }, Standby: func() string { return "" }}}
		},
		Ready:   ready.Load,
		Reloads: reloads,
	}
}

func start(t *testing.T, src admin.Source) (s *admin.Server, base string) {
	t.Helper()
	s = admin.New(src, slog.New(slog.DiscardHandler))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Start(ln)
	return s, "http://" + s.Addr().String()
}

func stop(t *testing.T, s *admin.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), coretest.Patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

var histogramLine = regexp.MustCompile(`^\w+_(bucket|sum|count)\W`)

const metrics = `polywire_accept_errors_total 16
polywire_admin_requests_refused_total{reason="credential"} 0
polywire_admin_requests_refused_total{reason="elsewhere"} 0
polywire_admin_requests_refused_total{reason="host"} 0
polywire_admin_requests_refused_total{reason="no_credential"} 0
polywire_admin_requests_refused_total{reason="page"} 0
polywire_admin_requests_refused_total{reason="rate"} 0
polywire_admin_requests_refused_total{reason="role"} 0
polywire_admin_requests_refused_total{reason="unavailable"} 0
polywire_bridge_up{endpoint="old"} 1
polywire_build_info{version="v1.2.3"} 1
polywire_bytes_dropped_total{endpoint="one",protocol="wubsub",reason="slow"} 20
polywire_bytes_in_total{endpoint="one",protocol="wubsub"} 5
polywire_bytes_in_total{endpoint="two",protocol="wsify"} 0
polywire_bytes_out_total{endpoint="one",protocol="wubsub"} 7
polywire_bytes_out_total{endpoint="two",protocol="wsify"} 0
polywire_calls_failed_total{endpoint="one",protocol="wubsub",reason="gone"} 15
polywire_calls_failed_total{endpoint="one",protocol="wubsub",reason="timeout"} 14
polywire_calls_outstanding 18
polywire_calls_total{endpoint="one",protocol="wubsub"} 9
polywire_calls_total{endpoint="two",protocol="wsify"} 0
polywire_channels_owned 51
polywire_config_last_reload_success_timestamp_seconds 32
polywire_config_reloads_total{result="done"} 30
polywire_config_reloads_total{result="failed"} 31
polywire_connections_closed_total{endpoint="one",protocol="wubsub",reason="lost"} 10
polywire_connections_open{endpoint="one",protocol="wubsub"} 2
polywire_connections_open{endpoint="two",protocol="wsify"} 0
polywire_connections_opened_total{endpoint="one",protocol="wubsub"} 3
polywire_connections_opened_total{endpoint="two",protocol="wsify"} 0
polywire_encode_failures_total{endpoint="one",peer_protocol="gone",protocol="wubsub"} 1
polywire_encode_failures_total{endpoint="one",peer_protocol="wsify",protocol="wubsub"} 2
polywire_encode_failures_total{endpoint="one",peer_protocol="wubsub",protocol="wubsub"} 0
polywire_encode_failures_total{endpoint="two",peer_protocol="wsify",protocol="wsify"} 0
polywire_encode_failures_total{endpoint="two",peer_protocol="wubsub",protocol="wsify"} 0
polywire_handshakes_rejected_total{endpoint="",protocol="",reason="handshake"} 1
polywire_handshakes_rejected_total{endpoint="one",protocol="wubsub",reason="origin"} 11
polywire_inbound_budget_bytes 27
polywire_inbound_bytes 26
polywire_log_lines_dropped_total 25
polywire_loop_busy_seconds_total{loop="3"} 1.5
polywire_mailbox_messages{loop="3"} 54
polywire_mailbox_peak_messages{loop="3"} 55
polywire_memory_used_bytes 23
polywire_memory_watermark_bytes 24
polywire_messages_dropped_total{endpoint="one",protocol="wubsub",reason="slow"} 13
polywire_messages_in_total{endpoint="one",protocol="wubsub"} 4
polywire_messages_in_total{endpoint="two",protocol="wsify"} 0
polywire_messages_out_total{endpoint="one",protocol="wubsub"} 6
polywire_messages_out_total{endpoint="two",protocol="wsify"} 0
polywire_messages_refused_total{endpoint="one",protocol="wubsub",reason="malformed"} 12
polywire_outbound_budget_bytes 22
polywire_outbound_bytes 21
polywire_panics_total 17
polywire_patterns 50
polywire_plugin_restarts_total{endpoint="one",protocol="wubsub"} 30
polywire_plugin_restarts_total{endpoint="two",protocol="wsify"} 0
polywire_plugin_unanswered{endpoint="one",protocol="wubsub"} 31
polywire_plugin_unanswered{endpoint="two",protocol="wsify"} 0
polywire_published_total{endpoint="one",protocol="wubsub"} 8
polywire_published_total{endpoint="two",protocol="wsify"} 0
polywire_queue_bytes{endpoint="one",protocol="wubsub"} 70
polywire_queue_bytes{endpoint="two",protocol="wsify"} 0
polywire_queue_peak_bytes{endpoint="one",protocol="wubsub"} 90
polywire_queue_peak_bytes{endpoint="two",protocol="wsify"} 0
polywire_service_breaker_open{service="a/#"} 1
polywire_service_calls_failed_total{reason="internal",service="a/#"} 0
polywire_service_calls_failed_total{reason="overload",service="a/#"} 0
polywire_service_calls_failed_total{reason="timeout",service="a/#"} 41
polywire_service_calls_failed_total{reason="unavailable",service="a/#"} 0
polywire_service_calls_total{service="a/#"} 40
polywire_services 52
polywire_sessions 53
polywire_tap_events_lost_total 29
polywire_taps_open 28
polywire_throttled_total{endpoint="one",protocol="wubsub"} 20
polywire_throttled_total{endpoint="two",protocol="wsify"} 0
polywire_tls_certificate_expiry_timestamp_seconds{endpoint="one",file="one.pem"} 20
polywire_topics 19
polywire_webhook_breaker_open{endpoint="one",protocol="wubsub",webhook="authorizer"} 1
polywire_webhook_errors_total{endpoint="one",protocol="wubsub",webhook="authorizer"} 22
polywire_webhook_hits_total{endpoint="one",protocol="wubsub",webhook="authorizer"} 20
polywire_webhook_misses_total{endpoint="one",protocol="wubsub",webhook="authorizer"} 21`

func TestMetrics(t *testing.T) {
	s, base := start(t, source(new(atomic.Bool)))
	defer stop(t, s)
	status, body := get(t, base+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	var ours []string
	others := map[string]bool{}
	zeros := map[string]bool{}
	for line := range strings.Lines(body) {
		name, _, _ := strings.Cut(line, "_")
		switch {
		case strings.HasPrefix(line, "#"):
		case histogramLine.MatchString(line): // see TestHistograms
		case strings.Contains(line, "endpoint=") && strings.Contains(line, "reason=") && strings.HasSuffix(line, " 0\n"):
			zeros[strings.TrimSpace(line)] = true
		case name == "polywire":
			ours = append(ours, strings.TrimSpace(line))
		default:
			others[name] = true
		}
	}
	if got := strings.Join(ours, "\n"); got != metrics {
		t.Errorf("got:\n%s\nwant:\n%s", got, metrics)
	}
	for _, want := range []string{
		`polywire_handshakes_rejected_total{endpoint="",protocol="",reason="rate"} 0`,
		`polywire_handshakes_rejected_total{endpoint="two",protocol="wsify",reason="origin"} 0`,
		`polywire_messages_refused_total{endpoint="two",protocol="wsify",reason="malformed"} 0`,
		`polywire_messages_dropped_total{endpoint="two",protocol="wsify",reason="slow"} 0`,
		`polywire_bytes_dropped_total{endpoint="two",protocol="wsify",reason="slow"} 0`,
		`polywire_connections_closed_total{endpoint="two",protocol="wsify",reason="lost"} 0`,
		`polywire_calls_failed_total{endpoint="two",protocol="wsify",reason="timeout"} 0`,
	} {
		if !zeros[want] {
			t.Errorf("there is no %s", want)
		}
	}
	if bad := `polywire_messages_dropped_total{endpoint="two",protocol="wsify",reason="origin"} 0`; zeros[bad] {
		t.Errorf("there is %s, which cannot happen", bad)
	}
	if got := slices.Sorted(maps.Keys(others)); !slices.Equal(got, []string{"go", "process"}) {
		t.Errorf("other metrics: %q", got)
	}
}

func TestHealth(t *testing.T) {
	ready := new(atomic.Bool)
	s, base := start(t, source(ready))
	defer stop(t, s)
	check := func(path string, status int, text string) {
		t.Helper()
		if gotStatus, gotText := get(t, base+path); gotStatus != status || gotText != text {
			t.Errorf("%s: %d %q, want %d %q", path, gotStatus, gotText, status, text)
		}
	}
	check("/livez", 200, "ok\n")
	check("/readyz", 503, "not ready\n")
	ready.Store(true)
	check("/readyz", 200, "ok\n")
	ready.Store(false)
	check("/readyz", 503, "not ready\n")
	check("/livez", 200, "ok\n")
	check("/nothing", 404, "404 page not found\n")
	res, err := http.Post(base+"/metrics", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST /metrics: %d", res.StatusCode)
	}
}

func TestStartAndStop(t *testing.T) {
	s, base := start(t, source(new(atomic.Bool)))
	stop(t, s)
	if c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://")); err == nil {
		c.Close()
		t.Error("listens after Shutdown")
	}
}

// TestReloadTakesNoBody: a client that sends a configuration, or dry_run, in the body is told that
// it does not count there.
func TestReloadTakesNoBody(t *testing.T) {
	src := source(new(atomic.Bool))
	src.Reload = func(bool) (any, error) {
		t.Error("it was reloaded")
		return "done", nil
	}
	s, base := start(t, src)
	defer stop(t, s)
	for _, body := range []io.Reader{strings.NewReader(`{"dry_run":true}`), io.MultiReader(strings.NewReader("endpoints: []"))} {
		response, err := http.Post(base+"/reload", "application/json", body)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "no body") {
			t.Errorf("%d %q", response.StatusCode, text)
		}
	}
}

// TestReload: a POST gets the report of the changes; a web page is refused.
func TestReload(t *testing.T) {
	src := source(new(atomic.Bool))
	type report struct {
		Dry bool `json:"dry"`
	}
	src.Reload = func(dryRun bool) (any, error) { return report{dryRun}, nil }
	broken := src
	broken.Reload = func(bool) (any, error) { return nil, errors.New("one\ntwo") }
	without := src
	without.Reload = nil
	for _, c := range []struct {
		name, method, query string
		source              admin.Source
		header              http.Header
		status              int
		body                string
	}{
		{"reload", "POST", "", src, nil, 200, "{\"dry\":false}\n"},
		{"dry run", "POST", "?dry_run=1", src, nil, 200, "{\"dry\":true}\n"},
		{"not dry", "POST", "?dry_run=0", src, nil, 200, "{\"dry\":false}\n"},
		{"dry run in words", "POST", "?dry_run=true", src, nil, 200, "{\"dry\":true}\n"},
		{"dry run by another word", "POST", "?dry_run=yes", src, nil, 400, "dry_run must be 1 or 0, not \"yes\"; nothing has changed\n"},
		{"dry run of no word", "POST", "?dry_run", src, nil, 400, ""},
		{"dry run twice", "POST", "?dry_run=1&dry_run=0", src, nil, 400, ""},
		{"dry run misspelt", "POST", "?dryrun=1", src, nil, 400, "\"dryrun\" is no parameter of /reload; there is dry_run=1; nothing has changed\n"},
		{"a broken query", "POST", "?dry_run=%zz", src, nil, 400, ""},
		{"a semicolon", "POST", "?dry_run=1;x", src, nil, 400, ""},
		{"broken", "POST", "", broken, nil, 422, "{\"error\":\"one\\ntwo\"}\n"},
		{"no source", "POST", "", without, nil, 501, "the broker does not know where its configuration comes from\n"},
		{"GET", "GET", "", src, nil, 405, ""},
		{"a page", "POST", "", src, http.Header{"Origin": {"http://127.0.0.1"}}, 403, ""},
		{"a page of the same site", "POST", "", src, http.Header{"Sec-Fetch-Site": {"same-origin"}}, 403, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, base := start(t, c.source)
			defer stop(t, s)
			request, err := http.NewRequestWithContext(t.Context(), c.method, base+"/reload"+c.query, nil)
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(request.Header, c.header)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if response.StatusCode != c.status || c.body != "" && string(body) != c.body {
				t.Errorf("%d %q, want %d %q", response.StatusCode, body, c.status, c.body)
			}
		})
	}
}
