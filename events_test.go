package polywire_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// backend takes events.
type backend struct {
	t      *testing.T
	server *httptest.Server

	mu     sync.Mutex
	events []string // type, endpoint, topic and reason
	ids    []string
	away   chan struct{} // not nil: it answers nothing until this is closed
}

func newBackend(t *testing.T) *backend {
	b := &backend{t: t}
	b.server = httptest.NewServer(b)
	t.Cleanup(b.server.Close)
	return b
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	b.mu.Lock()
	away := b.away
	b.mu.Unlock()
	if away != nil {
		<-away
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	var batch struct {
		Events []struct{ ID, Type, Endpoint, Topic, Reason string }
	}
	if err := json.Unmarshal(body, &batch); err != nil {
		b.t.Errorf("%v: %s", err, body)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range batch.Events {
		if slices.Contains(b.ids, e.ID) {
			continue // as the documents say
		}
		b.ids = append(b.ids, e.ID)
		b.events = append(b.events, strings.Join(strings.Fields(fmt.Sprint(e.Type, " ", e.Endpoint, " ", e.Topic, " ", e.Reason)), " "))
	}
}

// has waits until it has got an event.
func (b *backend) has(event string) {
	b.t.Helper()
	coretest.Eventually(b.t, "the backend hears of "+event, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.Contains(b.events, event)
	})
}

// all returns what it has got.
func (b *backend) all() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.events, "; ")
}

// hang makes it answer nothing until the function is called that it returns.
func (b *backend) hang() (wake func()) {
	away := make(chan struct{})
	b.mu.Lock()
	b.away = away
	b.mu.Unlock()
	return sync.OnceFunc(func() {
		b.mu.Lock()
		b.away = nil
		b.mu.Unlock()
		close(away)
	})
}

// sinks is a configuration with sinks of events.
func sinks(entries ...string) string {
	return `
endpoints:
  - {name: web, protocol: wsify, listen: "127.0.0.1:0", acl: {subscribe: {allow: ["room"]}}}
  - {name: other, protocol: wsify, listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
events:
` + strings.Join(entries, "\n")
}

const key = `secret: "0123456789abcdef"`

// Backends hear what clients do, as they want it, until the broker has ended.
func TestEvents(t *testing.T) {
	all, some := newBackend(t), newBackend(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, sinks(`  - {name: all, url: "`+all.server.URL+`", `+key+`}`, `  - {name: some, url: "`+some.server.URL+`", secret_file: "`+secret+`", on: [connected], endpoints: [other]}`))
	c := dial(t, r.urls["web"].URL)
	c.send(`{"command":"join","args":{"channel":"room"}}`)
	c.send(`{"command":"join","args":{"channel":"secret"}}`)
	all.has("refused web secret denied")
	dial(t, r.urls["other"].URL)
	some.has("connected other")
	all.has("connected other")
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if got := some.all(); got != "connected other" {
		t.Errorf("some: %s", got)
	}
	// Both leave when the broker ends, in any order.
	want := "connected web; subscribed web room; refused web secret denied; connected other; disconnected web drain; disconnected other drain"
	got := all.all()
	if got != want && got != strings.Replace(want, "disconnected web drain; disconnected other drain", "disconnected other drain; disconnected web drain", 1) {
		t.Errorf("all: %s", got)
	}
}

// A backend that hangs keeps nobody waiting; a reload finds another one, which gets what has waited.
func TestEventsToAnotherBackend(t *testing.T) {
	hanging, good := newBackend(t), newBackend(t)
	wake := hanging.hang()
	defer wake()
	sink := func(b *backend) string {
		return `  - {name: a, url: "` + b.server.URL + `", timeout: 100ms, ` + key + `}`
	}
	r := run(t, sinks(sink(hanging)))
	metrics := func() string { _, page := get(t, r.AdminURL()); return page }
	ready := func() string {
		_, text := get(t, strings.Replace(r.AdminURL(), "/metrics", "/readyz?check=events", 1))
		return text
	}
	dial(t, r.urls["web"].URL)
	coretest.Eventually(t, "it is not taken", func() bool {
		return strings.Contains(metrics(), `polywire_events_failing{backend="a"} 1`) && strings.Contains(ready(), "a: sending events: ")
	})
	c := dial(t, r.urls["web"].URL) // while it waits
	c.send(`{"command":"join","args":{"channel":"room"}}`)
	plan := r.reload(t, strings.Replace(sinks(sink(good)), `"127.0.0.1:0"`, `"127.0.0.1:0"`, 1))
	if got := line(plan); !strings.HasSuffix(got, "| events | ") {
		t.Errorf("plan %s", got)
	}
	good.has("subscribed web room")
	if got := good.all(); got != "connected web; connected web; subscribed web room" {
		t.Errorf("it has got %s", got)
	}
	coretest.Eventually(t, "it is well", func() bool {
		return strings.Contains(metrics(), `polywire_events_failing{backend="a"} 0`) && !strings.Contains(ready(), "a: ")
	})
	r.reload(t, strings.Replace(sinks(), "events:\n", "", 1))
	if page := metrics(); strings.Contains(page, "polywire_events_") {
		t.Error("a backend that there is no more has metrics")
	}
	dial(t, r.urls["web"].URL)
	if got := good.all(); strings.Count(got, "connected") != 2 {
		t.Errorf("it has got %s", got)
	}
}

// What is wrong with a secret is said, and not the secret.
func TestEventSecrets(t *testing.T) {
	short := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(short, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for entry, want := range map[string]string{
		`secret: "short"`:                `events "a": secret must have at least 16 bytes`,
		`secret_file: "` + short + `"`:   `events "a": secret_file must have at least 16 bytes`,
		`secret_file: "` + short + `.x"`: `events "a": reading secret_file: open `,
	} {
		err := polywire.Check(load(t, sinks(`  - {name: a, url: "http://127.0.0.1:9/", `+entry+`}`)))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", entry, err, want)
		}
	}
}

// Clients whose access lists name the broker's topics hear on them what others do, and nobody else does.
func TestSysTopics(t *testing.T) {
	r := run(t, `
endpoints:
  - {name: ops, protocol: vws, listen: "127.0.0.1:0", topic_prefix: ops/, acl: {subscribe: ["$sys/#"]}}
  - {name: web, protocol: vws, listen: "127.0.0.1:0", acl: {subscribe: ["#"]}}
admin: {listen: "127.0.0.1:0"}
`)
	ops, heard := speaks(t, "vws", r.urls["ops"].URL)
	web, _ := speaks(t, "vws", r.urls["web"].URL)
	subscribe := func(topic string) core.Command {
		return core.Command{Verb: core.Subscribe, Topic: []byte(topic), Pattern: true}
	}
	if ev := do(t, ops, subscribe("$sys/#")); ev.Kind != core.Done {
		t.Fatalf("%+v", ev)
	}
	for _, topic := range []string{"$sys/#", "$sys/subscriptions/subscribed"} {
		if ev, err := web.Do(t.Context(), subscribe(topic)); err == nil {
			t.Errorf("%s is heard by who may not: %+v", topic, ev)
		}
	}
	do(t, web, subscribe("news/+"))
	for ev := range heard {
		if string(ev.Topic) != "$sys/subscriptions/subscribed" {
			continue
		}
		var e struct{ ID, Type, Endpoint, Topic string }
		if err := json.Unmarshal(ev.Payload.Data, &e); err != nil {
			t.Fatal(err)
		}
		if e.Endpoint == "ops" {
			continue // its own
		}
		if e.Type != "subscribed" || e.Endpoint != "web" || e.Topic != "news/+" || e.ID == "" {
			t.Errorf("%s", ev.Payload.Data)
		}
		break
	}
	coretest.Eventually(t, "it is counted", func() bool {
		_, page := get(t, r.AdminURL())
		return strings.Contains(page, `polywire_events_sent_total{backend="$sys"}`)
	})
}
