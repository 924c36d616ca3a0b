package admin_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/admin"
)

// patient is a source whose health a test sets.
type patient struct {
	ready           atomic.Bool
	listeners       []admin.Finding
	levels          map[string]admin.Level
	certificate     time.Time
	away, unstarted error
	src             admin.Source
}

func newPatient() *patient {
	p := &patient{certificate: time.Now().Add(1000 * time.Hour)}
	p.ready.Store(true)
	p.src = source(&p.ready)
	p.src.Memory = func() (used, watermark uint64) { return 23 << 20, 100 << 20 }
	p.src.Outbound, p.src.Inbound = func() int64 { return 0 }, func() int64 { return 0 }
	p.src.Certificates = func() []admin.Certificate {
		return []admin.Certificate{{Endpoint: "two", File: "two.pem", Expires: p.certificate}, {Endpoint: "one", File: "one.pem", Expires: p.certificate.Add(time.Hour)}}
	}
	p.src.Bridges = func() []admin.Bridge {
		return []admin.Bridge{{Name: "old", Health: func() error { return p.away }, Standby: func() string { return "" }}}
	}
	p.src.Cluster = &admin.Cluster{Stats: new(core.ClusterStats), Health: func() error { return p.unstarted }}
	p.src.Health = admin.Health{
		Levels:    func() map[string]admin.Level { return p.levels },
		Listeners: func() []admin.Finding { return p.listeners },
		Loops:     func() []admin.Finding { return []admin.Finding{{Component: "0", Observed: 3, Unit: "ms"}} },
	}
	return p
}

const allWell = "[+]accepting ok\n[+]listeners ok\n[+]loops ok\n[+]plugins ok\n[+]certificates ok\n[+]memory ok\n[+]cluster ok\n[+]bridges ok\n[+]sessions ok\n[+]events ok\n"

// Each check says by its name what it finds; levels and parameters choose among them.
func TestNamedChecks(t *testing.T) {
	p := newPatient()
	s, base := start(t, p.src)
	defer stop(t, s)
	wants := func(path string, status int, text string) {
		t.Helper()
		if code, body := get(t, base+path); code != status || body != text+"\n" {
			t.Errorf("%s: %d %q, want %d %q", path, code, body, status, text)
		}
	}
	wants("/readyz?verbose", 200, allWell+"readyz check passed")
	wants("/livez?verbose", 200, "[+]loops ok\nlivez check passed")
	wants("/readyz/certificates", 200, "ok")
	wants("/livez/loops", 200, "ok")
	wants("/livez/certificates", 404, `there is no check "certificates"; there are: loops`)
	wants("/readyz?check=disk", 400, `there is no check "disk"; there are: accepting, listeners, loops, plugins, certificates, memory, cluster, bridges, sessions, events`)
	wants("/readyz?exclude=", 400, `there is no check ""; there are: accepting, listeners, loops, plugins, certificates, memory, cluster, bridges, sessions, events`)

	// A warning: clients are taken.
	p.certificate, p.away = time.Now().Add(25*time.Hour), errors.New("it is away")
	end := func(d time.Duration) string { return p.certificate.Add(d).UTC().Format(time.RFC3339) }
	found := "one: one.pem ends at " + end(time.Hour) + "; certificates: two: two.pem ends at " + end(0)
	wants("/readyz", 200, "ok, but for the bridge old: it is away")
	wants("/readyz/certificates", 200, "ok, but for certificates: "+found)
	wants("/readyz?check=certificates&check=bridges", 200, "ok, but for certificates: "+found+"; bridges: old: it is away")
	wants("/readyz?exclude=certificates", 200, "ok, but for bridges: old: it is away")
	lines := "[!]certificates warning: one: one.pem ends at " + end(time.Hour) + "\n[!]certificates warning: two: two.pem ends at " + end(0) + "\n"
	wants("/readyz?verbose&exclude=bridges", 200, strings.Replace(strings.Replace(allWell, "[+]certificates ok\n", lines, 1), "[+]bridges ok", "[ ]bridges excluded", 1)+"readyz check passed")
	p.certificate = time.Now().Add(-2 * time.Hour)
	wants("/readyz/certificates", 200, "ok, but for certificates: one: one.pem has ended at "+end(time.Hour)+"; certificates: two: two.pem has ended at "+end(0))

	// As an operator wants it.
	p.levels = map[string]admin.Level{"certificates": admin.AsFailure, "bridges": admin.Off}
	wants("/readyz", 503, "not ready: certificates: one: one.pem has ended at "+end(time.Hour))
	wants("/readyz/bridges", 200, "ok")
	p.levels = map[string]admin.Level{"certificates": admin.Off, "bridges": admin.AsFailure}
	wants("/readyz", 503, "not ready: bridges: old: it is away")
	p.levels = map[string]admin.Level{"certificates": admin.Off, "bridges": admin.Off}
	wants("/readyz", 200, "ok")
	wants("/readyz?verbose", 200, strings.Replace(strings.Replace(allWell, "[+]certificates ok", "[ ]certificates off", 1), "[+]bridges ok", "[ ]bridges off", 1)+"readyz check passed")
	p.unstarted = errors.New("NATS is away")
	wants("/readyz", 503, "not ready: joining the cluster: NATS is away")
	wants("/readyz/cluster", 503, "not ready: cluster: joining the cluster: NATS is away")
	p.levels["cluster"] = admin.AsWarning
	wants("/readyz", 200, "ok, but for cluster: joining the cluster: NATS is away")
	p.unstarted = nil

	// A failure: none are.
	p.listeners = []admin.Finding{{Component: "one"}, {Component: "two", Status: admin.Fail, Text: "its socket is gone"}}
	wants("/readyz", 503, "not ready: listeners: two: its socket is gone")
	wants("/readyz?check=listeners", 503, "not ready: listeners: two: its socket is gone")
	wants("/readyz?exclude=listeners", 200, "ok")
	wants("/readyz/loops", 200, "ok")
	if code, body := get(t, base+"/readyz?verbose"); code != 503 || !strings.HasSuffix(body, "[ ]bridges off\n[+]sessions ok\n[+]events ok\nreadyz check failed\n") || !strings.Contains(body, "[-]listeners failed: two: its socket is gone\n") {
		t.Errorf("%d %s", code, body)
	}
	wants("/livez", 200, "ok")
	p.ready.Store(false)
	wants("/readyz", 503, "not ready")
	wants("/readyz/accepting", 503, "not ready: accepting: not ready")
}

// Loops that stand still make the process one to start anew.
func TestLivenessOfLoops(t *testing.T) {
	p := newPatient()
	p.src.Health.Loops = func() []admin.Finding {
		return []admin.Finding{{Component: "0", Status: admin.Fail, Text: "it stands still"}}
	}
	s, base := start(t, p.src)
	defer stop(t, s)
	for path, want := range map[string]string{"/livez": "not alive: loops: 0: it stands still\n", "/readyz": "not ready: loops: 0: it stands still\n"} {
		if code, body := get(t, base+path); code != 503 || body != want {
			t.Errorf("%s: %d %q, want %q", path, code, body, want)
		}
	}
}

// Memory that is nearly used up, and a backend that takes no events, are warnings.
func TestMemoryAndEventChecks(t *testing.T) {
	p := newPatient()
	p.src.Memory = func() (used, watermark uint64) { return 91 << 20, 100 << 20 }
	p.src.OutboundBudget, p.src.Outbound = 10<<20, func() int64 { return 9 << 20 }
	p.src.Events = func() []admin.EventSink {
		return []admin.EventSink{{Name: "a", Stats: new(core.SinkStats), Health: func() error { return errors.New("it answers with status 500") }}}
	}
	s, base := start(t, p.src)
	defer stop(t, s)
	for path, want := range map[string]string{
		"/readyz":        "ok\n",
		"/readyz/memory": "ok, but for memory: process: 91 of 100 MiB (network.memory_watermark); memory: outbound: 9 of 10 MiB (network.outbound_budget)\n",
		"/readyz/events": "ok, but for events: a: it answers with status 500\n",
	} {
		if code, body := get(t, base+path); code != 200 || body != want {
			t.Errorf("%s: %d %q, want %q", path, code, body, want)
		}
	}
}

// The answer in JSON is that of the draft, by the type that the client accepts or by a parameter.
func TestHealthJSON(t *testing.T) {
	p := newPatient()
	p.listeners = []admin.Finding{{Component: "two", Status: admin.Fail, Text: "its socket is gone"}}
	p.away = errors.New("it is away")
	s, base := start(t, p.src)
	defer stop(t, s)
	for _, accept := range []string{"application/health+json", "text/html, application/json;q=0.5", ""} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/readyz?exclude=memory", nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Header.Set("Accept", accept); accept == "" {
			r.URL.RawQuery += "&format=json"
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != 503 || res.Header.Get("Content-Type") != "application/health+json" {
			t.Fatalf("%q: %d %v %s", accept, res.StatusCode, err, res.Header)
		}
		var d struct {
			Status, ReleaseID, Output string
			Checks                    map[string][]struct {
				ComponentID, Status, ObservedUnit, Time, Output string
				ObservedValue                                   any
			}
		}
		if err := json.Unmarshal(body, &d); err != nil {
			t.Fatal(err)
		}
		if d.Status != "fail" || d.ReleaseID != "v1.2.3" || d.Output != "not ready: listeners: two: its socket is gone" || len(d.Checks) != 9 {
			t.Errorf("%s", body)
		}
		if l := d.Checks["listeners"]; len(l) != 1 || l[0].ComponentID != "two" || l[0].Status != "fail" || l[0].Output != "its socket is gone" {
			t.Errorf("%+v", l)
		}
		if l := d.Checks["bridges"]; len(l) != 1 || l[0].Status != "warn" || l[0].Output != "it is away" {
			t.Errorf("%+v", l)
		}
		if l := d.Checks["loops"]; len(l) != 1 || l[0].Status != "pass" || l[0].ObservedValue != 3.0 || l[0].ObservedUnit != "ms" {
			t.Errorf("%+v", l)
		}
		if _, err := time.Parse(time.RFC3339, d.Checks["sessions"][0].Time); err != nil || d.Checks["sessions"][0].Status != "pass" {
			t.Errorf("%+v: %v", d.Checks["sessions"], err)
		}
	}
	if _, body := get(t, base+"/readyz?format=text&exclude=listeners"); body != "ok, but for bridges: old: it is away\n" {
		t.Errorf("as text: %q", body)
	}
}
