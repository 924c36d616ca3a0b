package auth

import (
	"encoding/json"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

func newWebhookMethod(t *testing.T, url string, cache CacheOptions, lastKnown bool) *WebhookMethod {
	t.Helper()
	m := NewWebhookMethod(HookOptions{
		URL: url, Timeout: patient, Endpoint: "web", Protocol: "vws", Cache: cache, Stats: new(core.HookStats), Logger: quiet,
	}, lastKnown)
	t.Cleanup(m.Close)
	return m
}

func TestWebhookMethod(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   Outcome
		who    *core.Identity
	}{
		{"somebody", text(`{"subject":"ann","claims":{"n":9007199254740993,"r":["a"]},"expires":4102444800}`), Good, &core.Identity{
			Subject: "ann", Method: "webhook", Expires: time.Unix(4102444800, 0),
			Claims: map[string]any{"n": json.Number("9007199254740993"), "r": []any{"a"}},
		}},
		{"nobody in particular", text(`{}`), Good, &core.Identity{Method: "webhook"}},
		{"no credential of its kind", status(204), Absent, nil},
		{"unauthorized", status(401), Bad, nil},
		{"forbidden", status(403), Bad, nil},
		{"not found", status(404), Bad, nil},
		{"no body", status(200), Unknown, nil},
		{"no JSON", text("ann"), Unknown, nil},
		{"a list", text(`["ann"]`), Unknown, nil},
		{"a number for a name", text(`{"subject":1}`), Unknown, nil},
		{"no time", text(`{"subject":"ann","expires":1.5}`), Unknown, nil},
		{"created", status(201), Unknown, nil},
		{"broken", status(500), Unknown, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newWebhookMethod(t, newJudge(t, c.answer).url, CacheOptions{}, false)
			if f := wantOutcome(t, m, shows(t, ""), c.want); !reflect.DeepEqual(f.Identity, c.who) {
				t.Errorf("%+v, want %+v", f.Identity, c.who)
			}
		})
	}
}

// The identity of a client is remembered for this client.
func TestWebhookMethodRemembers(t *testing.T) {
	j := newJudge(t, text(`{"subject":"ann"}`))
	m := newWebhookMethod(t, j.url, hourly, false)
	ann := shows(t, "Cookie: s=ann\nSec-Websocket-Key: x")
	wantOutcome(t, m, ann, Good)
	j.serve(status(403))
	wantOutcome(t, m, shows(t, "Cookie: s=ann\nSec-Websocket-Key: y"), Good)
	wantOutcome(t, m, shows(t, "Cookie: s=bob\nSec-Websocket-Key: x"), Bad)
	j.wantAsked(t, "two clients", 2)
}

// While the server is down, its last answer counts if lastKnown is set.
func TestWebhookMethodLastKnown(t *testing.T) {
	for _, lastKnown := range []bool{false, true} {
		j := newJudge(t, text(`{"subject":"ann"}`))
		m := newWebhookMethod(t, j.url, CacheOptions{}, lastKnown)
		wantOutcome(t, m, shows(t, "Cookie: s=ann"), Good)
		j.serve(status(503))
		want := Unknown
		if lastKnown {
			want = Good
		}
		wantOutcome(t, m, shows(t, "Cookie: s=ann"), want)
		wantOutcome(t, m, shows(t, "Cookie: s=bob"), Unknown)
	}
}
