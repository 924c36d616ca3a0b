package polywire_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/polywiretest"
)

// patience is how long a test waits for what must come.
const patience = coretest.Patience

// load loads a configuration that must be valid. If it sets no admin server it gets none.
func load(t *testing.T, text string) *config.Config {
	t.Helper()
	if !strings.Contains(text, "admin:") {
		text += "\nadmin: {listen: \"\"}\n" // the default port may be taken
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := polywire.Load(config.Source{File: path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// running is a broker that runs until the test ends, or until stop.
type running struct {
	*polywiretest.Broker
	urls map[string]polywire.EndpointInfo
}

// stop ends the broker, and returns the error of Run.
func (r *running) stop() error { return r.Close() }

func run(t *testing.T, text string, options ...polywire.Option) *running {
	t.Helper()
	return runLogged(t, text, slog.New(slog.DiscardHandler), options...)
}

// runLogged is run with a logger.
func runLogged(t *testing.T, text string, log *slog.Logger, options ...polywire.Option) *running {
	t.Helper()
	b, err := polywire.New(load(t, text), log, options...)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{polywiretest.Run(t, b), make(map[string]polywire.EndpointInfo)}
	for _, ep := range b.Endpoints() {
		r.urls[ep.Name] = ep
	}
	return r
}

// client is a WebSocket client that fails its test when something goes wrong.
type client struct {
	t    *testing.T
	conn net.Conn
	rw   io.ReadWriter
}

func dial(t *testing.T, url string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, early, _, err := ws.Dial(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, conn: conn, rw: conn}
	if early != nil {
		c.rw = bufio.NewReadWriter(early, bufio.NewWriterSize(conn, 0))
	}
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := wsutil.WriteClientText(c.conn, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) want(text string) {
	c.t.Helper()
	got, err := wsutil.ReadServerText(c.rw)
	if err != nil {
		c.t.Fatalf("waiting for %s: %v", text, err)
	}
	if string(got) != text {
		c.t.Fatalf("got  %s\nwant %s", got, text)
	}
}

const localhost = `
endpoints:
  - {name: bots, protocol: wubsub, listen: "127.0.0.1:0"}
  - {name: web, protocol: wsify, listen: "127.0.0.1:0", options: {broadcasting_key: k}}
  - {name: echo, protocol: echo, listen: "127.0.0.1:0"}
  - {name: tenant, protocol: wsify, listen: "127.0.0.1:0", topic_prefix: t/, max_message_size: 64}
services: [{match: test/echo, builtin: echo}]
admin: {listen: "127.0.0.1:0"}
`

func post(t *testing.T, url, body string) (status int) {
	t.Helper()
	res, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
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

// TestFormatsMeet makes clients of two formats and a program with HTTP talk to each other.
func TestFormatsMeet(t *testing.T) {
	b := run(t, localhost)
	bot := dial(t, b.urls["bots"].URL)
	bot.send(`{"type":"ps-sub","channel":"news","topic":"today"}`)
	// A request is answered after everything that was sent before it.
	bot.send(`{"type":"pie-do","channel":"none","topic":"none"}`)
	bot.want(`{"type":"pie-ack","channel":"none","topic":"none","data":false}`)

	web := dial(t, b.urls["web"].URL)
	web.send(`{"command":"join","args":{"channel":"room"}}`)
	web.send(`{"command":"broadcast","args":{"channel":"news/today","content":{"n":9007199254740993}}}`)
	bot.want(`{"type":"ps-recv","channel":"news","topic":"today","data":{"n":9007199254740993}}`)

	if status := post(t, b.urls["web"].HTTP+"?key=k", `{"channel":"room","content":"hello"}`); status != http.StatusCreated {
		t.Errorf("POST: %d", status)
	}
	web.want(`"hello"`)
	if status := post(t, b.urls["web"].HTTP, `{"channel":"room","content":"hello"}`); status != http.StatusForbidden {
		t.Errorf("POST without the key: %d", status)
	}

	echo := dial(t, b.urls["echo"].URL)
	echo.send("as it is")
	echo.want("as it is")
}

// ask calls a wubsub service and returns the message after the acknowledgement.
func ask(t *testing.T, url, method string) string {
	t.Helper()
	c := dial(t, url)
	c.send(fmt.Sprintf(`{"type":"pie-do","channel":"test","topic":%q,"data":[1]}`, method))
	for range 2 {
		got, err := wsutil.ReadServerText(c.rw)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(got), `"pie-ack"`) {
			_, data, _ := strings.Cut(string(got), `"data":`)
			return strings.TrimSuffix(data, "}")
		}
	}
	return "acknowledged twice"
}

func TestServices(t *testing.T) {
	b := run(t, localhost)
	b.Handle("test/greet", func(_ context.Context, c core.Invocation) (core.Payload, error) {
		return core.Payload{Kind: core.Text, Data: []byte("hello from " + c.Service)}, nil
	})
	if got := ask(t, b.urls["bots"].URL, "echo"); got != `[1]` {
		t.Errorf("echo: %s", got)
	}
	if got := ask(t, b.urls["bots"].URL, "greet"); got != `"hello from test/greet"` {
		t.Errorf("greet: %s", got)
	}
}

// TestSettings checks that an endpoint's settings reach the engine and the network.
func TestSettings(t *testing.T) {
	b := run(t, localhost)
	inside, outside := dial(t, b.urls["tenant"].URL), dial(t, b.urls["web"].URL)
	outside.send(`{"command":"join","args":{"channel":"t/room"}}`)
	outside.send(`{"command":"broadcast","args":{"channel":"t/room","content":1}}`)
	outside.want(`1`)
	inside.send(`{"command":"broadcast","args":{"channel":"room","content":2}}`)
	outside.want(`2`)
	inside.send(`{"command":"join","args":{"channel":"` + strings.Repeat("x", 64) + `"}}`)
	var closed wsutil.ClosedError
	if _, err := wsutil.ReadServerText(inside.rw); !errors.As(err, &closed) || closed.Code != ws.StatusMessageTooBig {
		t.Errorf("a message over the limit: %v", err)
	}
}

// TestAuthorizer checks that wsify's authorizer is asked.
func TestAuthorizer(t *testing.T) {
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), `"secret"`) || strings.Contains(string(body), `"stranger"`) {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer hook.Close()
	b := run(t, `
endpoints: [{name: web, protocol: wsify, listen: "127.0.0.1:0", options: {authorizer_url: "`+hook.URL+`"}}]
admin: {listen: ""}
`)
	if _, _, _, err := ws.Dial(t.Context(), b.urls["web"].URL+"?name=stranger"); err == nil {
		t.Error("a stranger is let in")
	}
	c := dial(t, b.urls["web"].URL)
	c.send(`{"command":"join","args":{"channel":"secret"}}`)
	c.send(`{"command":"join","args":{"channel":"open"}}`)
	c.send(`{"command":"broadcast","args":{"channel":"open","content":1}}`)
	c.want(`1`)
	post(t, b.urls["web"].HTTP, `{"channel":"secret","content":2}`)
	post(t, b.urls["web"].HTTP, `{"channel":"open","content":3}`)
	c.want(`3`)
}

func TestAdmin(t *testing.T) {
	b := run(t, localhost)
	base := strings.TrimSuffix(b.AdminURL(), "/metrics")
	if status, _ := get(t, base+"/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d", status)
	}
	echo := dial(t, b.urls["echo"].URL)
	echo.send("four")
	echo.want("four")
	_, metrics := get(t, b.AdminURL())
	for _, want := range []string{
		`polywire_connections_open{endpoint="echo",protocol="echo"} 1`,
		`polywire_bytes_in_total{endpoint="echo",protocol="echo"} 4`,
		`polywire_messages_in_total{endpoint="bots",protocol="wubsub"} 0`,
		`polywire_build_info{version="devel`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in:\n%s", want, metrics)
		}
	}
}

// TestDrain checks the shutdown: calls that do not end in time fail, clients hear the goodbye,
// nothing listens.
func TestDrain(t *testing.T) {
	b := run(t, localhost+"drain: {timeout: 2s}\n")
	asked := make(chan struct{})
	b.Handle("test/slow", func(ctx context.Context, _ core.Invocation) (core.Payload, error) {
		close(asked)
		<-ctx.Done()
		return core.Payload{}, ctx.Err()
	})
	bot := dial(t, b.urls["bots"].URL)
	bot.send(`{"type":"pie-do","channel":"test","topic":"slow"}`)
	<-asked
	ended := make(chan error, 1)
	go func() { ended <- b.stop() }()
	var last string
	for {
		got, err := wsutil.ReadServerText(bot.rw)
		if err == nil {
			last = string(got)
			continue
		}
		var closed wsutil.ClosedError
		if !errors.As(err, &closed) || closed.Code != ws.StatusGoingAway {
			t.Errorf("the end: %v", err)
		}
		break
	}
	if !strings.Contains(last, `"type":"error"`) || !strings.Contains(last, "shutting down") {
		t.Errorf("the last message is %s, want the failure of the call", last)
	}
	_ = bot.conn.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for name, url := range map[string]string{"bots": b.urls["bots"].URL, "admin": b.AdminURL()} {
		host := strings.Split(url, "/")[2]
		if c, err := net.Dial("tcp", host); err == nil {
			_ = c.Close()
			t.Errorf("%s listens after Run", name)
		}
	}
}

// TestDrainWaitsForCalls checks that a pending call gets its answer, and that its caller hears the
// goodbye only after that, while nobody else is admitted.
func TestDrainWaitsForCalls(t *testing.T) {
	b := run(t, localhost)
	asked, answer := make(chan struct{}), make(chan struct{})
	b.Handle("test/slow", func(context.Context, core.Invocation) (core.Payload, error) {
		close(asked)
		<-answer
		return core.Payload{Kind: core.JSON, Data: []byte(`"late"`)}, nil
	})
	bot := dial(t, b.urls["bots"].URL)
	bot.send(`{"type":"pie-do","channel":"test","topic":"slow"}`)
	<-asked
	ended := make(chan error, 1)
	go func() { ended <- b.stop() }()
	ready := strings.Replace(b.AdminURL(), "/metrics", "/readyz", 1)
	for status := 200; status == 200; status, _ = get(t, ready) {
		time.Sleep(time.Millisecond)
	}
	if _, _, _, err := ws.Dial(t.Context(), b.urls["bots"].URL); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a new client: %v, want status 503", err)
	}
	close(answer)
	var last string
	for {
		got, err := wsutil.ReadServerText(bot.rw)
		if err != nil {
			break
		}
		last = string(got)
	}
	if !strings.Contains(last, `"late"`) {
		t.Errorf("the last message is %s, want the answer", last)
	}
	_ = bot.conn.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestTakenAddress checks that Run returns an error, and listens on nothing, when one address is
// taken.
func TestTakenAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := map[string]string{
		"endpoint": `
endpoints:
  - {name: free, protocol: echo, listen: "127.0.0.1:0"}
  - {name: taken, protocol: echo, listen: "` + taken.Addr().String() + `"}
admin: {listen: "127.0.0.1:0"}`,
		"admin": `
endpoints: [{name: free, protocol: echo, listen: "127.0.0.1:0"}]
admin: {listen: "` + taken.Addr().String() + `"}`,
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			b, err := polywire.New(load(t, text), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			err = b.Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), "address already in use") {
				t.Errorf("Run: %v", err)
			}
			// Waiters are told, and why.
			<-b.Ready()
			<-b.Draining()
			if !errors.Is(b.Err(), err) {
				t.Errorf("Err: %v, want %v", b.Err(), err)
			}
			for _, ep := range b.Endpoints() {
				if strings.HasSuffix(ep.URL, ":0/") != (ep.Name == "free") {
					t.Errorf("%s is said to be at %s", ep.Name, ep.URL)
				}
			}
			_ = b.AdminURL()
		})
	}
}
