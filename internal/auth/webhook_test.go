package auth

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// patient is a timeout that no test reaches; hasty is one that a test waits for.
const (
	patient = coretest.Patience
	hasty   = 50 * time.Millisecond
)

// newWebhook returns a webhook at url that is closed with the test.
func newWebhook(t *testing.T, url string, timeout time.Duration) *Webhook {
	t.Helper()
	return loggingWebhook(t, url, timeout, slog.New(slog.DiscardHandler))
}

// loggingWebhook is newWebhook with a log.
func loggingWebhook(t *testing.T, url string, timeout time.Duration, log *slog.Logger) *Webhook {
	t.Helper()
	w := NewWebhook(url, timeout, log)
	// However slow the machine is: connections are closed by who says so.
	w.hook = newHook(url, timeout, patient, log)
	t.Cleanup(w.Close)
	return w
}

// serve starts a server that is closed with the test.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// answers is a server whose path says what it answers.
func answers(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/200":
		_, _ = io.WriteString(w, "fine")
	case "/201":
		w.WriteHeader(201)
	case "/204":
		w.WriteHeader(204)
	case "/304":
		w.WriteHeader(304)
	case "/302-200":
		http.Redirect(w, r, "/200", 302)
	case "/307-200":
		http.Redirect(w, r, "/200", 307)
	case "/302-404":
		http.Redirect(w, r, "/404", 302)
	case "/302-500":
		http.Redirect(w, r, "/500", 302)
	case "/302-302":
		http.Redirect(w, r, r.URL.Path, 302)
	case "/302":
		w.WriteHeader(302)
	case "/403":
		w.WriteHeader(403)
	case "/500":
		w.WriteHeader(500)
	case "/503":
		w.WriteHeader(503)
	case "/hang-up":
		panic(http.ErrAbortHandler)
	case "/hang":
		// The server sees that the client left only after it read the body.
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	case "/200-broken":
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
	case "/200-hang":
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	default:
		http.NotFound(w, r)
	}
}

func TestVerdicts(t *testing.T) {
	s := serve(t, answers)
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	for _, c := range []struct {
		url              string
		timeout          time.Duration
		connect, command core.Verdict
	}{
		{s.URL + "/200", patient, core.Allow, core.Allow},
		{s.URL + "/201", patient, core.Deny, core.Deny},
		{s.URL + "/204", patient, core.Deny, core.Deny},
		{s.URL + "/304", patient, core.Deny, core.Deny},
		{s.URL + "/302-200", patient, core.Allow, core.Allow},
		{s.URL + "/307-200", patient, core.Allow, core.Allow},
		{s.URL + "/302-404", patient, core.Deny, core.Deny},
		{s.URL + "/302-500", patient, core.Deny, core.Unavailable},
		{s.URL + "/302-302", patient, core.Deny, core.Unavailable},
		{s.URL + "/403", patient, core.Deny, core.Deny},
		{s.URL + "/404", patient, core.Deny, core.Deny},
		{s.URL + "/500", patient, core.Deny, core.Unavailable},
		{s.URL + "/503", patient, core.Deny, core.Unavailable},
		{s.URL + "/hang-up", patient, core.Deny, core.Unavailable},
		{s.URL + "/hang", hasty, core.Deny, core.Unavailable},
		{s.URL + "/200-broken", patient, core.Allow, core.Allow},
		{dead.URL, patient, core.Deny, core.Unavailable},
		{"http://a b/", patient, core.Deny, core.Unavailable},
	} {
		t.Run(strings.TrimPrefix(c.url, s.URL), func(t *testing.T) {
			w := newWebhook(t, c.url, c.timeout)
			if got := w.AuthorizeConnect(t.Context(), core.Handshake{}); got != c.connect {
				t.Errorf("connect: %d, want %d", got, c.connect)
			}
			if got := w.AuthorizeCommand(t.Context(), nil, core.Command{Source: []byte(`{}`)}); got != c.command {
				t.Errorf("command: %d, want %d", got, c.command)
			}
		})
	}
}

// The status counts, even of an answer that does not end.
func TestVerdictBeforeTheEnd(t *testing.T) {
	s := serve(t, answers)
	for what, ask := range map[string]func(*Webhook) core.Verdict{
		"connect": func(w *Webhook) core.Verdict { return w.AuthorizeConnect(t.Context(), core.Handshake{}) },
		"command": func(w *Webhook) core.Verdict {
			return w.AuthorizeCommand(t.Context(), nil, core.Command{Source: []byte(`{}`)})
		},
	} {
		// The time must be enough for the status, on whatever machine.
		timeout := hasty
		coretest.Eventually(t, what+" is allowed", func() bool {
			timeout *= 2
			return ask(newWebhook(t, s.URL+"/200-hang", timeout)) == core.Allow
		})
	}
}

func TestRequests(t *testing.T) {
	var got string
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.RequestURI + " " + r.Header.Get("Content-Type") + " " + string(body)
	})
	w := newWebhook(t, s.URL+"/ask?token=t", patient)
	const head = "POST /ask?token=t application/json "

	for _, c := range []struct {
		name string
		h    core.Handshake
		want string
	}{
		{"nothing", core.Handshake{}, `{"command":"connect","args":{"headers":{},"query":{}}}`},
		{"headers and query", core.Handshake{
			Path:   "/ws",
			Header: http.Header{"X-B": {"1", "2"}, "Cookie": {`a="b"`}},
			Query:  url.Values{"user": {"u&1", ""}},
			Remote: "127.0.0.1:1",
		}, `{"command":"connect","args":{"headers":{"Cookie":["a=\"b\""],"X-B":["1","2"]},"query":{"user":["u\u00261",""]}}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if v := w.AuthorizeConnect(t.Context(), c.h); v != core.Allow || got != head+c.want {
				t.Errorf("%d %s\nwant %s", v, got, head+c.want)
			}
		})
	}

	for _, c := range []struct {
		name string
		c    core.Command
		want string
	}{
		{
			"source",
			core.Command{Verb: core.Publish, Topic: []byte("a"), Source: []byte(`{ "command":"broadcast","args":{"channel":" a","n":1e400} }`)},
			`{ "command":"broadcast","args":{"channel":" a","n":1e400} }`,
		},
		{"empty source", core.Command{Verb: core.Ping, Source: []byte{}}, ``},
		{"subscribe", core.Command{Verb: core.Subscribe, Topic: []byte(`a/"b`)}, `{"command":"join","args":{"channel":"a/\"b"}}`},
		{"unsubscribe", core.Command{Verb: core.Unsubscribe, Topic: []byte("")}, `{"command":"leave","args":{"channel":""}}`},
		{
			"publish",
			core.Command{Verb: core.Publish, Topic: []byte("a"), Payload: core.Payload{Kind: core.JSON, Data: []byte(`{"n": 9007199254740993}`)}},
			`{"command":"broadcast","args":{"channel":"a","content":{"n": 9007199254740993}}}`,
		},
		{
			"publish bytes",
			core.Command{Verb: core.Publish, Topic: []byte("a"), Payload: core.Payload{Kind: core.Binary, Data: []byte{0xff, 0}}},
			`{"command":"broadcast","args":{"channel":"a","content":{"$binary":"/wA="}}}`,
		},
		{"publish as owner", core.Command{Verb: core.Publish, Topic: []byte("a/b"), Channel: []byte("a"), AsOwner: true}, `{"command":"broadcast","args":{"channel":"a/b"}}`},
		{
			"call",
			core.Command{Verb: core.Call, Topic: []byte("s"), Payload: core.Payload{Kind: core.Text, Data: []byte("x")}},
			`{"command":"call","args":{"channel":"s","content":"x"}}`,
		},
		{
			"offer a channel",
			core.Command{Verb: core.Offer, Channel: []byte("a"), Exclusive: true, Services: [][]byte{[]byte("x"), []byte("y")}},
			`{"command":"offer","args":{"channel":"a","services":["a/x","a/y"]}}`,
		},
		{
			"offer services",
			core.Command{Verb: core.Offer, Channel: []byte("not read"), Services: [][]byte{[]byte("x")}},
			`{"command":"offer","args":{"services":["x"]}}`,
		},
		{"restore session", core.Command{Verb: core.RestoreSession, Key: []byte("secret")}, `{"command":"restore_session","args":{}}`},
		{"none", core.Command{}, `{"command":"none","args":{}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if v := w.AuthorizeCommand(t.Context(), nil, c.c); v != core.Allow || got != head+c.want {
				t.Errorf("%d %s\nwant %s", v, got, head+c.want)
			}
		})
	}
}

// A redirect that keeps the method keeps the message.
func TestRedirectKeepsBody(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/there", 307)
			return
		}
		if body, _ := io.ReadAll(r.Body); r.Method != "POST" || string(body) != `{"x":1}` {
			w.WriteHeader(400)
		}
	})
	if v := newWebhook(t, s.URL, patient).AuthorizeCommand(t.Context(), nil, core.Command{Source: []byte(`{"x":1}`)}); v != core.Allow {
		t.Errorf("%d, want Allow", v)
	}
}

// net/http may read a request's body after the answer came, when the command's bytes belong to
// another owner again. So the body shares none of them.
func TestBodyIsOwn(t *testing.T) {
	for _, c := range []core.Command{
		{Verb: core.Publish, Source: []byte(`{"command":"x"}`)},
		{Verb: core.Publish, Topic: []byte("a"), Payload: core.Payload{Kind: core.JSON, Data: []byte(`"x"`)}},
	} {
		body := commandBody(c)
		before := bytes.Clone(body)
		clear(c.Source)
		clear(c.Topic)
		clear(c.Payload.Data)
		if !bytes.Equal(body, before) {
			t.Errorf("the body changed from %q to %q", before, body)
		}
	}
}

// Connections are reused, even after refusals and answers with a body.
func TestReusesConnections(t *testing.T) {
	var opened atomic.Int64
	body := strings.Repeat("x", 5000)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(403)
		_, _ = io.WriteString(w, body)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	w := newWebhook(t, s.URL, patient)
	for range 20 {
		w.AuthorizeConnect(t.Context(), core.Handshake{})
		w.AuthorizeCommand(t.Context(), nil, core.Command{Source: []byte(`{}`)})
	}
	// On a busy machine net/http gives up one now and then: it does not wait for its own
	// goroutine that writes.
	n := opened.Load()
	if n > 10 {
		t.Errorf("%d connections for 40 requests one after the other, want 1", n)
	}
	w.Close()
	w.AuthorizeCommand(t.Context(), nil, core.Command{Source: []byte(`{}`)})
	if opened.Load() == n {
		t.Error("the connection is open after Close")
	}
}

// An endless answer is not read to its end.
func TestEndlessAnswer(t *testing.T) {
	written := make(chan int, 1)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk, sum := make([]byte, 32<<10), 0
		for {
			n, err := w.Write(chunk)
			if sum += n; err != nil {
				written <- sum
				return
			}
		}
	})
	if v := newWebhook(t, s.URL, patient).AuthorizeCommand(t.Context(), nil, core.Command{Source: []byte(`{}`)}); v != core.Allow {
		t.Errorf("%d, want Allow", v)
	}
	// What is not read fills the buffers of the sockets, some megabytes.
	if n := <-written; n > 32<<20 {
		t.Errorf("the server could write %d bytes", n)
	}
}

// Many goroutines share a webhook: each gets the verdict on its own message, and together they
// use no more connections at once than allowed. (How many they open in all is not known: under
// load net/http gives up connections that it could use again.)
func TestConcurrency(t *testing.T) {
	var under, most, asked atomic.Int64
	full := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		n := under.Add(1)
		defer under.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if asked.Add(1) == maxConns {
			close(full)
		}
		<-full
		// So that those who come although they must not are seen; nothing else needs it.
		time.Sleep(20 * time.Millisecond)
		if string(body) == "no" {
			w.WriteHeader(403)
		}
	})
	w := newWebhook(t, s.URL, patient)
	var wg sync.WaitGroup
	for i := range 2 * maxConns {
		wg.Go(func() {
			source, want := "yes", core.Allow
			if i%2 == 0 {
				source, want = "no", core.Deny
			}
			for range 3 {
				if got := w.AuthorizeCommand(t.Context(), nil, core.Command{Source: []byte(source)}); got != want {
					t.Errorf("%s: %d, want %d", source, got, want)
				}
			}
		})
	}
	wg.Wait()
	if n := most.Load(); n != maxConns {
		t.Errorf("%d connections at once, want %d", n, maxConns)
	}
}

// The end of the context ends the wait, and is not held against the server.
// A question that meets a connection which the server has just closed is asked once more;
// the server sees nothing of that but the question.
func TestClosedConnection(t *testing.T) {
	var served, marked atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, ok := r.Header["Idempotency-Key"]; ok {
			marked.Add(1)
		}
		if served.Add(1)%2 == 0 {
			panic(http.ErrAbortHandler) // on a connection that was used before
		}
	})
	w := newWebhook(t, s.URL, patient)
	for range 10 {
		if v := w.AuthorizeCommand(t.Context(), nil, core.Command{Verb: core.Subscribe, Topic: []byte("a")}); v != core.Allow {
			t.Fatalf("verdict %v", v)
		}
	}
	if served.Load() != 19 || marked.Load() != 0 {
		t.Errorf("%d requests, %d of them marked; want 19 and none", served.Load(), marked.Load())
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	var log bytes.Buffer
	w := loggingWebhook(t, s.URL, patient, slog.New(slog.NewTextHandler(&log, nil)))
	if v := w.AuthorizeCommand(ctx, nil, core.Command{Source: []byte(`{}`)}); v != core.Unavailable {
		t.Errorf("%d, want Unavailable", v)
	}
	if log.Len() != 0 {
		t.Errorf("logged %s", &log)
	}
}

// The log has a line when the server goes down and one when it is back, and
// never the URL, which may hold a secret.
func TestLog(t *testing.T) {
	var status atomic.Int64
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		n := int(status.Load())
		if n == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(n)
	})
	var log bytes.Buffer
	w := loggingWebhook(t, s.URL+"/?secret=s3cret", patient, slog.New(slog.NewTextHandler(&log, nil)))
	for _, step := range []struct {
		status int
		want   string
	}{
		{200, ""},
		{403, ""},
		{503, `level=WARN msg="webhook is down" error="status 503"`},
		{500, ""},
		{0, ""},
		{404, `level=WARN msg="webhook is up again"`},
		{200, ""},
		{0, `level=WARN msg="webhook is down" error="asking webhook: EOF"`},
		{0, ""},
		{200, `level=WARN msg="webhook is up again"`},
	} {
		status.Store(int64(step.status))
		w.AuthorizeCommand(t.Context(), nil, core.Command{Source: []byte(`{}`)})
		got := strings.TrimSpace(log.String())
		log.Reset()
		if strings.Count(got, "\n") != 0 || !strings.HasSuffix(got, step.want) || (got == "") != (step.want == "") {
			t.Errorf("after %d: %q, want %q", step.status, got, step.want)
		}
		if strings.Contains(got, "s3cret") {
			t.Errorf("the log holds the URL: %s", got)
		}
	}
	w = loggingWebhook(t, "http://s3cret@a b/", patient, slog.New(slog.NewTextHandler(&log, nil)))
	w.AuthorizeConnect(t.Context(), core.Handshake{})
	if got := log.String(); got == "" || strings.Contains(got, "s3cret") {
		t.Errorf("unreadable URL: %q", got)
	}
}
