package admin_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/internal/admin"
	"github.com/polywire/polywire/internal/certs/certstest"
)

// credentials knows who shows X-User, as an authenticator of endpoints would.
type credentials struct{}

var errExpired = errors.New("the credential has expired")

func (credentials) Authenticate(_ context.Context, h core.Handshake) (*core.Identity, core.Verdict, error) {
	switch user := h.Header.Get("X-User"); {
	case h.Query != nil:
		return nil, core.Deny, errors.New("the query is shown")
	case user == "expired":
		return nil, core.Deny, errExpired
	case user == "later":
		return nil, core.Unavailable, errors.New("no answer")
	case user != "":
		return &core.Identity{Subject: user, Method: "test", Expires: time.Now().Add(time.Hour)}, core.Allow, nil
	}
	return nil, core.Deny, core.ErrNoCredential
}

func (credentials) Challenges() []string { return []string{"Basic"} }

// guarded are some who may do this and that.
func guarded() admin.Access {
	digest := func(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }
	return admin.Access{
		Tokens: []admin.Token{
			{Digest: digest("r3ad"), Subject: "reader", Role: admin.Read},
			{Digest: digest("publ1sh"), Subject: "backend", Role: admin.Publish},
			{Digest: digest("0perate"), Subject: "operator", Role: admin.Operate},
			{Digest: digest("n0ne"), Subject: "nobody special"},
		},
		Authenticator: credentials{},
		Roles: func(id *core.Identity) admin.Role {
			if id.Subject == "ann" {
				return admin.Operate
			}
			return 0
		},
	}
}

// whole is a source that does everything.
func whole() admin.Source {
	src, _ := tappable()
	src.Reload = func(bool) (any, error) { return "done", nil }
	src.Connections = nobody{}
	src.Closed = func() []core.ClosedConnection { return nil }
	src.Publish = func(string, string, core.Payload) error { return nil }
	src.Call = func(context.Context, string, string, core.Payload) (core.Payload, error) {
		return core.Payload{Kind: core.Text, Data: []byte("hi")}, nil
	}
	return src
}

// operations are requests, and of which roles one is needed.
var operations = []struct {
	request string
	need    admin.Role
	done    int // the status for who may
}{
	{"GET /metrics", admin.Read, 200},
	{"GET /v1/openapi.yaml", admin.Read | admin.Publish, 200},
	{"GET /v1/connections", admin.Read, 200},
	{"GET /v1/connections/closed", admin.Read, 200},
	{"DELETE /v1/connections/1", admin.Operate, 404},
	{"POST /v1/publish?endpoint=one&topic=a", admin.Publish, 200},
	{"POST /v1/call/a?endpoint=one", admin.Publish, 200},
	{"GET /v1/tap?endpoint=two", admin.Operate, 409},
	{"GET /v1/live?x", admin.Read, 400},
	{"GET /v1/matrix", admin.Read, 200},
	{"POST /reload", admin.Operate, 200},
}

// Who has a role may do what it is for, and nothing else; who operates may do all.
func TestRoles(t *testing.T) {
	src := whole()
	src.Access = always(guarded())
	s := serve(t, "tcp", "127.0.0.1:0", src, slog.New(slog.DiscardHandler))
	for _, who := range []struct {
		name, fields string
		role         admin.Role
		refused      int
	}{
		{"a reader", "Authorization: Bearer r3ad\r\n", admin.Read, 403},
		{"a backend", "Authorization: bearer  publ1sh\r\n", admin.Publish, 403},
		{"an operator", "Authorization: Bearer 0perate\r\n", admin.Read | admin.Publish | admin.Operate, 403},
		{"somebody without a role", "Authorization: Bearer n0ne\r\n", 0, 403},
		{"somebody of the authenticator", "X-User: ann\r\n", admin.Read | admin.Publish | admin.Operate, 403},
		{"another one, without a role", "X-User: bob\r\n", 0, 403},
		{"somebody who is known later", "X-User: later\r\n", 0, 503},
		{"nobody", "", 0, 401},
	} {
		for _, op := range operations {
			want := who.refused
			if who.role&op.need != 0 {
				want = op.done
			}
			got, body := asked(t, s.Addr(), op.request+" HTTP/1.1\r\nHost: localhost\r\n"+who.fields+"Connection: close\r\n\r\n")
			if got != want {
				t.Errorf("%s: %s is answered %d %s, want %d", who.name, op.request, got, body, want)
			}
		}
		for _, open := range []string{"GET /livez", "GET /readyz"} {
			if got, _ := asked(t, s.Addr(), open+" HTTP/1.1\r\nHost: localhost\r\n"+who.fields+"Connection: close\r\n\r\n"); got != 200 && got != 503 {
				t.Errorf("%s: %s is answered %d", who.name, open, got)
			}
		}
	}
}

// What is refused says what is missing, and nothing of what was shown.
func TestRefusedRequestsSayWhy(t *testing.T) {
	src := whole()
	src.Access = always(guarded())
	s := serve(t, "tcp", "127.0.0.1:0", src, slog.New(slog.DiscardHandler))
	for fields, want := range map[string]string{
		"":                                "to end connections needs a credential of admin.tokens or admin.auth: Authorization: Bearer TOKEN",
		"Authorization: Bearer wr0ng\r\n": "to end connections needs a credential of admin.tokens or admin.auth: Authorization: Bearer TOKEN",
		"Authorization: Bearer r3ad\r\n":  `\"reader\" may not end connections: the role is read, and must be operate; see admin.allow and admin.tokens`,
		"X-User: later\r\n":               `"code":"unavailable"`,
		"Origin: http://localhost\r\nAuthorization: Bearer 0perate\r\n": "web pages may not end connections",
	} {
		_, body := asked(t, s.Addr(), "DELETE /v1/connections/1 HTTP/1.1\r\nHost: localhost\r\n"+fields+"Connection: close\r\n\r\n")
		if !strings.Contains(body, want) || strings.Contains(body, "wr0ng") {
			t.Errorf("with %q: %s", fields, body)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr().String()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if got := response.Header.Values("WWW-Authenticate"); response.StatusCode != 401 || fmt.Sprint(got) != "[Bearer Basic]" {
		t.Errorf("%d %q", response.StatusCode, got)
	}
}

// A token counts in its header only.
func TestTokensInWrongPlaces(t *testing.T) {
	src := whole()
	src.Access = always(guarded())
	var log bytes.Buffer
	handler := logging.New(slog.NewTextHandler(&log, nil))
	s := serve(t, "tcp", "127.0.0.1:0", src, slog.New(handler))
	for _, one := range []struct {
		request, fields string
		want            int
	}{
		{"GET /v1/connections?token=0perate", "", 401},
		{"GET /v1/connections?access_token=0perate", "", 401},
		{"GET /metrics?token=0perate", "", 401},
		{"POST /reload?token=0perate", "", 401},
		{"GET /v1/connections?token=0perate", "Authorization: Bearer 0perate\r\n", 400},
		{"GET /v1/connections", "Cookie: token=0perate\r\n", 401},
		{"GET /v1/connections", "Authorization: 0perate\r\n", 401},
		{"GET /v1/connections", "Authorization: Basic 0perate\r\n", 401},
		{"GET /v1/connections", "Authorization: Bearer\r\n", 401},
		{"GET /v1/connections", "Authorization: Bearer 0perate\r\nAuthorization: Bearer wr0ng\r\n", 401},
	} {
		if got, body := asked(t, s.Addr(), one.request+" HTTP/1.1\r\nHost: localhost\r\n"+one.fields+"Connection: close\r\n\r\n"); got != one.want {
			t.Errorf("%s with %q: %d %s, want %d", one.request, one.fields, got, body, one.want)
		}
	}
	handler.Flush(time.Minute)
	if strings.Contains(log.String(), "0perate") {
		t.Errorf("the log shows a token: %s", &log)
	}
}

// A page of another site cannot change anything, in old browsers either: it cannot send what a program can.
func TestPagesChangeNothing(t *testing.T) {
	src := whole()
	free := serve(t, "tcp", "127.0.0.1:0", src, slog.New(slog.DiscardHandler))
	src.Access = always(guarded())
	kept := serve(t, "tcp", "127.0.0.1:0", src, slog.New(slog.DiscardHandler))
	const (
		browser = "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
		curl    = "User-Agent: curl/8.5.0\r\nAccept: */*\r\n"
		form    = "Content-Type: application/x-www-form-urlencoded\r\n"
		plain   = "Content-Type: text/plain\r\n"
		upload  = "Content-Type: multipart/form-data; boundary=x\r\n"
		json    = "Content-Type: application/json\r\n"
		ann     = "X-User: ann\r\n" // what a browser shows by itself, such as a certificate or a password
		token   = "Authorization: Bearer 0perate\r\n"
	)
	for _, one := range []struct {
		name   string
		at     *admin.Server
		fields string
		want   int
	}{
		{"curl -d", free, curl + form, 200},
		{"a program that says nothing of itself", free, "", 200},
		{"a program with text", free, curl + plain, 200},
		{"a page", free, browser + json + "Origin: http://evil.example\r\n", 403},
		{"a page without an origin", free, browser + form + "Origin: null\r\n", 403},
		{"a page that says X-Polywire", free, browser + json + "X-Polywire: 1\r\nOrigin: http://localhost\r\n", 403},
		{"the site of a request", free, browser + form + "Sec-Fetch-Site: cross-site\r\n", 403},
		{"the same site", free, browser + form + "Sec-Fetch-Site: same-origin\r\n", 403},
		{"a form of an old browser", free, browser + form, 403},
		{"a form with text", free, browser + plain, 403},
		{"a form with odd text", free, browser + "Content-Type: text/plain; charset=\"\r\n", 403},
		{"a form with a file", free, browser + upload, 403},
		{"a form without a type", free, browser, 403},
		{"a form of a browser that hides", free, "Referer: http://evil.example/\r\n" + form, 403},
		{"another one", free, "Accept-Language: en\r\n" + plain, 403},
		{"a form with a cookie", free, "Cookie: a=b\r\n" + form, 403},
		{"a browser's program", free, browser + form + "X-Polywire: 1\r\n", 200},
		{"a browser's program with JSON", free, browser + json, 200},
		{"a form of who is known", kept, browser + form + ann, 403},
		{"a program of who is known", kept, curl + form + ann, 200},
		{"a program with a token", kept, browser + form + token, 200},
		{"a page with a token", kept, browser + form + token + "Origin: http://localhost\r\n", 403},
	} {
		for _, op := range operations {
			if !strings.HasPrefix(op.request, "POST ") || strings.Contains(op.request, "reload") && one.want == 200 {
				continue
			}
			got, body := asked(t, one.at.Addr(), op.request+" HTTP/1.1\r\nHost: localhost\r\n"+one.fields+"Content-Length: 1\r\nConnection: close\r\n\r\n1")
			if strings.Contains(one.fields, "json") && got == 400 {
				got = 200 // it is admitted
			}
			if got != one.want {
				t.Errorf("%s: %s is answered %d %s, want %d", one.name, op.request, got, body, one.want)
			}
		}
	}
}

// Each change has a line that says who has made it, and so has each refusal.
func TestAudit(t *testing.T) {
	src := whole()
	src.Access = always(guarded())
	var log bytes.Buffer
	handler := logging.New(slog.NewTextHandler(&log, nil))
	s := serve(t, "tcp", "127.0.0.1:0", src, slog.New(handler))
	ask := func(request, fields string) string {
		t.Helper()
		log.Reset()
		asked(t, s.Addr(), request+" HTTP/1.1\r\nHost: localhost\r\n"+fields+"Connection: close\r\n\r\n")
		handler.Flush(time.Minute)
		return regexp.MustCompile(`time=\S+ |127\.0\.0\.1:\d+`).ReplaceAllString(log.String(), "")
	}
	const operator, reader, backend = "Authorization: Bearer 0perate\r\n", "Authorization: Bearer r3ad\r\n", "Authorization: Bearer publ1sh\r\n"
	for _, one := range []struct{ request, fields, want string }{
		{"DELETE /v1/connections/7?reason=slow", operator, `level=INFO msg=admin who=operator action="end connections" remote= role=operate object=/v1/connections/7 outcome=failed why="there is no connection 7; it may have ended"` + "\n"},
		{"POST /reload?dry_run=1", operator, `level=INFO msg=admin who=operator action="reload the configuration" remote= role=operate object="/reload?dry_run=1" outcome=done` + "\n"},
		{"POST /v1/publish?endpoint=one&topic=a", backend, `level=INFO msg=admin action=publish who=backend remote= role=publish object="/v1/publish?endpoint=one&topic=a" outcome=done` + "\n"},
		{"POST /v1/call/a?endpoint=one", "X-User: ann\r\n", `level=INFO msg=admin action="call services" who=ann remote= role=operate object="/v1/call/a?endpoint=one" outcome=done` + "\n"},
		{"GET /v1/connections", reader, ""},
		{"GET /metrics", reader, ""},
		{"DELETE /v1/connections/7?reason=slow", reader, `level=INFO msg=admin reason=role who=reader remote= role=read action="end connections" object=/v1/connections/7 outcome=refused` + "\n"},
		{"GET /v1/connections", "Authorization: Bearer wr0ng\r\n", `level=INFO msg=admin reason=credential who=nobody remote= role=none action="look at connections" object=/v1/connections outcome=refused why="unknown token"` + "\n"},
		{"GET /v1/connections", "X-User: expired\r\n", `level=INFO msg=admin reason=credential who=nobody remote= role=none action="look at connections" object=/v1/connections outcome=refused why="the credential has expired"` + "\n"},
		{"POST /reload", "Origin: http://evil.example\r\n", `level=INFO msg=admin reason=page who=nobody remote= role=none action="reload the configuration" object=/reload outcome=refused` + "\n"},
	} {
		if got := ask(one.request, one.fields); got != one.want {
			t.Errorf("%s with %q is logged as\n%swant\n%s", one.request, one.fields, got, one.want)
		}
	}
	// Of refusals, and of what is published, one stands for those that follow.
	many := func(request, fields string) string {
		log.Reset()
		for range 5 {
			asked(t, s.Addr(), request+" HTTP/1.1\r\nHost: localhost\r\n"+fields+"Connection: close\r\n\r\n")
		}
		handler.Flush(time.Minute) // which tells what was left out
		return log.String()
	}
	if got := many("POST /v1/publish?endpoint=one&topic=a", backend); strings.Count(got, "msg=admin") != 2 || !strings.Contains(got, "left_out=") {
		t.Errorf("of five publishes is logged\n%s", got)
	}
	if got := many("POST /reload", reader); strings.Count(got, "msg=admin") != 2 || !strings.Contains(got, "left_out=") {
		t.Errorf("of five refusals is logged\n%s", got)
	}
}

// On this machine, where nobody has to say who he is, changes have lines too.
func TestAuditOfThisMachine(t *testing.T) {
	src := whole()
	var log bytes.Buffer
	handler := logging.New(slog.NewTextHandler(&log, nil))
	s := serve(t, "tcp", "127.0.0.1:0", src, slog.New(handler))
	asked(t, s.Addr(), "POST /reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	handler.Flush(time.Minute)
	if !strings.Contains(log.String(), `msg=admin who="this machine" action="reload the configuration"`) {
		t.Errorf("the log is %s", &log)
	}
}

// The metrics say why requests were refused.
func TestRefusalsAreCounted(t *testing.T) {
	src := whole()
	src.Access = always(guarded())
	s := serve(t, "tcp", "127.0.0.1:0", src, slog.New(slog.DiscardHandler))
	ask := func(host, fields string) string {
		t.Helper()
		_, body := asked(t, s.Addr(), "DELETE /v1/connections/1 HTTP/1.1\r\nHost: "+host+"\r\n"+fields+"Connection: close\r\n\r\n")
		return body
	}
	ask("evil.example", "")
	ask("localhost", "Origin: http://localhost\r\n")
	ask("localhost", "")
	ask("localhost", "Authorization: Bearer r3ad\r\n")
	ask("localhost", "X-User: later\r\n")
	for range 12 {
		ask("localhost", "X-User: expired\r\n")
	}
	if status, body := asked(t, far(t, src).Addr(), "GET /v1/tap?endpoint=two HTTP/1.1\r\nHost: localhost\r\nX-User: ann\r\nConnection: close\r\n\r\n"); status != 403 || !strings.Contains(body, "needs TLS") {
		t.Errorf("a tap from elsewhere: %d %s", status, body)
	}
	page := scrape(t, s, "X-User: ann\r\n")
	for reason, want := range map[string]string{
		"host": "1", "page": "1", "no_credential": "1", "credential": "10", "rate": "2", "role": "1", "unavailable": "1", "elsewhere": "0",
	} {
		if line := fmt.Sprintf("polywire_admin_requests_refused_total{reason=%q} %s\n", reason, want); !strings.Contains(page, line) {
			t.Errorf("%s is missing in %s", line, regexp.MustCompile(`(?m)^polywire_admin.*\n`).FindAllString(page, -1))
		}
	}
}

// scrape returns the metrics by another address, whose credentials were all good.
func scrape(t *testing.T, s *admin.Server, fields string) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 77)}}).DialContext,
	}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr().String()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	name, value, _ := strings.Cut(strings.TrimSpace(fields), ": ")
	request.Header.Set(name, value)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var page bytes.Buffer
	if _, err := page.ReadFrom(response.Body); err != nil || response.StatusCode != 200 {
		t.Fatalf("%d %s, %v", response.StatusCode, &page, err)
	}
	return page.String()
}

// far is a server whose clients seem to be on another machine.
func far(t *testing.T, src admin.Source) *admin.Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := admin.New(src, slog.New(slog.DiscardHandler))
	s.Start(elsewhere{ln})
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Who guesses is not looked at for a while, at that address: not with the right token either.
func TestGuessing(t *testing.T) {
	src := whole()
	src.Access = always(guarded())
	s := serve(t, "tcp", "127.0.0.1:0", src, slog.New(slog.DiscardHandler))
	ask := func(fields string) int {
		t.Helper()
		status, _ := asked(t, s.Addr(), "GET /v1/connections HTTP/1.1\r\nHost: localhost\r\n"+fields+"Connection: close\r\n\r\n")
		return status
	}
	for range 100 {
		if got := ask(""); got != 401 {
			t.Fatalf("without a credential: %d", got)
		}
	}
	for i := range 10 {
		if got := ask("X-User: expired\r\n"); got != 401 {
			t.Fatalf("guess %d: %d", i, got)
		}
	}
	if got := ask("X-User: expired\r\n"); got != 429 {
		t.Errorf("another guess: %d", got)
	}
	if got := ask("Authorization: Bearer 0perate\r\n"); got != 429 {
		t.Errorf("the right token: %d", got)
	}
	if page := scrape(t, s, "Authorization: Bearer r3ad"); page == "" {
		t.Error("another address has no metrics")
	}
}

// The account of an address is bounded, is empty again after a while, and is that of its network with IPv6.
func TestGuessesAreBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	g := admin.NewGuesses(func() time.Time { return now })
	from := func(remote string) *http.Request { return &http.Request{RemoteAddr: remote} }
	const a = "192.0.2.1:1"
	for range 1000 {
		g.Wrong(from(a))
	}
	if got := g.Wait(from("192.0.2.1:2")); got != 5*time.Second {
		t.Errorf("it waits %v", got)
	}
	if got := g.Wait(from("[::ffff:192.0.2.1]:2")); got != 5*time.Second {
		t.Errorf("the same address written as IPv6 waits %v", got)
	}
	if got := g.Wait(from("192.0.2.2:1")); got != 0 {
		t.Errorf("another address waits %v", got)
	}
	now = now.Add(5 * time.Second)
	if got := g.Wait(from(a)); got != 0 {
		t.Errorf("after that it waits %v", got)
	}
	g.Wrong(from(a))
	if got := g.Wait(from(a)); got != 5*time.Second {
		t.Errorf("after one more it waits %v", got)
	}
	now = now.Add(time.Hour)
	for range 9 {
		g.Wrong(from(a))
	}
	if got := g.Wait(from(a)); got != 0 {
		t.Errorf("after an hour and nine it waits %v", got)
	}
	for range 10 {
		g.Wrong(from("[2001:db8::1]:1"))
	}
	if got := g.Wait(from("[2001:db8::ffff]:9")); got == 0 {
		t.Error("another address of the network does not wait")
	}
	if got := g.Wait(from("[2001:db8:0:1::1]:9")); got != 0 {
		t.Error("another network waits")
	}
	for i := range 10000 {
		g.Wrong(from(fmt.Sprintf("10.0.%d.%d:1", i/256, i%256)))
	}
	if n := g.Len(); n > 4096 {
		t.Errorf("%d addresses are remembered", n)
	}
	for range 10 {
		g.Wrong(from("@")) // a Unix socket
	}
	if got := g.Wait(from("@")); got == 0 {
		t.Error("at a Unix socket nobody waits")
	}
}

// Where the configuration says who operates, they tap from elsewhere too, over TLS; the tap ends with their credential.
func TestTapsOfOperators(t *testing.T) {
	src, taps := tappable()
	access := guarded()
	var expires atomic.Pointer[time.Time]
	access.Authenticator = identified(func() *core.Identity { return &core.Identity{Subject: "ann", Expires: *expires.Load()} })
	src.Access = always(access)
	ca := certstest.NewCA(t, "ca")
	src.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue(nil, "127.0.0.1")}}
	s := far(t, src)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}}
	ask := func(fields string) *http.Response {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.Addr().String()+"/v1/tap?endpoint=one", nil)
		if err != nil {
			t.Fatal(err)
		}
		name, value, _ := strings.Cut(fields, ": ")
		request.Header.Set(name, value)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = response.Body.Close() })
		return response
	}
	soon := time.Now().Add(time.Hour)
	expires.Store(&soon)
	if got := ask("Authorization: Bearer r3ad"); got.StatusCode != 403 {
		t.Errorf("a reader taps: %d", got.StatusCode)
	}
	if got := ask("Authorization: Bearer 0perate"); got.StatusCode != 200 {
		t.Errorf("an operator: %d", got.StatusCode)
	}
	coretest.Receive(t, "the tap", taps)
	sooner := time.Now().Add(200 * time.Millisecond)
	expires.Store(&sooner)
	response := ask("X-User: ann")
	if response.StatusCode != 200 {
		t.Fatalf("somebody of the authenticator: %d", response.StatusCode)
	}
	tap := coretest.Receive(t, "the tap", taps)
	coretest.Receive(t, "the end of the tap", tap.closed)
	var told bytes.Buffer
	if _, err := told.ReadFrom(response.Body); err != nil || !strings.Contains(told.String(), "has expired") {
		t.Errorf("%s, %v", &told, err)
	}
}

// identified is an authenticator that knows everybody as the same one.
type identified func() *core.Identity

func (f identified) Authenticate(context.Context, core.Handshake) (*core.Identity, core.Verdict, error) {
	return f(), core.Allow, nil
}

// The server for backends publishes and calls, for those who may, and has nothing else.
func TestForBackends(t *testing.T) {
	src := whole()
	src.Access = always(guarded())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := admin.NewForBackends(admin.Source{
		Publish: src.Publish, Call: src.Call, Endpoints: src.Endpoints, Bridges: src.Bridges, Access: src.Access,
	}, slog.New(slog.DiscardHandler))
	s.Start(ln)
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, op := range operations {
		has := op.need&admin.Publish != 0
		for fields, want := range map[string]int{
			"": 401, "Authorization: Bearer r3ad\r\n": 403, "Authorization: Bearer publ1sh\r\n": 200, "Authorization: Bearer 0perate\r\n": 200,
		} {
			if strings.Contains(op.request, "openapi") && strings.Contains(fields, "r3ad") {
				want = 200
			}
			if !has {
				want = 404
			}
			if got, body := asked(t, s.Addr(), op.request+" HTTP/1.1\r\nHost: localhost\r\n"+fields+"Connection: close\r\n\r\n"); got != want {
				t.Errorf("%s with %q: %d %s, want %d", op.request, fields, got, body, want)
			}
		}
	}
	for _, other := range []string{"GET /livez", "GET /readyz", "GET /", "GET /v1/publish"} {
		if got, _ := asked(t, s.Addr(), other+" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer 0perate\r\nConnection: close\r\n\r\n"); got != 404 && got != 405 {
			t.Errorf("%s: %d", other, got)
		}
	}
	if got, body := asked(t, s.Addr(), "POST /v1/publish?endpoint=one&topic=a HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"); got != 403 || !strings.Contains(body, "api.hosts") {
		t.Errorf("by another name: %d %s", got, body)
	}
}
