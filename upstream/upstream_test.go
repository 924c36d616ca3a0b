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
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// caller notes what is done to the session.
type caller struct{ did []string }

func (c *caller) Client() core.Client { return core.Client{} }

func (c *caller) OpenSession(info []byte) (core.Session, error) {
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
	o := Options{URL: server.URL, Timeout: coretest.Patience, MaxAnswer: 1000, Logger: slog.New(slog.DiscardHandler)}
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
		{"empty", write(204, ""), core.Payload{}, nil, ""},
		{"own failure", write(409, "taken, sorry", "Polywire-Error-Code", "TAKEN"), core.Payload{}, failure("TAKEN", "taken, sorry"), ""},
		{"own failure with 500", write(500, "", "Polywire-Error-Code", "X"), core.Payload{}, failure("X", ""), ""},
		{"other failure", write(500, "a secret"), core.Payload{}, errInside, ""},
		{"not found", write(404, "a secret"), core.Payload{}, errInside, ""},
		{"redirect", write(302, "", "Location", "/elsewhere"), core.Payload{}, errInside, ""},
		{"1001 bytes", write(200, strings.Repeat("x", 1001)), core.Payload{}, errInside, ""},
		{"opens a session", write(200, "1", "Content-Type", "application/json", "Polywire-Session-Open", `{"user":1}`), core.Payload{Kind: core.JSON, Data: []byte("1")}, nil, `open {"user":1}`},
		{"closes the session", write(204, "", "Polywire-Session-Close", "1"), core.Payload{}, nil, "close"},
		{"a failure does not open", write(403, "no", "Polywire-Error-Code", "NO", "Polywire-Session-Open", `{}`), core.Payload{}, failure("NO", "no"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c caller
			got, err := newUpstream(t, tt.handler, nil).Call(t.Context(), core.Invocation{Service: "s", Caller: &c})
			if got.Kind != tt.want.Kind || string(got.Data) != string(tt.want.Data) {
				t.Errorf("payload %d %q, want %d %q", got.Kind, got.Data, tt.want.Kind, tt.want.Data)
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

// tripAfter is after how many failures httpclient's breaker opens.
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

func TestAnswererFailuresDoNotTrip(t *testing.T) {
	var asked int
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Polywire-Error-Code", "NO")
		w.WriteHeader(http.StatusForbidden)
	}, nil)
	for range 3 * tripAfter {
		_, _ = u.Call(t.Context(), core.Invocation{})
	}
	if asked != 3*tripAfter {
		t.Errorf("%d requests, want %d", asked, 3*tripAfter)
	}
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
	if conns.Load() != 1 {
		t.Errorf("%d connections for ten calls, want 1", conns.Load())
	}
}
