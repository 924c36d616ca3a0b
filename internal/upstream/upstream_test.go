package upstream

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/httpclient"
)

// caller records what is done to the session.
type caller struct{ did []string }

func (c *caller) Client() core.Client { return core.Client{} }

func (c *caller) OpenSession(info []byte) (core.Session, error) {
	if err := (core.Payload{Kind: core.JSON, Data: info}).Check(); err != nil {
		return core.Session{}, err
	}
	c.did = append(c.did, "open "+string(info))
	return core.Session{}, nil
}

func (c *caller) CloseSession() error {
	c.did = append(c.did, "close")
	return nil
}

func newUpstream(t *testing.T, h http.HandlerFunc, change func(*Options)) *Upstream {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	o := Options{URL: server.URL, Timeout: coretest.Patience, Idle: coretest.Patience, MaxAnswer: 1000, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	u := New(o)
	t.Cleanup(u.Close)
	return u
}

func TestRequest(t *testing.T) {
	tests := []struct {
		payload     core.Payload
		contentType string
	}{
		{core.Payload{Kind: core.JSON, Data: []byte(`{"n":9007199254740993}`)}, "application/json"},
		{core.Payload{Kind: core.Text, Data: []byte("héllo")}, "text/plain; charset=utf-8"},
		{core.Payload{Kind: core.Binary, Data: []byte("\xff\x00")}, "application/octet-stream"},
		{core.Payload{}, ""},
	}
	for _, tt := range tests {
		var got *http.Request
		var body []byte
		u := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
			got = r
			body, _ = io.ReadAll(r.Body)
		}, nil)
		_, err := u.Call(t.Context(), core.Invocation{
			Service: "a/b\nc", Payload: tt.payload, Endpoint: "e", Protocol: "p", Connection: 7, Session: "key",
			Identity: &core.Identity{Subject: "ann\n"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got.Method != "POST" || string(body) != string(tt.payload.Data) {
			t.Errorf("%s with %q", got.Method, body)
		}
		for name, want := range map[string]string{
			"Content-Type": tt.contentType, "Polywire-Service": "a%2Fb%0Ac", "Polywire-Endpoint": "e",
			"Polywire-Protocol": "p", "Polywire-Connection": "7", "Polywire-Session": "key",
			"Polywire-Identity": "ann%0A",
		} {
			if got.Header.Get(name) != want {
				t.Errorf("%s: %q, want %q", name, got.Header.Get(name), want)
			}
		}
	}
}

func TestAnswer(t *testing.T) {
	write := func(status int, body string, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	failure := func(code core.Code, text string) error { return core.Failure{Code: code, Text: text} }
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    core.Payload
		err     error // a core.Failure, errInside, or nil
		session string
	}{
		{"JSON", write(200, ` {"a":1} `, "Content-Type", "application/json"), core.Payload{Kind: core.JSON, Data: []byte(`{"a":1}`)}, nil, ""},
		{"JSON with charset", write(201, "1", "Content-Type", "application/json; charset=utf-8"), core.Payload{Kind: core.JSON, Data: []byte("1")}, nil, ""},
		{"no JSON", write(200, "{", "Content-Type", "application/json"), core.Payload{}, errInside, ""},
		{"text", write(200, "hi", "Content-Type", "text/plain"), core.Payload{Kind: core.Text, Data: []byte("hi")}, nil, ""},
		{"binary", write(200, "hi", "Content-Type", "application/octet-stream"), core.Payload{Kind: core.Binary, Data: []byte("hi")}, nil, ""},
		{"text that is none", write(200, "\xff", "Content-Type", "text/plain"), core.Payload{Kind: core.Binary, Data: []byte("\xff")}, nil, ""},
		{"UTF-16", write(200, "h\x00\xe9\x00", "Content-Type", "text/plain; charset=UTF-16LE"), core.TextUTF16([]byte("h\x00\xe9\x00")), nil, ""},
		{"UTF-16, the other way", write(200, "\x00h\x00\xe9", "Content-Type", "text/plain; charset=utf-16be"), core.TextUTF16([]byte("h\x00\xe9\x00")), nil, ""},
		{"UTF-16 with a mark", write(200, "\xff\xfeh\x00", "Content-Type", "text/plain; charset=utf-16"), core.TextUTF16([]byte("h\x00")), nil, ""},
		{"UTF-16 with the other mark", write(200, "\xfe\xff\x00h", "Content-Type", "text/plain; charset=utf-16"), core.TextUTF16([]byte("h\x00")), nil, ""},
		{"UTF-16 without a mark", write(200, "\x00h", "Content-Type", "text/plain; charset=utf-16"), core.TextUTF16([]byte("h\x00")), nil, ""},
		{"UTF-16 of nothing", write(200, "", "Content-Type", "text/plain; charset=utf-16"), core.TextUTF16(nil), nil, ""},
		{"half a unit", write(200, "h\x00\xff", "Content-Type", "text/plain; charset=utf-16le"), core.Payload{Kind: core.Binary, Data: []byte("h\x00\xff")}, nil, ""},
		{"empty", write(204, ""), core.Payload{}, nil, ""},
		{"own failure", write(409, "taken, sorry", "Polywire-Error-Code", "TAKEN"), core.Payload{}, failure("TAKEN", "taken, sorry"), ""},
		{"own failure with 500", write(500, "", "Polywire-Error-Code", "X"), core.Payload{}, failure("X", ""), ""},
		{"other failure", write(500, "a secret"), core.Payload{}, errInside, ""},
		{"not found", write(404, "a secret"), core.Payload{}, errInside, ""},
		{"redirect", write(302, "", "Location", "/elsewhere"), core.Payload{}, errInside, ""},
		{"1001 bytes", write(200, strings.Repeat("x", 1001)), core.Payload{}, errInside, ""},
		{"opens a session that is no JSON", write(204, "", "Polywire-Session-Open", `{bad}`), core.Payload{}, errInside, ""},
		{"opens a session", write(200, "1", "Content-Type", "application/json", "Polywire-Session-Open", `{"user":1}`), core.Payload{Kind: core.JSON, Data: []byte("1")}, nil, `open {"user":1}`},
		{"closes the session", write(204, "", "Polywire-Session-Close", "1"), core.Payload{}, nil, "close"},
		{"a failure does not open", write(403, "no", "Polywire-Error-Code", "NO", "Polywire-Session-Open", `{}`), core.Payload{}, failure("NO", "no"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c caller
			got, err := newUpstream(t, tt.handler, nil).Call(t.Context(), core.Invocation{Service: "s", Caller: &c})
			if got.Kind != tt.want.Kind || string(got.Data) != string(tt.want.Data) || string(got.UTF16) != string(tt.want.UTF16) || (got.UTF16 == nil) != (tt.want.UTF16 == nil) {
				t.Errorf("payload %d %q %q, want %d %q %q", got.Kind, got.Data, got.UTF16, tt.want.Kind, tt.want.Data, tt.want.UTF16)
			}
			f, told := errors.AsType[core.Failure](err)
			switch want := tt.err.(type) { //nolint:errorlint // the table holds these very types
			case nil:
				if err != nil {
					t.Errorf("error %v", err)
				}
			case core.Failure:
				if f != want {
					t.Errorf("failure %v, want %v", err, want)
				}
			default:
				if !told || f != errInternal || strings.Contains(err.Error(), "secret") {
					t.Errorf("error %v; want one that the client is told no details of", err)
				}
			}
			if did := strings.Join(c.did, ", "); did != tt.session {
				t.Errorf("session: %q, want %q", did, tt.session)
			}
		})
	}
}

// errInside stands for any error of whose details the client is told nothing.
var errInside = errors.New("inside")

func TestTimeout(t *testing.T) {
	hang := make(chan struct{})
	u := newUpstream(t, func(http.ResponseWriter, *http.Request) { <-hang }, func(o *Options) { o.Timeout = 50 * time.Millisecond })
	defer close(hang)
	_, err := u.Call(t.Context(), core.Invocation{})
	if f, _ := errors.AsType[core.Failure](err); f != errTimeout {
		t.Errorf("error %v, want %v", err, errTimeout)
	}
}

// tripAfter is the number of failures after which httpclient's breaker opens.
const tripAfter = 5

func TestCallerThatLeavesIsNoFault(t *testing.T) {
	asked := make(chan struct{})
	hang := make(chan struct{})
	u := newUpstream(t, func(http.ResponseWriter, *http.Request) { asked <- struct{}{}; <-hang }, nil)
	defer close(hang)
	for range 2 * tripAfter {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := u.Call(ctx, core.Invocation{})
			done <- err
		}()
		<-asked
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want that it was canceled", err)
		}
	}
}

func TestBreaker(t *testing.T) {
	var asked atomic.Int32
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	}, nil)
	for range tripAfter {
		if _, err := u.Call(t.Context(), core.Invocation{}); err == nil {
			t.Fatal("no error")
		}
	}
	_, err := u.Call(t.Context(), core.Invocation{})
	if f, _ := errors.AsType[core.Failure](err); f != errUnavailable || asked.Load() != tripAfter {
		t.Errorf("error %v after %d requests; want %v after %d", err, asked.Load(), errUnavailable, tripAfter)
	}
}

// What one client asks must not turn the server away from the others: only a missing answer, or
// one of 500 and above, counts against it.
func TestWhatTrips(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	says := func(contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, body)
		}
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		trips  bool
	}{
		{"400", status(400), false},
		{"401", status(401), false},
		{"404", status(404), false},
		{"413", status(413), false},
		{"429", status(429), false},
		{"a redirect", status(302), false},
		{"an answer over the limit", says("text/plain", strings.Repeat("x", 1001)), false},
		{"no JSON", says("application/json", "{bad}"), false},
		{"a failure with a word of its own", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Polywire-Error-Code", "NO")
			w.WriteHeader(http.StatusForbidden)
		}, false},
		{"500", status(500), true},
		{"503", status(503), true},
		{"an answer that breaks off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "half")
		}, true},
		{"no answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int32
			good := atomic.Bool{}
			u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				if good.Load() {
					_, _ = io.WriteString(w, "good")
					return
				}
				c.answer(w, r)
			}, nil)
			for range 3 * tripAfter {
				if _, err := u.Call(t.Context(), core.Invocation{}); err == nil {
					t.Fatal("no error")
				}
			}
			good.Store(true)
			_, err := u.Call(t.Context(), core.Invocation{})
			if f, _ := errors.AsType[core.Failure](err); (f == errUnavailable) != c.trips {
				t.Errorf("another client gets %v", err)
			}
			if n := asked.Load(); !c.trips && n != 3*tripAfter+1 {
				t.Errorf("%d requests, want %d", n, 3*tripAfter+1)
			}
		})
	}
}

// A caller that gives the server no time says nothing about it.
func TestImpatientCallerIsNoFault(t *testing.T) {
	hang := make(chan struct{})
	u := newUpstream(t, func(http.ResponseWriter, *http.Request) { <-hang }, nil)
	defer close(hang)
	for range 2 * tripAfter {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := u.Call(ctx, core.Invocation{OneWay: true})
		cancel()
		if f, _ := errors.AsType[core.Failure](err); f == errUnavailable {
			t.Fatal("the server is left alone")
		}
	}
}

// A call whose connection the server has just closed is sent once more, and the server can tell
// that it is the same.
func TestClosedConnection(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[string]int) // requests by their key
	var served atomic.Int32
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen[r.Header.Get("Idempotency-Key")]++
		mu.Unlock()
		if served.Add(1)%2 == 0 {
			panic(http.ErrAbortHandler) // on a connection that was used before
		}
		_, _ = io.Copy(w, r.Body)
	}, nil)
	for range 10 {
		p, err := u.Call(t.Context(), core.Invocation{Payload: core.Payload{Kind: core.Text, Data: []byte("hi")}})
		if err != nil || string(p.Data) != "hi" {
			t.Fatalf("%q, %v", p.Data, err)
		}
	}
	twice := 0
	for key, n := range seen {
		if len(key) < 20 || n > 2 {
			t.Errorf("%q was seen %d times", key, n)
		}
		twice += n - 1
	}
	if len(seen) != 10 || twice != 9 {
		t.Errorf("%d keys, %d seen twice; want 10 and 9", len(seen), twice)
	}
}

// An unused connection is closed before the server does it.
func TestIdleConnections(t *testing.T) {
	if httpclient.DefaultIdle >= 5*time.Second {
		t.Errorf("unused connections are kept for %s; Node.js closes them after 5s", httpclient.DefaultIdle)
	}
	closed := make(chan struct{}, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			closed <- struct{}{}
		}
	}
	server.Start()
	defer server.Close()
	u := New(Options{URL: server.URL, Timeout: coretest.Patience, Idle: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	defer u.Close()
	if _, err := u.Call(t.Context(), core.Invocation{}); err != nil {
		t.Fatal(err)
	}
	<-closed
}

func TestConnectionsAreReused(t *testing.T) {
	var conns atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok")
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	u := New(Options{URL: server.URL, Timeout: coretest.Patience, MaxAnswer: 1000, Logger: slog.New(slog.DiscardHandler)})
	defer u.Close()
	for range 10 {
		if _, err := u.Call(t.Context(), core.Invocation{}); err != nil {
			t.Fatal(err)
		}
	}
	// On a busy machine net/http gives up one now and then: it does not wait for its own
	// goroutine that writes.
	if conns.Load() > 5 {
		t.Errorf("%d connections for ten calls, want 1", conns.Load())
	}
}
