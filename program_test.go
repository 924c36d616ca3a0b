package polywire_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/sessions"
)

func text(s string) core.Payload { return core.Payload{Kind: core.Text, Data: []byte(s)} }

// TestProgramSpeaks makes a program publish, hear, and send to one client.
func TestProgramSpeaks(t *testing.T) {
	b := run(t, localhost)
	heard := make(chan core.Invocation, 1)
	b.Hear("news/+", func(_ context.Context, c core.Invocation) (core.Payload, error) {
		heard <- c
		return core.Payload{}, c.Caller.Client().Send("to/you", text("alone"))
	})
	web, tenant := dial(t, b.urls["web"].URL), dial(t, b.urls["tenant"].URL)
	web.send(`{"command":"join","args":{"channel":"t/room"}}`)
	web.send(`{"command":"join","args":{"channel":"room"}}`)
	web.send(`{"command":"broadcast","args":{"channel":"news/today","content":"x"}}`)
	web.want(`"alone"`)
	if c := <-heard; c.Service != "news/today" || c.Endpoint != "web" || !c.OneWay || string(c.Payload.Data) != `"x"` {
		t.Errorf("heard %+v", c)
	}
	for _, c := range []struct{ endpoint, topic, want string }{
		{"web", "room", ""},
		{"tenant", "room", ""},
		{"web", "$reply/x", "denied"},
		{"nowhere", "room", `there is no endpoint "nowhere"`},
	} {
		err := b.Publish(c.endpoint, c.topic, text("from "+c.endpoint))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("Publish(%q, %q): %v, want %q", c.endpoint, c.topic, err, c.want)
		}
	}
	web.want(`"from web"`)
	web.want(`"from tenant"`)
	tenant.send(`{"command":"broadcast","args":{"channel":"news/x","content":1}}`)
	if c := <-heard; c.Service != "news/x" || c.Endpoint != "tenant" {
		t.Errorf("heard %+v", c)
	}
}

// TestHooks checks that hooks are called for real connections, and that Run waits for them.
func TestHooks(t *testing.T) {
	var mu sync.Mutex
	var told []string
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprintf(format, args...))
	}
	hooks := core.Hooks{
		BeforeUpgrade: func(_ context.Context, endpoint string, h core.Handshake) error {
			if h.Path == "/stranger" {
				return errors.New("a stranger")
			}
			note("upgrade at %s", endpoint)
			return nil
		},
		Connected: func(_ context.Context, c core.Client) {
			note("connected to %s", c.Endpoint)
			if err := c.Send("hello", text("hello")); err != nil {
				t.Error(err)
			}
		},
		Disconnected: func(c core.Client, r core.Reason) {
			// Run does not return before this hook, however long it takes.
			time.Sleep(50 * time.Millisecond)
			note("disconnected from %s: %s", c.Endpoint, r)
		},
	}
	b := run(t, localhost, polywire.WithHooks(hooks))
	web := dial(t, b.urls["web"].URL)
	web.want(`"hello"`)
	if _, _, _, err := ws.Dial(t.Context(), strings.TrimSuffix(b.urls["bots"].URL, "/")+"/stranger"); err == nil {
		t.Error("a stranger is let in")
	}
	go func() {
		// The client answers the goodbye by closing the connection.
		_, _ = web.rw.Read(make([]byte, 100))
		_ = web.conn.Close()
	}()
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(told, "; "); got != "upgrade at web; connected to web; disconnected from web: drain" {
		t.Errorf("told: %s", got)
	}
}

const twoWithSessions = `
endpoints:
  - {name: one, protocol: webwire, listen: "127.0.0.1:0"}
  - {name: two, protocol: webwire, listen: "127.0.0.1:0"}
  - {name: none, protocol: webwire, listen: "127.0.0.1:0", options: {sessions: {store: "off"}}}
  - {name: bots, protocol: wubsub, listen: "127.0.0.1:0"}
admin: {listen: ""}
`

// open is a service that opens a session and answers with its key.
func open(_ context.Context, c core.Invocation) (core.Payload, error) {
	s, err := c.Caller.OpenSession(nil)
	if err != nil {
		return core.Payload{}, core.Failure{Code: "no", Text: err.Error()}
	}
	return text(s.Key), nil
}

// webwireOpen asks an endpoint for a session and returns what it answers.
func webwireOpen(t *testing.T, url string) string {
	t.Helper()
	c := dial(t, url)
	if err := wsutil.WriteClientBinary(c.conn, []byte("\x80id000001\x09test/openx")); err != nil {
		t.Fatal(err)
	}
	for {
		got, err := wsutil.ReadServerBinary(c.rw)
		if err != nil {
			t.Fatal(err)
		}
		// The message with the id of the request is the answer.
		if answer, ok := strings.CutPrefix(string(got[1:]), "id000001"); ok {
			return answer
		}
	}
}

// TestSessionOptions checks which endpoints' sessions the options change.
func TestSessionOptions(t *testing.T) {
	store := sessions.NewMemory()
	fixed := func() (string, error) { return "key", nil }
	b := run(t, twoWithSessions, polywire.WithSessions(store), polywire.WithSessionKeys(fixed),
		polywire.WithSessions(store, "bots"), polywire.WithSessionKeys(nil, "bots"))
	b.Handle("test/open", open)
	for _, c := range []struct{ endpoint, want string }{
		{"one", "key"},
		{"two", "creating session: " + core.ErrSessionTaken.Error()}, // one store, and the same key again
		{"none", "sessions_off: "},
	} {
		if got := webwireOpen(t, b.urls[c.endpoint].URL); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.endpoint, got, c.want)
		}
	}
	key := strings.Trim(ask(t, b.urls["bots"].URL, "open"), `"`)
	if len(key) != 64 {
		t.Fatalf("the key is %q, want the default's", key)
	}
	if _, err := store.Lookup(t.Context(), []byte(key)); err != nil {
		t.Errorf("the session is not in the store: %v", err)
	}
	if err := b.CloseSession(t.Context(), key); err != nil {
		t.Error(err)
	}
	var f core.Failure
	if err := b.CloseSession(t.Context(), key); !errors.As(err, &f) || f.Code != core.SessionUnknown {
		t.Errorf("closing it again: %v", err)
	}
	if clients, n := b.SessionClients(key), b.ActiveSessions(); clients != nil || n != 1 {
		t.Errorf("%d connections; %d sessions, want that of endpoint one alone", len(clients), n)
	}
}

func TestOptionsNameEndpoints(t *testing.T) {
	for name, o := range map[string]polywire.Option{
		"WithSessions":    polywire.WithSessions(sessions.NewMemory(), "two", "three"),
		"WithSessionKeys": polywire.WithSessionKeys(nil, "three"),
	} {
		_, err := polywire.New(load(t, twoWithSessions), slog.New(slog.DiscardHandler), o)
		if want := name + ` names the endpoint "three", which the configuration does not have`; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestSendNeedsUTF8: input that would end the connection of a client is an error for the sender.
func TestSendNeedsUTF8(t *testing.T) {
	sent := make(chan error, 2)
	b := run(t, "endpoints: [{name: games, protocol: stocking, listen: '127.0.0.1:0'}]", polywire.WithHooks(core.Hooks{
		Connected: func(_ context.Context, c core.Client) {
			sent <- c.Send("room\xff", text("lost"))
			sent <- c.Send("room", text("hello"))
		},
	}))
	c := dial(t, b.urls["games"].URL)
	if err := <-sent; err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("a topic that is no text: %v", err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	c.want("0")
	c.want("5,room,hello")
}
