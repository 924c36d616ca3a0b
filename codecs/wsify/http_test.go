package wsify

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/polywire/polywire/core"
)

// publishFunc is the engine as the handler sees it.
type publishFunc func(topic []byte, p core.Payload) core.Failure

func (f publishFunc) Publish(topic []byte, p core.Payload) core.Failure { return f(topic, p) }

// httpServer serves the plain HTTP of an endpoint and notes what is published.
type httpServer struct {
	*httptest.Server
	stats  core.Stats
	answer core.Failure // what the publisher says

	mu        sync.Mutex
	published []string // Guarded by mu.
}

func newHTTPServer(t *testing.T, f *Format) *httpServer {
	t.Helper()
	s := &httpServer{}
	s.Server = httptest.NewServer(f.Handler(publishFunc(func(topic []byte, p core.Payload) core.Failure {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.published = append(s.published, fmt.Sprintf("%q %s", topic, payloadText(p)))
		return s.answer
	}), &s.stats))
	t.Cleanup(s.Close)
	return s
}

// taken returns what was published since the last call.
func (s *httpServer) taken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := strings.Join(s.published, "; ")
	s.published = nil
	return got
}

// request sends one request and returns its answer and body.
func request(t *testing.T, method, url, contentType string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

const jsonType = "application/json"

func TestBroadcast(t *testing.T) {
	s := newHTTPServer(t, newFormat(t, 1000, func(o *Options) { o.BroadcastingKey = "s3cret" }))
	const path = "/broadcast?key=s3cret"
	long := `{"channel":"a","content":"` + strings.Repeat("x", 1000) + `"}`
	for _, c := range []struct {
		name, target, contentType, body string
		status                          int
		published                       string
		reason                          core.Reason // counted in Refused; ReasonNormal: nothing
	}{
		{"a broadcast", path, jsonType, `{"channel":"a","content":{"n":9007199254740993}}`, 201, `"a" json {"n":9007199254740993}`, 0},
		{"the README's body", path, jsonType, `{"channel":"a","args":{"content":"hello"}}`, 201, `"a" json "hello"`, 0},
		{"both", path, jsonType, `{"channel":"a","args":{"content":1},"content":2}`, 201, `"a" json 2`, 0},
		{"content null and args", path, jsonType, `{"channel":"a","content":null,"args":{"content":1}}`, 201, `"a" json null`, 0},
		{"no content", path, jsonType, `{"channel":"a"}`, 201, `"a" json null`, 0},
		{"args without content", path, jsonType, `{"channel":"a","args":{"x":1}}`, 201, `"a" json null`, 0},
		{"args no object", path, jsonType, `{"channel":"a","args":[1]}`, 201, `"a" json null`, 0},
		{"bytes", path, jsonType, `{"channel":"a","content":{"$binary":"/wA="}}`, 201, `"a" binary /wA=`, 0},
		{"not trimmed", path, jsonType, `{"channel":" a\t","content":1}`, 201, `" a\t" json 1`, 0},
		{"white space around", path, jsonType, " \n{\"channel\":\"a\",\"content\": 1 }\n", 201, `"a" json 1`, 0},
		{"letter case, last counts", path, jsonType, `{"Channel":"a","CONTENT":1,"channel":"b","content":2}`, 201, `"b" json 2`, 0},
		{"more of the query", "/broadcast?x=1&key=s3cret&key=other", jsonType, `{"channel":"a"}`, 201, `"a" json null`, 0},

		{"empty body", path, jsonType, "", 201, "", core.ReasonMalformed},
		{"empty channel", path, jsonType, `{"channel":"","content":1}`, 201, "", core.ReasonMalformed},

		{"wrong key", "/broadcast?key=s3creT", jsonType, `{"channel":"a"}`, 403, "", core.ReasonDenied},
		{"longer key", "/broadcast?key=s3cret1", jsonType, `{"channel":"a"}`, 403, "", core.ReasonDenied},
		{"no key", "/broadcast", jsonType, `{"channel":"a"}`, 403, "", core.ReasonDenied},
		{"empty key", "/broadcast?key=", jsonType, `{"channel":"a"}`, 403, "", core.ReasonDenied},
		{"second key", "/broadcast?key=other&key=s3cret", jsonType, `{"channel":"a"}`, 403, "", core.ReasonDenied},
		{"key before content type", "/broadcast?key=x", "text/plain", long, 403, "", core.ReasonDenied},

		{"no content type", path, "", `{"channel":"a"}`, 415, "", core.ReasonMalformed},
		{"parameters", path, "application/json; charset=utf-8", `{"channel":"a"}`, 415, "", core.ReasonMalformed},
		{"form", path, "application/x-www-form-urlencoded", `channel=a`, 415, "", core.ReasonMalformed},
		{"content type before body", path, "text/plain", `{`, 415, "", core.ReasonMalformed},
		{"other letter case", path, "Application/JSON", `{"channel":"a"}`, 400, "", core.ReasonMalformed},

		{"no JSON", path, jsonType, `{"channel":"a"`, 400, "", core.ReasonMalformed},
		{"blank", path, jsonType, " ", 400, "", core.ReasonMalformed},
		{"two values", path, jsonType, `{"channel":"a"}{}`, 400, "", core.ReasonMalformed},
		{"no object", path, jsonType, `["a"]`, 400, "", core.ReasonMalformed},
		{"null", path, jsonType, `null`, 400, "", core.ReasonMalformed},
		{"no channel", path, jsonType, `{"content":1}`, 400, "", core.ReasonMalformed},
		{"channel no string", path, jsonType, `{"channel":7,"content":1}`, 400, "", core.ReasonMalformed},
		{"channel null", path, jsonType, `{"channel":null}`, 400, "", core.ReasonMalformed},
		{"no UTF-8", path, jsonType, "{\"channel\":\"a\",\"content\":\"\xff\"}", 400, "", core.ReasonInvalidUTF8},
		{"too large", path, jsonType, long, 413, "", core.ReasonTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := s.stats.Refused[c.reason].Load()
			// A reader of no known type makes the body chunked; an empty one stays empty.
			for _, body := range []io.Reader{strings.NewReader(c.body), io.MultiReader(strings.NewReader(c.body))} {
				res, text := request(t, "POST", s.URL+c.target, c.contentType, body)
				if res.StatusCode != c.status || text != "" {
					t.Errorf("%d %q, want %d and no body", res.StatusCode, text, c.status)
				}
				if got := s.taken(); got != c.published {
					t.Errorf("published %s, want %s", got, c.published)
				}
			}
			if got := s.stats.Refused[c.reason].Load() - before; c.reason != core.ReasonNormal && got != 2 {
				t.Errorf("%d counted as %s, want 2", got, c.reason)
			}
		})
	}
	if n := s.stats.Refused[core.ReasonNormal].Load(); n != 0 {
		t.Errorf("%d refusals without a reason", n)
	}
}

// The limit counts bytes exactly.
func TestBroadcastLimit(t *testing.T) {
	body := `{"channel":"a"}`
	for max, want := range map[int]int{len(body): 201, len(body) - 1: 413} {
		s := newHTTPServer(t, newFormat(t, max, nil))
		if res, _ := request(t, "POST", s.URL+"/broadcast", jsonType, strings.NewReader(body)); res.StatusCode != want {
			t.Errorf("limit %d: %d, want %d", max, res.StatusCode, want)
		}
	}
}

func TestBroadcastWithoutKey(t *testing.T) {
	s := newHTTPServer(t, newFormat(t, 0, nil))
	for target, want := range map[string]int{"/broadcast": 201, "/broadcast?key=": 201, "/broadcast?key=x": 403} {
		if res, _ := request(t, "POST", s.URL+target, jsonType, strings.NewReader(`{"channel":"a"}`)); res.StatusCode != want {
			t.Errorf("%s: %d, want %d", target, res.StatusCode, want)
		}
	}
}

func TestBroadcastRefused(t *testing.T) {
	for code, want := range map[core.Code]int{
		core.NotOwner: 403, core.Denied: 403, core.Invalid: 403, core.Overloaded: 503, core.Shutdown: 503,
	} {
		s := newHTTPServer(t, newFormat(t, 0, nil))
		s.answer = core.Failure{Code: code, Text: "not to be told"}
		res, text := request(t, "POST", s.URL+"/broadcast", jsonType, strings.NewReader(`{"channel":"a"}`))
		if res.StatusCode != want || text != "" {
			t.Errorf("%s: %d %q, want %d", code, res.StatusCode, text, want)
		}
	}
}

func TestOtherRequests(t *testing.T) {
	s := newHTTPServer(t, newFormat(t, 0, func(o *Options) { o.BroadcastPath = "/publish" }))
	for _, c := range []struct {
		method, target string
		status         int
		body           string
	}{
		{"GET", "/publish", 405, "{\"message\":\"Method Not Allowed\"}\n"},
		{"PUT", "/publish?key=", 405, "{\"message\":\"Method Not Allowed\"}\n"},
		{"HEAD", "/publish", 405, ""},
		{"GET", "/", 404, "{\"message\":\"Not Found\"}\n"},
		{"POST", "/broadcast", 404, "{\"message\":\"Not Found\"}\n"},
		{"POST", "/publish/", 404, "{\"message\":\"Not Found\"}\n"},
		{"DELETE", "/publish/x", 404, "{\"message\":\"Not Found\"}\n"},
	} {
		t.Run(c.method+c.target, func(t *testing.T) {
			before := s.stats.Rejected[core.ReasonHandshake].Load()
			res, text := request(t, c.method, s.URL+c.target, jsonType, nil)
			if res.StatusCode != c.status || text != c.body || res.Header.Get("Content-Type") != jsonType {
				t.Errorf("%d %q %q, want %d %q", res.StatusCode, text, res.Header.Get("Content-Type"), c.status, c.body)
			}
			if allow := res.Header.Get("Allow"); (allow == "OPTIONS, POST") != (c.status == 405) {
				t.Errorf("Allow: %q", allow)
			}
			if got := s.stats.Rejected[core.ReasonHandshake].Load() - before; got != 1 {
				t.Errorf("%d counted, want 1", got)
			}
		})
	}
	if got := s.taken(); got != "" {
		t.Errorf("published %s", got)
	}
}

// Without a path there is no HTTP publishing, not even at the empty path.
func TestNoBroadcastPath(t *testing.T) {
	h := newFormat(t, 0, func(o *Options) { o.BroadcastPath = "" }).Handler(nil, new(core.Stats))
	r := httptest.NewRequest("POST", "/", strings.NewReader(`{"channel":"a"}`))
	r.URL.Path = ""
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 404 {
		t.Errorf("%d, want 404", w.Code)
	}
}

func TestCORS(t *testing.T) {
	s := newHTTPServer(t, newFormat(t, 0, nil))
	for _, c := range []struct {
		method, target, origin string
		status                 int
		allow                  string
	}{
		{"POST", "/broadcast", "https://a.example", 201, "*"},
		{"POST", "/broadcast", "", 201, ""},
		{"POST", "/broadcast?key=x", "null", 403, "*"},
		{"GET", "/broadcast", "https://a.example", 405, "*"},
		{"GET", "/other", "https://a.example", 404, "*"},
		{"GET", "/other", "", 404, ""},
	} {
		header := []string{}
		if c.origin != "" {
			header = append(header, "Origin", c.origin)
		}
		res, _ := request(t, c.method, s.URL+c.target, jsonType, strings.NewReader(""), header...)
		if got := res.Header.Get("Access-Control-Allow-Origin"); res.StatusCode != c.status || got != c.allow {
			t.Errorf("%s %s from %q: %d %q, want %d %q", c.method, c.target, c.origin, res.StatusCode, got, c.status, c.allow)
		}
	}
}

func TestPreflight(t *testing.T) {
	s := newHTTPServer(t, newFormat(t, 0, func(o *Options) { o.BroadcastingKey = "s3cret" }))
	for _, c := range []struct {
		name   string
		target string
		header []string
		want   map[string]string
	}{
		{
			"with headers", "/broadcast",
			[]string{"Origin", "https://a.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type,x-a"},
			map[string]string{
				"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "GET,HEAD,PUT,PATCH,POST,DELETE",
				"Access-Control-Allow-Headers": "content-type,x-a",
			},
		},
		{
			"without headers", "/ws",
			[]string{"Origin", "https://a.example"},
			map[string]string{
				"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "GET,HEAD,PUT,PATCH,POST,DELETE",
				"Access-Control-Allow-Headers": "",
			},
		},
		{
			"no origin", "/other", nil,
			map[string]string{"Access-Control-Allow-Origin": "", "Access-Control-Allow-Methods": "", "Access-Control-Allow-Headers": ""},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, text := request(t, "OPTIONS", s.URL+c.target, "", nil, c.header...)
			if res.StatusCode != 204 || text != "" {
				t.Errorf("%d %q, want 204", res.StatusCode, text)
			}
			for name, want := range c.want {
				if got := res.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

// A client that leaves in the middle of its body publishes nothing.
func TestBroadcastCutShort(t *testing.T) {
	f := newFormat(t, 0, nil)
	var stats core.Stats
	h := f.Handler(publishFunc(func([]byte, core.Payload) core.Failure {
		t.Error("half a body was published")
		return core.Failure{}
	}), &stats)
	r := httptest.NewRequest("POST", "/broadcast", io.MultiReader(strings.NewReader(`{"channel":"a"}`), brokenReader{}))
	r.Header.Set("Content-Type", jsonType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 400 || stats.Refused[core.ReasonLost].Load() != 1 {
		t.Errorf("%d, %d counted", w.Code, stats.Refused[core.ReasonLost].Load())
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
