package auth

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// judge is a real webhook server that counts and can be told what to answer.
type judge struct {
	*keyHost
	got atomic.Pointer[asked]
}

// asked is one request.
type asked struct {
	header http.Header
	body   string
}

func newJudge(t *testing.T, h http.HandlerFunc) *judge {
	t.Helper()
	j := &judge{}
	j.keyHost = newKeyHost(t, h)
	j.serve(h)
	return j
}

func (j *judge) serve(h http.HandlerFunc) {
	j.keyHost.serve(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		j.got.Store(&asked{r.Header, string(body)})
		h(w, r)
	})
}

// wantAsked checks how many requests there were since its last call.
func (j *judge) wantAsked(t *testing.T, what string, n int64) {
	t.Helper()
	if got := j.asked.Swap(0); got != n {
		t.Errorf("%s: asked %d times, want %d", what, got, n)
	}
}

func newAuthorizer(t *testing.T, url string, cache CacheOptions, onError OnError) (*Authorizer, *core.HookStats) {
	t.Helper()
	stats := new(core.HookStats)
	a := NewAuthorizer(HookOptions{
		URL: url, Timeout: patient, Endpoint: "web", Protocol: "vws", Cache: cache, Stats: stats, Logger: quiet,
	}, onError)
	t.Cleanup(a.Close)
	return a, stats
}

var (
	annID  = &core.Identity{Subject: "ann"}
	bobID  = &core.Identity{Subject: "bob"}
	hourly = CacheOptions{Allow: time.Hour, Deny: time.Hour}
)

// join is a command that all clients of a room send alike.
func join(topic string) core.Command {
	return core.Command{Verb: core.Subscribe, Topic: []byte(topic)}
}

func TestAuthorizerTellsWhoAsks(t *testing.T) {
	j := newJudge(t, status(200))
	a, _ := newAuthorizer(t, j.url, CacheOptions{}, DenyOnError)
	who := func(header http.Header) string {
		return fmt.Sprint(header.Values("Polywire-Endpoint"), header.Values("Polywire-Protocol"),
			header.Values("Polywire-Identity"), header.Values("Polywire-Address"))
	}
	h := shows(t, "Origin: x\nPolywire-Identity: root\n?a=1")
	h.Identity = &core.Identity{Subject: "ann\n"}
	a.AuthorizeConnect(t.Context(), h)
	got := j.got.Load()
	const connect = `{"command":"connect","args":{"headers":{"Origin":["x"],"Polywire-Identity":["root"]},"query":{"a":["1"]}}}`
	if got.body != connect || who(got.header) != "[web] [vws] [ann%0A] [192.0.2.1]" {
		t.Errorf("connect: %s %s", got.body, who(got.header))
	}
	a.AuthorizeCommand(t.Context(), annID, join("a"))
	got = j.got.Load()
	if got.body != `{"command":"join","args":{"channel":"a"}}` || who(got.header) != "[web] [vws] [ann] []" {
		t.Errorf("command: %s %s", got.body, who(got.header))
	}
	a.AuthorizeCommand(t.Context(), nil, join("b"))
	if got = j.got.Load(); who(got.header) != "[web] [vws] [] []" {
		t.Errorf("command of nobody: %s", who(got.header))
	}
}

// What each policy makes of a failing server, before and after it was asked.
func TestOnError(t *testing.T) {
	for name, fails := range map[string]http.HandlerFunc{
		"500":     status(500),
		"503":     status(503),
		"hang up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"hangs":   func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		for _, c := range []struct {
			policy                                    OnError
			connect, command, known, denied, stranger core.Verdict
		}{
			{DenyOnError, core.Unavailable, core.Deny, core.Deny, core.Deny, core.Deny},
			{AllowOnError, core.Allow, core.Allow, core.Allow, core.Allow, core.Allow},
			{LastKnownOnError, core.Unavailable, core.Deny, core.Allow, core.Deny, core.Deny},
		} {
			t.Run(fmt.Sprint(name, " ", c.policy), func(t *testing.T) {
				j := newJudge(t, fails)
				a, stats := newAuthorizer(t, j.url, CacheOptions{}, c.policy)
				a.oracle.hook.timeout = hasty
				if v := a.AuthorizeConnect(t.Context(), shows(t, "")); v != c.connect {
					t.Errorf("connect: %d, want %d", v, c.connect)
				}
				if v := a.AuthorizeCommand(t.Context(), annID, join("a")); v != c.command {
					t.Errorf("command: %d, want %d", v, c.command)
				}
				j.serve(func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Polywire-Identity") == "bob" {
						w.WriteHeader(403)
					}
				})
				a.oracle.hook.timeout = patient
				a.AuthorizeCommand(t.Context(), annID, join("a"))
				a.AuthorizeCommand(t.Context(), bobID, join("a"))
				a.oracle.hook.timeout = hasty
				j.serve(fails)
				for what, v := range map[string][2]core.Verdict{
					"what was allowed":     {a.AuthorizeCommand(t.Context(), annID, join("a")), c.known},
					"what was denied":      {a.AuthorizeCommand(t.Context(), bobID, join("a")), c.denied},
					"what was never asked": {a.AuthorizeCommand(t.Context(), annID, join("b")), c.stranger},
				} {
					if v[0] != v[1] {
						t.Errorf("%s: %d, want %d", what, v[0], v[1])
					}
				}
				if e, m := stats.Errors.Load(), stats.Misses.Load(); e != 5 || m != 7 {
					t.Errorf("%d errors of %d questions, want 5 of 7", e, m)
				}
			})
		}
	}
}

// A server that fails again and again is left alone, and the policy decides at once.
func TestAuthorizerBreaker(t *testing.T) {
	j := newJudge(t, status(500))
	a, stats := newAuthorizer(t, j.url, CacheOptions{}, AllowOnError)
	for i := range 20 {
		if v := a.AuthorizeCommand(t.Context(), annID, join(fmt.Sprint(i))); v != core.Allow {
			t.Fatalf("%d", v)
		}
	}
	j.wantAsked(t, "20 questions", 5)
	if !stats.Breaker.Load() || stats.Errors.Load() != 20 {
		t.Errorf("breaker %t, %d errors", stats.Breaker.Load(), stats.Errors.Load())
	}
}

// A verdict is good for the same question alone.
func TestVerdictsAreRemembered(t *testing.T) {
	j := newJudge(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Polywire-Identity") != "ann" {
			w.WriteHeader(403)
		}
	})
	a, stats := newAuthorizer(t, j.url, hourly, DenyOnError)
	command := func(by *core.Identity, c core.Command, want core.Verdict) {
		t.Helper()
		if v := a.AuthorizeCommand(t.Context(), by, c); v != want {
			t.Errorf("%s: %d, want %d", by.User(), v, want)
		}
	}
	for range 3 {
		command(annID, join("a"), core.Allow)
		command(bobID, join("a"), core.Deny)
		command(nil, join("a"), core.Deny)
	}
	j.wantAsked(t, "the same body by three", 3)
	if h, m := stats.Hits.Load(), stats.Misses.Load(); h != 6 || m != 3 {
		t.Errorf("%d hits, %d misses", h, m)
	}
	command(annID, join("b"), core.Allow)
	command(annID, core.Command{Verb: core.Unsubscribe, Topic: []byte("a")}, core.Allow)
	command(annID, core.Command{Source: []byte(`{"command":"join","args":{"channel":"a"}} `)}, core.Allow)
	j.wantAsked(t, "three other bodies", 3)
	// Whose words end where another's begin.
	command(&core.Identity{Subject: "an"}, core.Command{Source: []byte(`n{}`)}, core.Deny)
	command(annID, core.Command{Source: []byte(`{}`)}, core.Allow)
	j.wantAsked(t, "subjects and bodies that are the same in a row", 2)

	connect := func(lines, remote string, by *core.Identity) {
		t.Helper()
		h := shows(t, lines)
		h.Remote, h.Identity = remote, by
		a.AuthorizeConnect(t.Context(), h)
	}
	connect("Cookie: s=1\nSec-Websocket-Key: x\n?a=1", "192.0.2.1:1", annID)
	connect("Cookie: s=1\nSec-Websocket-Key: y\nX-Request-Id: 7\n?a=1", "192.0.2.1:2", annID)
	j.wantAsked(t, "one client twice", 1)
	connect("Cookie: s=2\nSec-Websocket-Key: x\n?a=1", "192.0.2.1:1", annID)
	connect("Cookie: s=1\nSec-Websocket-Key: x\n?a=2", "192.0.2.1:1", annID)
	connect("Cookie: s=1\nSec-Websocket-Key: x\n?a=1", "192.0.2.2:1", annID)
	connect("Cookie: s=1\nSec-Websocket-Key: x\n?a=1", "192.0.2.1:1", bobID)
	connect("Cookie: s=1\nAuthorization: Bearer x\n?a=1", "192.0.2.1:1", annID)
	j.wantAsked(t, "five other clients", 5)
}

// The server sees all of a connect, though not all of it makes another question.
func TestConnectIsShownWhole(t *testing.T) {
	j := newJudge(t, status(200))
	a, _ := newAuthorizer(t, j.url, hourly, DenyOnError)
	h := shows(t, "Sec-Websocket-Key: x")
	a.AuthorizeConnect(t.Context(), h)
	if got := j.got.Load().body; got != `{"command":"connect","args":{"headers":{"Sec-Websocket-Key":["x"]},"query":{}}}` {
		t.Errorf("shown %s", got)
	}
	if h.Header.Get("Sec-Websocket-Key") != "x" {
		t.Error("the handshake was changed")
	}
}

// Many concurrent askers of the same question cause one request; one that leaves takes nothing
// from the others.
func TestOneFlight(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	j := newJudge(t, func(http.ResponseWriter, *http.Request) {
		close(started)
		<-release
	})
	a, stats := newAuthorizer(t, j.url, hourly, DenyOnError)
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan core.Verdict)
	go func() { left <- a.AuthorizeCommand(ctx, annID, join("a")) }()
	<-started
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if v := a.AuthorizeCommand(t.Context(), annID, join("a")); v != core.Allow {
				t.Errorf("%d", v)
			}
		})
	}
	leave()
	if v := <-left; v != core.Deny {
		t.Errorf("who left got %d", v)
	}
	close(release)
	wg.Wait()
	j.wantAsked(t, "21 questions", 1)
	if h, m := stats.Hits.Load(), stats.Misses.Load(); h != 20 || m != 1 {
		t.Errorf("%d hits, %d misses", h, m)
	}
}

// A server whose answers make sense only now and then.
func TestFlappingServer(t *testing.T) {
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%2 == 0 {
			w.WriteHeader(502)
		}
	}))
	defer s.Close()
	a, stats := newAuthorizer(t, s.URL, CacheOptions{}, LastKnownOnError)
	for i := range 20 {
		if v := a.AuthorizeCommand(t.Context(), annID, join("a")); v != core.Allow {
			t.Errorf("question %d: %d", i, v)
		}
	}
	if e := stats.Errors.Load(); e != 10 || stats.Breaker.Load() {
		t.Errorf("%d errors, breaker %t", e, stats.Breaker.Load())
	}
}
