package polywire_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/certs/certstest"
)

// ours returns the stacks of goroutines that the broker started.
func ours(under string) (stacks []string) {
	all := make([]byte, 1<<20)
	all = all[:runtime.Stack(all, true)]
	for stack := range strings.SplitSeq(string(all), "\n\n") {
		if strings.Contains(stack, "created by github.com/polywire/polywire") && strings.Contains(stack, under) {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// TestNewRunsNothing: a broker that is made and forgotten leaves no goroutine behind, and one that
// is closed has released what it opened.
func TestNewRunsNothing(t *testing.T) {
	cert, key := certstest.Write(t, t.TempDir(), "server", certstest.NewCA(t, "ca").Issue(nil, "localhost"))
	before := len(ours(""))
	b, err := polywire.New(load(t, `
endpoints:
  - name: a
    protocol: webwire
    listen: "127.0.0.1:0"
    tls: {cert: "`+cert+`", key: "`+key+`"}
    auth: [{type: jwt, jwks: "http://127.0.0.1:1/"}]
    authorizer: {url: "http://127.0.0.1:1/"}
services: [{match: s, url: "http://127.0.0.1:1/"}]
admin: {listen: "127.0.0.1:0"}
`), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if now := ours(""); len(now) > before {
		t.Errorf("New has started\n%s", strings.Join(now, "\n\n"))
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	<-b.Ready()
	if err := b.Run(t.Context()); !errors.Is(err, polywire.ErrClosed) || !errors.Is(b.Err(), polywire.ErrClosed) {
		t.Errorf("Run of a closed broker: %v; Err: %v", err, b.Err())
	}
	if _, err := b.Reload(load(t, localhost)); err == nil {
		t.Error("a closed broker was reloaded")
	}
}

// TestRunTwice: a second Run is an error, and the first one does not notice.
func TestRunTwice(t *testing.T) {
	b := run(t, localhost)
	web := dial(t, b.urls["web"].URL)
	for range 2 {
		if err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "once") {
			t.Errorf("the second Run: %v", err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Run(ended); err == nil || !strings.Contains(err.Error(), "once") {
		t.Errorf("the third Run: %v", err)
	}
	web.send(`{"command":"join","args":{"channel":"room"}}`)
	web.send(`{"command":"broadcast","args":{"channel":"room","content":1}}`)
	web.want(`1`)
	if status, _ := get(t, b.AdminURL()); status != http.StatusOK || b.Err() != nil {
		t.Errorf("metrics: %d; Err: %v", status, b.Err())
	}
	if _, err := b.Reload(load(t, localhost)); err != nil {
		t.Errorf("reloading: %v", err)
	}
	_ = web.conn.Close()
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	if err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "once") || b.Err() != nil {
		t.Errorf("Run after Run: %v; Err: %v", err, b.Err())
	}
	if err := b.Close(); err != nil {
		t.Errorf("Close after Run: %v", err)
	}
}

// TestCloseEndsRun: Close makes Run drain and returns when it has.
func TestCloseEndsRun(t *testing.T) {
	gone := make(chan struct{})
	b, err := polywire.New(load(t, localhost), slog.New(slog.DiscardHandler), polywire.WithHooks(core.Hooks{
		Disconnected: func(core.Client, core.Reason) { close(gone) },
	}))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- b.Run(t.Context()) }()
	<-b.Ready()
	web := dial(t, b.Endpoints()[1].URL)
	go func() { _, _ = web.rw.Read(make([]byte, 100)); _ = web.conn.Close() }()
	if err := b.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	<-gone
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestNil: a missing argument is an error that says so, never a panic.
func TestNil(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	if _, err := polywire.New(nil, nil); err == nil || !strings.Contains(err.Error(), "polywire.Load") {
		t.Errorf("New without a configuration: %v", err)
	}
	if err := polywire.Check(nil); err == nil {
		t.Error("nothing was found right")
	}
	if _, err := polywire.New(load(t, localhost), quiet, nil); err == nil || !strings.Contains(err.Error(), "option 0") {
		t.Errorf("New with an option that is nil: %v", err)
	}
	if _, err := polywire.New(new(config.Config), quiet); err == nil || !strings.Contains(err.Error(), "there is no endpoint") {
		t.Errorf("New with an empty configuration: %v", err)
	}
	b := run(t, localhost, polywire.WithSource(func() (*config.Config, error) { return nil, nil }))
	if _, err := b.Reload(nil); err == nil {
		t.Error("nothing was reloaded")
	}
	for _, dryRun := range []bool{true, false} {
		if _, err := b.Reread(dryRun); err == nil {
			t.Errorf("nothing was read again (dry run: %v)", dryRun)
		}
	}
	if p := b.Plan(nil); p.Endpoints != nil {
		t.Errorf("the plan for nothing: %+v", p)
	}
	b.Use(nil)
	b.Handle("a", nil)
	b.Hear("a", nil)
	b.Otherwise(nil)
	if got := ask(t, b.urls["bots"].URL, "echo"); got != `[1]` {
		t.Errorf("echo: %s", got)
	}
}

// TestRunWithoutContext: it is an error, and does not count as a Run: another one serves.
func TestRunWithoutContext(t *testing.T) {
	b, err := polywire.New(load(t, localhost), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var none context.Context
	if err := b.Run(none); err == nil || !strings.Contains(err.Error(), "context") {
		t.Errorf("Run without a context: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- b.Run(t.Context()) }()
	<-b.Ready()
	if err := errors.Join(b.Err(), b.Close(), <-ended); err != nil {
		t.Error(err)
	}
}

// TestPublishNeedsRun: Publish refuses what nobody can hear.
func TestPublishNeedsRun(t *testing.T) {
	one := core.Payload{Kind: core.JSON, Data: []byte("1")}
	b, err := polywire.New(load(t, localhost), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Publish("bots", "news", one); err == nil || !strings.Contains(err.Error(), "not running") {
		t.Errorf("before Run: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Publish("bots", "news", one); !errors.Is(err, polywire.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	r := run(t, localhost)
	if err := r.Publish("bots", "news", one); err != nil {
		t.Errorf("while it runs: %v", err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if err := r.Publish("bots", "news", one); err == nil {
		t.Error("after Run: no error")
	}
}

// TestListenersOfOthers: an unusable listener is reported at the start, not by the first client.
func TestListenersOfOthers(t *testing.T) {
	tcp := func() net.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ln.Close() })
		return ln
	}
	if _, err := polywire.New(load(t, localhost), slog.New(slog.DiscardHandler), polywire.WithListen(nil)); err == nil || !strings.Contains(err.Error(), "WithListen") {
		t.Errorf("no function: %v", err)
	}
	for want, ln := range map[string]net.Listener{"no listener": nil, "struct { net.Listener }": struct{ net.Listener }{tcp()}} {
		b, err := polywire.New(load(t, localhost), slog.New(slog.DiscardHandler), polywire.WithListen(func(string, string) (net.Listener, error) { return ln, nil }))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestCloseForNoReason: any value that a program gives as the reason ends the connection.
func TestCloseForNoReason(t *testing.T) {
	gone := make(chan core.Reason, 1)
	b := run(t, localhost, polywire.WithHooks(core.Hooks{
		Connected:    func(_ context.Context, c core.Client) { c.Close(core.NumReasons + 3) },
		Disconnected: func(_ core.Client, r core.Reason) { gone <- r },
	}))
	c := dial(t, b.urls["echo"].URL)
	_ = c.conn.Close()
	if r := <-gone; r != core.ReasonInternal && r != core.ReasonLost {
		t.Errorf("it has ended for %s", r)
	}
}
