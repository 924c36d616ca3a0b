package admin_test

import (
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/polywire/polywire/internal/admin"
)

// The files of the page are for everybody, small, and may load nothing from elsewhere.
func TestPage(t *testing.T) {
	src := whole()
	src.Access = always(guarded())
	s := serve(t, "tcp", "127.0.0.1:0", src, slog.New(slog.DiscardHandler))
	size := 0
	for _, file := range []struct{ path, kind string }{
		{"/", "text/html; charset=utf-8"}, {"/page/page.js", "text/javascript; charset=utf-8"}, {"/page/page.css", "text/css; charset=utf-8"},
	} {
		get := func(encoding, etag string) (*http.Response, []byte) {
			t.Helper()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr().String()+file.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Accept-Encoding", encoding)
			request.Header.Set("If-None-Match", etag)
			request.Header.Set("Sec-Fetch-Site", "none")
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			return response, body
		}
		plain, whole := get("identity", "")
		size += len(whole)
		for name, want := range map[string]string{
			"Content-Type": file.kind, "X-Content-Type-Options": "nosniff", "Content-Encoding": "",
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		} {
			if got := plain.Header.Get(name); plain.StatusCode != 200 || got != want {
				t.Errorf("%s: %d, %s is %q", file.path, plain.StatusCode, name, got)
			}
		}
		squeezed, body := get("gzip", "")
		r, err := gzip.NewReader(strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != string(whole) || squeezed.Header.Get("ETag") == plain.Header.Get("ETag") {
			t.Errorf("%s: compressed it is another one: %v", file.path, err)
		}
		if again, body := get("gzip", squeezed.Header.Get("ETag")); again.StatusCode != 304 || len(body) != 0 {
			t.Errorf("%s: who has it gets %d and %d bytes", file.path, again.StatusCode, len(body))
		}
	}
	if size == 0 || size > 200<<10 {
		t.Errorf("the page has %d bytes", size)
	}
	for _, path := range []string{"/index.html", "/page/", "/page/package.json", "/page/src/main.js"} {
		if got, _ := asked(t, s.Addr(), "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); got != 404 {
			t.Errorf("%s: %d", path, got)
		}
	}
}

// The page of the server itself may ask, with the roles of its reader, and no other page.
func TestOwnPage(t *testing.T) {
	src := whole()
	free := serve(t, "tcp", "127.0.0.1:0", src, slog.New(slog.DiscardHandler))
	src.Hosts = []string{"*"}
	anyName := serve(t, "tcp", "127.0.0.1:0", src, slog.New(slog.DiscardHandler))
	src.Hosts = []string{"broker"}
	src.Access = always(guarded())
	kept := serve(t, "tcp", "127.0.0.1:0", src, slog.New(slog.DiscardHandler))
	backends := admin.NewForBackends(whole(), slog.New(slog.DiscardHandler))
	startAt(t, backends)
	const own, read = "X-Polywire: page\r\n", "Authorization: Bearer r3ad\r\n"
	for _, one := range []struct {
		name, host, fields string
		at                 *admin.Server
		want               int
	}{
		{"the page", "localhost:1", own + "Origin: http://localhost:1\r\nSec-Fetch-Site: same-origin\r\n", free, 404},
		{"the page behind TLS", "localhost:1", own + "Origin: https://localhost:1\r\n", free, 404},
		{"a page that does not say so", "localhost:1", "Origin: http://localhost:1\r\nSec-Fetch-Site: same-origin\r\n", free, 403},
		{"another port", "localhost:1", own + "Origin: http://localhost:2\r\n", free, 403},
		{"another host", "localhost:1", own + "Origin: http://evil.example\r\n", free, 403},
		{"two origins", "localhost:1", own + "Origin: http://localhost:1\r\nOrigin: http://evil.example\r\n", free, 403},
		{"a page without an origin", "localhost:1", own + "Origin: null\r\n", free, 403},
		{"the same site", "localhost:1", own + "Sec-Fetch-Site: same-site\r\n", free, 403},
		{"another site", "localhost:1", own + "Sec-Fetch-Site: cross-site\r\n", free, 403},
		{"a name that somebody points here", "evil.example", own + "Origin: http://evil.example\r\nSec-Fetch-Site: same-origin\r\n", anyName, 403},
		{"the page at any name", "localhost", own + "Origin: http://localhost\r\n", anyName, 404},
		{"nobody who is known", "broker", own + "Origin: http://broker\r\n", kept, 401},
		{"a reader", "broker", own + read + "Origin: http://broker\r\n", kept, 403},
		{"an operator", "broker", own + "Authorization: Bearer 0perate\r\nOrigin: http://broker\r\n", kept, 404},
	} {
		got, body := asked(t, one.at.Addr(), "DELETE /v1/connections/1 HTTP/1.1\r\nHost: "+one.host+"\r\n"+one.fields+"Connection: close\r\n\r\n")
		if got != one.want {
			t.Errorf("%s: %d %s, want %d", one.name, got, body, one.want)
		}
	}
	const sent = "POST /v1/publish?endpoint=one&topic=a HTTP/1.1\r\nHost: localhost\r\n" + own + "Origin: http://localhost\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1"
	if got, body := asked(t, backends.Addr(), sent); got != 403 {
		t.Errorf("the server for backends, which has no page: %d %s", got, body)
	}
	const tap = "GET /v1/tap?endpoint=two HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: http://localhost\r\n"
	if got, body := asked(t, free.Addr(), tap+own+"\r\n"); got != 409 {
		t.Errorf("a tap of the page: %d %s", got, body)
	}
	if got, body := asked(t, free.Addr(), tap+"\r\n"); got != 403 {
		t.Errorf("a tap of another page: %d %s", got, body)
	}
}

// startAt starts a server at a free port until the test ends.
func startAt(t *testing.T, s *admin.Server) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Start(ln)
	t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
}
