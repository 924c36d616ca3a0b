package polywire_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/certs/certstest"
)

// reload puts another configuration in force, which must be valid.
func (r *running) reload(t *testing.T, text string) polywire.Plan {
	t.Helper()
	plan, err := r.Reload(load(t, text))
	if err != nil {
		t.Fatal(err)
	}
	clear(r.urls)
	for _, ep := range r.Endpoints() {
		r.urls[ep.Name] = ep
	}
	return plan
}

// line formats a plan on one line.
func line(p polywire.Plan) string {
	var parts []string
	for _, ep := range p.Endpoints {
		parts = append(parts, ep.Name+" "+ep.String())
	}
	return fmt.Sprint(strings.Join(parts, "; "), " | ", strings.Join(p.Applied, " "), " | ", strings.Join(p.Restart, " "))
}

// endsWith reads until the server closes the connection with code.
func (c *client) endsWith(code ws.StatusCode) {
	c.t.Helper()
	for {
		_, err := wsutil.ReadServerText(c.rw)
		if closed, ok := errors.AsType[wsutil.ClosedError](err); ok {
			if closed.Code != code {
				c.t.Fatalf("closed with %d, want %d", closed.Code, code)
			}
			return
		}
		if err != nil {
			c.t.Fatalf("waiting for the end: %v", err)
		}
	}
}

// loopsPace is a goroutine of each loop, which is started for its first connection and stays.
const loopsPace = "github.com/polywire/polywire/core/network.(*loop).pace"

// eventually waits until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	coretest.Eventually(t, what, f)
}

func TestPlan(t *testing.T) {
	const a, b = `{name: a, protocol: wsify, listen: "127.0.0.1:0"}`, `{name: b, protocol: echo, listen: "127.0.0.1:0"}`
	file := func(endpoints, rest string) string {
		return "endpoints: [" + endpoints + "]\nadmin: {listen: ''}\n" + rest
	}
	r := run(t, file(a+","+b, ""))
	for range 2 {
		c := dial(t, r.urls["b"].URL)
		c.send("x")
		c.want("x")
	}
	change := func(from, to string) string { return strings.Replace(a+","+b, from, to, 1) }
	for _, c := range []struct{ name, text, want string }{
		{"nothing", file(a+","+b, ""), "a unchanged; b unchanged |  | "},
		{"order", file(b+","+a, ""), "b unchanged; a unchanged |  | "},
		{"live", file(change("b,", "b, limits: {connections: 9}, acl: {publish: []},"), ""), "a unchanged; b applied live (limits, acl) |  | "},
		{"path", file(change("b,", "b, path: /x,"), ""), "a unchanged; b needs 2 disconnects (path) |  | "},
		{"nobody is there", file(change("a,", "a, path: /x,"), ""), "a needs 0 disconnects (path); b unchanged |  | "},
		{"removed", file(a, ""), "a unchanged; b removed: 2 disconnects |  | "},
		{"added", file(a+","+b+",{name: c, protocol: vws, listen: ':0'}", ""), "a unchanged; b unchanged; c new |  | "},
		{"renamed", file(change("name: b", "name: c"), ""), "a unchanged; c new; b removed: 2 disconnects |  | "},
		{
			"elsewhere", file(a+","+b, "drain: {timeout: 1s}\nservices: [{match: e, builtin: echo}]\nlog: {level: debug, format: json}\nnetwork: {max_connections: 7, loops: 9}\n"),
			"a unchanged; b unchanged | services log.level network.max_connections drain.timeout | log.format network.loops",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := line(r.Plan(load(t, c.text))); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// A client of an unchanged endpoint keeps its connection and misses nothing while others are added,
// removed, changed and reopened, and their clients hear the goodbye.
func TestReloadLeavesOthersAlone(t *testing.T) {
	const stays = `{name: stays, protocol: wsify, listen: "127.0.0.1:0"}`
	file := func(others ...string) string {
		return "endpoints: [" + strings.Join(append([]string{stays}, others...), ",") + "]\nadmin: {listen: ''}\n"
	}
	other := `{name: other, protocol: wsify, listen: "127.0.0.1:0"}`
	moved := `{name: other, protocol: wsify, listen: "127.0.0.1:0", path: /new}`
	shared := fmt.Sprintf(`{name: shared, protocol: echo, listen: "127.0.0.1:%d", path: /shared}`, coretest.FreePort(t))
	sharing := strings.NewReplacer("name: shared, protocol: echo", "name: sharing, protocol: wsify", "/shared", "/sharing").Replace(shared)
	r := run(t, file(other, shared))
	hears := dial(t, r.urls["stays"].URL)
	hears.send(`{"command":"join","args":{"channel":"c"}}`)
	kept := dial(t, r.urls["shared"].URL)
	said := 0
	publishes := func() {
		t.Helper()
		said++
		if err := r.Publish("stays", "c", core.Payload{Kind: core.JSON, Data: fmt.Append(nil, said)}); err != nil {
			t.Fatal(err)
		}
	}
	hears.ping() // it has joined
	if err := hears.conn.SetDeadline(coretest.Deadline()); err != nil {
		t.Fatal(err)
	}
	old := dial(t, r.urls["other"].URL)
	old.send(`{"command":"join","args":{"channel":"c"}}`)
	at := r.urls["other"].URL
	publishes()

	if got := line(r.reload(t, file(moved, shared, sharing))); got != "stays unchanged; other needs 1 disconnect (path); shared unchanged; sharing new |  | " {
		t.Error(got)
	}
	publishes()
	old.endsWith(1001)
	if host := strings.TrimSuffix(r.urls["other"].URL, "/new"); !strings.HasPrefix(at, host) {
		t.Errorf("opened anew at %s, was at %s", r.urls["other"].URL, at)
	}
	anew := dial(t, r.urls["other"].URL)
	dial(t, r.urls["sharing"].URL).send(`{"command":"broadcast","args":{"channel":"c","content":"from sharing"}}`)
	hears.until(`"from sharing"`)

	r.reload(t, file(sharing))
	anew.endsWith(1001)
	kept.endsWith(1001)
	publishes()
	dial(t, r.urls["sharing"].URL).send(`{"command":"broadcast","args":{"channel":"c","content":"again"}}`)
	got := hears.until(`"again"`)
	if !slices.Contains(got, fmt.Sprint(said)) {
		t.Errorf("it heard %v, without %d", got, said)
	}
	if _, _, _, err := ws.Dial(t.Context(), at); err == nil {
		t.Error("the removed endpoint is still there")
	}
	r.reload(t, file(other, shared))
	dial(t, r.urls["shared"].URL)
}

// until reads until it hears text, and returns what came before.
func (c *client) until(text string) (before []string) {
	c.t.Helper()
	for {
		got, err := wsutil.ReadServerText(c.rw)
		if err != nil {
			c.t.Fatalf("waiting for %s: %v", text, err)
		}
		if string(got) == text {
			return before
		}
		before = append(before, string(got))
	}
}

// echoService is a service that answers with the payload.
func echoService(_ context.Context, c core.Invocation) (core.Payload, error) { return c.Payload, nil }

// dialTLS dials an endpoint that must show the certificate shows.
func dialTLS(t *testing.T, ca *certstest.CA, url string, shows tls.Certificate) *client {
	t.Helper()
	dialer := ws.Dialer{TLSConfig: &tls.Config{RootCAs: ca.Pool()}}
	conn, _, _, err := dialer.Dial(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if got := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]; !got.Equal(shows.Leaf) {
		t.Fatal("another certificate is shown")
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{t, conn, conn}
}

// openFiles counts the descriptors of this process.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("descriptors cannot be counted here")
	}
	return len(list)
}

// Each broken configuration is refused with its reason, everything continues as before, and nothing
// is left behind.
func TestBrokenReloadChangesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	tokens := filepath.Join(dir, "tokens")
	if err := os.WriteFile(tokens, []byte("x ann\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const base = `{name: a, protocol: wsify, listen: "127.0.0.1:0", acl: {publish: ["#"], subscribe: ["#"]}}`
	r := run(t, "endpoints: ["+base+"]\nservices: [{match: s, builtin: echo}]\nadmin: {listen: '127.0.0.1:0'}\n")
	c := dial(t, r.urls["a"].URL)
	ended, free := coretest.Leftovers(t), coretest.FreePort(t)
	changed := strings.Replace(base, `publish: ["#"`, `publish: ["other"`, 1)
	for _, tt := range []struct{ name, endpoints, want string }{
		{
			"address in use",
			strings.Replace(changed, "a,", `a, auth: [{type: jwt, jwks: "http://127.0.0.1:1/", audience: x}],`, 1) +
				fmt.Sprintf(`,{name: ok, protocol: echo, listen: "127.0.0.1:%d"},{name: b, protocol: echo, listen: %q}`, free, taken.Addr()),
			"opening the endpoints: endpoint b: listen tcp",
		},
		{"no such file", changed + `,{name: b, protocol: echo, listen: "127.0.0.1:0", auth: [{type: jwt, jwks: ` + dir + `/none, audience: x}]}`, `endpoint "b": auth[0]`},
		{"in a live change", strings.Replace(changed, "a,", "a, auth: [{type: jwt, jwks: "+dir+"/none, audience: x}],", 1), `endpoint "a": changing auth: auth[0]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := r.Reload(load(t, "endpoints: ["+tt.endpoints+"]\nadmin: {listen: '127.0.0.1:0'}\n"))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if got := r.Endpoints(); len(got) != 1 {
				t.Errorf("there are %d endpoints", len(got))
			}
			c.send(`{"command":"join","args":{"channel":"c"}}`)
			c.send(`{"command":"broadcast","args":{"channel":"c","content":1}}`)
			c.want("1")
			ended()
		})
	}
	r.reload(t, fmt.Sprintf(`endpoints: [{name: ok, protocol: echo, listen: "127.0.0.1:%d"}]`, free)+"\nadmin: {listen: '127.0.0.1:0'}\n")
	if _, page := get(t, r.AdminURL()); !strings.Contains(page, `polywire_config_reloads_total{result="failed"} 3`) {
		t.Error("the failures are not counted")
	}
}

// Live changes apply to connected clients, and to new ones.
func TestLiveKeys(t *testing.T) {
	const kept = "listen: '127.0.0.1:0', call_timeout: 20s, ping_interval: 0s, pong_timeout: 0s"
	file := func(extra string) string {
		return "endpoints: [{name: e, protocol: vws, " + kept + ", options: {allow_send: true}" + extra + "}]\nadmin: {listen: ''}\n"
	}
	r := run(t, file(""))
	c := dial(t, r.urls["e"].URL)
	if err := c.conn.SetDeadline(coretest.Deadline()); err != nil {
		t.Fatal(err)
	}
	says := func(what, message, want string) {
		t.Helper()
		c.send(message)
		got, err := wsutil.ReadServerText(c.rw)
		if err != nil || !strings.Contains(string(got), want) {
			t.Fatalf("%s: got %s, %v, want %s", what, got, err, want)
		}
	}
	refuses := func(what string) {
		t.Helper()
		if conn, _, _, err := ws.Dial(t.Context(), r.urls["e"].URL); err == nil {
			_ = conn.Close()
			t.Errorf("%s: a client is let in", what)
		}
	}
	publish := `{"i":1,"t":"a/b","d":1}`
	subscribe := `{"i":2,"k":"s","t":"x/y/z"}`
	says("at first", publish, `"k":"a"`)
	r.reload(t, file(", acl: {publish: [c]}"))
	says("acl", publish, `"k":"n"`)
	r.reload(t, file(", acl: {publish: ['#'], subscribe: ['#']}"))
	says("acl", publish, `"k":"a"`)
	says("acl", subscribe, `"k":"a"`)
	r.reload(t, file(", limits: {topic_depth: 2}"))
	says("limits", subscribe, `"k":"n"`)
	r.reload(t, file(", limits: {connections: 1}"))
	refuses("limits.connections")
	r.reload(t, file(", auth: [{type: token, tokens: [{token: x}]}]"))
	refuses("auth")
	says("who is in stays", publish, `"k":"a"`)
	r.reload(t, file(", origins: ['https://a.example']"))
	dialer := ws.Dialer{Header: ws.HandshakeHeaderHTTP(http.Header{"Origin": {"https://b.example"}})}
	if _, _, _, err := dialer.Dial(t.Context(), r.urls["e"].URL); err == nil {
		t.Error("origins: a page of elsewhere is let in")
	}
	r.reload(t, strings.Replace(file(""), "ping_interval: 0s, pong_timeout: 0s", "ping_interval: 100ms, pong_timeout: 1h", 1))
	if h, err := ws.ReadHeader(c.rw); err != nil || h.OpCode != ws.OpPing {
		t.Errorf("ping_interval: %v %v, want a ping", h.OpCode, err)
	}
	r.reload(t, file(", idle_timeout: 200ms"))
	if _, err := wsutil.ReadServerText(c.rw); err == nil {
		t.Error("idle_timeout: the connection goes on")
	}
}

// Limits of calls apply to connected clients, and services come and go, except those of the
// program.
func TestServicesAreReloaded(t *testing.T) {
	endpoint := func(extra string) string {
		return `endpoints: [{name: bots, protocol: wubsub, listen: "127.0.0.1:0"` + extra + "}]\nadmin: {listen: ''}\n"
	}
	r := run(t, endpoint("")+"services: [{match: a/echo, builtin: echo}]\n")
	c := dial(t, r.urls["bots"].URL)
	asks := func(method, want string) {
		t.Helper()
		channel, method, _ := strings.Cut(method, "/")
		c.send(fmt.Sprintf(`{"type":"pie-do","channel":%q,"topic":%q,"data":"x"}`, channel, method))
		for {
			got, err := wsutil.ReadServerText(c.rw)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(got), `"pie-ack"`) && strings.Contains(string(got), `"data":true`) {
				continue // the acknowledgement; the answer follows
			}
			if !strings.Contains(string(got), want) {
				t.Fatalf("%s/%s: %s, want %s", channel, method, got, want)
			}
			return
		}
	}
	r.Handle("my/own", echoService)
	asks("a/echo", `"x"`)
	r.reload(t, endpoint("")+"services: [{match: b/+, builtin: echo}]\n")
	asks("b/echo", `"x"`)
	asks("a/echo", "false")
	asks("my/own", `"x"`)
	r.Handle("b/mine", echoService)
	r.reload(t, endpoint(""))
	asks("b/mine", `"x"`)
	asks("b/echo", "false")
	asks("my/own", `"x"`)
}

// The sessions of a reopened endpoint stay, and its counters carry on.
func TestReopenedKeepsSessionsAndCounters(t *testing.T) {
	file := func(options string) string {
		return `endpoints: [{name: m, protocol: webwire, listen: "127.0.0.1:0", options: {` + options + "}}]\nadmin: {listen: '127.0.0.1:0'}\n"
	}
	r := run(t, file(""))
	r.Handle("test/open", open)
	k := webwireOpen(t, r.urls["m"].URL)
	if r.ActiveSessions() != 1 {
		t.Fatal("there is no session")
	}
	if got := line(r.reload(t, file("concurrency_limit: 3"))); got != "m needs 1 disconnect (options) |  | " {
		t.Error(got)
	}
	eventually(t, "the client is gone", func() bool { return r.ActiveSessions() == 0 })
	if err := r.CloseSession(t.Context(), k); err != nil {
		t.Errorf("the session is lost: %v", err)
	}
	if err := r.CloseSession(t.Context(), k); err == nil {
		t.Error("a session is there twice")
	}
	dial(t, r.urls["m"].URL)
	eventually(t, "both connections are counted", func() bool {
		_, page := get(t, r.AdminURL())
		return strings.Contains(page, `polywire_connections_opened_total{endpoint="m",protocol="webwire"} 2`)
	})
}

// A reload exchanges certificates at once, and turns TLS on and off while the listener stays.
func TestTLSIsReloaded(t *testing.T) {
	dir, ca := t.TempDir(), certstest.NewCA(t, "ca")
	one, two := ca.Issue(nil, "127.0.0.1"), ca.Issue(nil, "127.0.0.1")
	certOne, keyOne := certstest.Write(t, dir, "one", one)
	certTwo, keyTwo := certstest.Write(t, dir, "two", two)
	file := func(cert, key string) string {
		secure := ""
		if cert != "" {
			secure = fmt.Sprintf(", tls: {cert: %s, key: %s}", cert, key)
		}
		return `endpoints: [{name: e, protocol: echo, listen: "127.0.0.1:0"` + secure + "}]\nadmin: {listen: ''}\n"
	}
	r := run(t, file(certOne, keyOne))
	first := dialTLS(t, ca, r.urls["e"].URL, one)
	at := r.urls["e"].URL
	if got := line(r.reload(t, file(certTwo, keyTwo))); got != "e applied live (tls) |  | " {
		t.Error(got)
	}
	dialTLS(t, ca, at, two)
	first.send("x")
	first.want("x")
	if got := line(r.reload(t, file("", ""))); !strings.HasPrefix(got, "e needs ") {
		t.Error(got)
	}
	first.endsWith(1001)
	eventually(t, "the files are watched no more", func() bool {
		stacks := make([]byte, 1<<20)
		return !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "certs.(*Source).Watch")
	})
	plain := "ws" + strings.TrimPrefix(at, "wss")
	if r.urls["e"].URL != plain {
		t.Errorf("now at %s, want %s", r.urls["e"].URL, plain)
	}
	c := dial(t, plain)
	c.send("x")
	c.want("x")
	r.reload(t, file(certOne, keyOne))
	c.endsWith(1001)
	dialTLS(t, ca, at, one)
}

// Many reloads, under load, leave nothing behind, and a client of an unchanged endpoint misses
// nothing.
func TestReloadUnderLoad(t *testing.T) {
	const rounds = 30
	stays := `{name: stays, protocol: wsify, listen: "127.0.0.1:0"}`
	file := func(i int) string {
		return fmt.Sprintf(`endpoints: [%s, {name: o%d, protocol: wsify, listen: "127.0.0.1:0", topic_prefix: p%d/},
  {name: re, protocol: wsify, listen: "127.0.0.1:0", path: /%d, acl: {publish: [x%d]}}]
admin: {listen: ''}
services: [{match: s%d, builtin: echo}]
drain: {rate: 0, timeout: 10s}
`, stays, i%2, i, i, i, i)
	}
	r := run(t, file(0))
	hears := dial(t, r.urls["stays"].URL)
	if err := hears.conn.SetDeadline(coretest.Deadline()); err != nil {
		t.Fatal(err)
	}
	hears.send(`{"command":"join","args":{"channel":"c"}}`)
	hears.send(`{"command":"broadcast","args":{"channel":"c","content":0}}`)
	hears.want("0")
	descriptors, ended := openFiles(t), coretest.Leftovers(t, loopsPace)
	done := make(chan struct{})
	var load sync.WaitGroup
	said := 0
	load.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				said++
				if err := r.Publish("stays", "c", core.Payload{Kind: core.JSON, Data: fmt.Append(nil, said)}); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for i := range rounds {
		r.reload(t, file(i+1))
		for _, name := range []string{fmt.Sprintf("o%d", (i+1)%2), "re"} {
			c := dial(t, r.urls[name].URL)
			c.send(`{"command":"join","args":{"channel":"c"}}`)
		}
	}
	close(done)
	load.Wait()
	for i := range said {
		hears.want(fmt.Sprint(i + 1))
	}
	r.reload(t, "endpoints: ["+stays+"]\nadmin: {listen: ''}\n")
	eventually(t, "nothing is left behind", func() bool {
		return openFiles(t) <= descriptors+2*rounds+2
	})
	ended()
}

// TestReloadIsTold: a program is told when each reload begins and ends, but not of a dry run.
func TestReloadIsTold(t *testing.T) {
	var told strings.Builder
	next := load(t, localhost)
	b := run(t, localhost, polywire.WithSource(func() (*config.Config, error) {
		told.WriteString("reads ")
		return next, nil
	}), polywire.WithReloading(func() func() {
		told.WriteString("begins ")
		return func() { told.WriteString("ends ") }
	}))
	first := b.Config()
	if _, err := b.Reread(true); err != nil || b.Config() != first {
		t.Error(err)
	}
	if _, err := b.Reread(false); err != nil || b.Config() != next {
		t.Error(err)
	}
	if _, err := b.Reload(nil); err == nil || b.Config() != next {
		t.Error("nothing was reloaded")
	}
	if got, want := told.String(), "reads begins reads ends begins ends "; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	if _, err := polywire.New(next, slog.New(slog.DiscardHandler), polywire.WithReloading(nil)); err == nil {
		t.Error("an option without its function is taken")
	}
}
