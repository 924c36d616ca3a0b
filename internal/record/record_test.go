package record_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/conversations"
	"github.com/polywire/polywire/conversations/stage"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/record"
)

// config of a broker with an endpoint of each format, which answers; APP is a server that opens sessions.
const answering = `
admin: {listen: "127.0.0.1:0"}
endpoints:
  - {name: wubsub, protocol: wubsub, listen: "127.0.0.1:0"}
  - {name: wsify, protocol: wsify, listen: "127.0.0.1:0", options: {broadcasting_key: "wsify-key-7f3a9"}}
  - {name: stocking, protocol: stocking, listen: "127.0.0.1:0"}
  - {name: vws, protocol: vws, listen: "127.0.0.1:0", options: {allow_send: true}}
  - {name: webwire, protocol: webwire, listen: "127.0.0.1:0", options: {subscribe: ["news"]}}
services:
  - {match: echo, builtin: echo}
  - {match: "app/#", url: "APP"}
`

// refusing is one that answers otherwise, in each format.
const refusing = `
admin: {listen: "127.0.0.1:0"}
endpoints:
  - {name: wubsub, protocol: wubsub, listen: "127.0.0.1:0", acl: {publish: ["#"], subscribe: ["#"], serve: ["#"]}}
  - {name: wsify, protocol: wsify, listen: "127.0.0.1:0", options: {broadcasting_key: "another"}}
  - {name: stocking, protocol: stocking, listen: "127.0.0.1:0"}
  - {name: vws, protocol: vws, listen: "127.0.0.1:0"}
  - {name: webwire, protocol: webwire, listen: "127.0.0.1:0"}
`

// serve runs a broker while f runs.
func serve(t *testing.T, yaml string, f func(servers map[string]*url.URL)) {
	t.Helper()
	cfg, err := polywire.Load(config.Source{Text: yaml}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	err = stage.Serve(context.Background(), cfg, slog.New(slog.DiscardHandler), func(servers map[string]*url.URL, _ func() error) error {
		f(servers)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// recording is a proxy that runs.
type recording struct {
	address string
	stop    func() (record.Summary, error) // may be called again, but not with a tap, where it waits for the end
	quit    func()                         // with a tap: ends it
	mu      sync.Mutex
	out     bytes.Buffer // guarded by mu
	seen    record.Summary
	notes   []string
}

func (r *recording) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(b)
}

func (r *recording) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.String()
}

// start records what clients say to the server at address.
func start(t *testing.T, protocol, address string, change func(*record.Options)) *recording {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recording{address: l.Addr().String()}
	o := record.Options{
		Dial:   func(ctx context.Context) (net.Conn, error) { return client.Reach(ctx, address, nil) },
		Server: address, Endpoint: protocol, Path: "/", Out: r,
		Note: func(s string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.notes = append(r.notes, s)
		},
	}
	if u, err := url.Parse(address); err == nil && u.Path != "" {
		o.Path = u.Path
	}
	o.Dissector = dissector(t, protocol)
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		var err error
		r.seen, err = record.New(o).Serve(ctx, l)
		ended <- err
	}()
	var once sync.Once
	var outcome error
	r.stop = func() (record.Summary, error) {
		once.Do(func() {
			cancel()
			outcome = coretest.Receive(t, "the end of the recording", ended)
		})
		return r.seen, outcome
	}
	t.Cleanup(func() { _, _ = r.stop() })
	return r
}

// dissector is that of a format; nil if it has none.
func dissector(t *testing.T, protocol string) core.Dissector {
	t.Helper()
	for _, p := range polywire.Protocols() {
		if p.Name == protocol {
			format, err := p.Default()
			if err != nil {
				t.Fatal(err)
			}
			d, _ := format.(core.Dissector)
			return d
		}
	}
	return nil
}

// url is the URL of a server as the proxy's clients see it.
func (r *recording) url(server *url.URL) *url.URL {
	u := *server
	u.Host = r.address
	return &u
}

// play plays a script against servers.
func play(t *testing.T, name, text string, servers map[string]*url.URL, set map[string]string) error {
	t.Helper()
	s, err := conversations.Parse(name, []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	s.Timeout = max(s.Timeout, coretest.Patience)
	p, err := conversations.NewPlayer(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range set {
		p.Set(name, value)
	}
	return errors.Join(p.Play(t.Context(), servers), p.Close())
}

// session is what clients of a format say, and what of it must not be written.
type session struct {
	protocol, script string
	// set are the values that the recording lacks. They are the secrets, too.
	set map[string]string
	// wants are lines of the recording.
	wants []string
	// differs is how the line begins at which a server that answers otherwise is found out.
	differs string
}

var sessions = []session{
	{
		protocol: "wubsub",
		script: `
connect owner wubsub path="/?access_token=tok-1234-abcd&room=a%20b" header "Authorization: Bearer bearer-secret-99"
connect asker wubsub header "Cookie: theme=dark; sid=0123456789abcdef0123"
connect fan wubsub protocol=bearer,eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2lnbmF0dXJl
asker > {"type":"register","channel":"own","data":{"restpie":{"methods":["m"]}}}
asker > {"type":"pie-do","channel":"own","topic":"m"}
asker < {"type":"pie-ack","channel":"own","topic":"m","reqid":$own,"data":true}
asker < {"type":"pie-req","channel":"own","topic":"m","reqid":$own}
owner > {"type":"register","channel":"news","data":{"pubsub":{"topics":["today"]},"restpie":{"methods":["ask"]}}}
fan > {"type":"ps-sub","channel":"news","topic":"today"}
owner > {"type":"ps-pub","channel":"news","topic":"today","data":{"n":9007199254740993,"price":"$${text} *","password":"hunter2-hunter2","id":"550e8400-e29b-41d4-a716-446655440000"}}
fan < {"type":"ps-recv","channel":"news","topic":"today","data":{"n":9007199254740993,"price":"$${text} *","password":"hunter2-hunter2","id":"550e8400-e29b-41d4-a716-446655440000"}}
asker > {"type":"pie-do","channel":"news","topic":"ask","data":"hunter2-hunter2 again"}
asker < {"type":"pie-ack","channel":"news","topic":"ask","reqid":$id,"data":true}
owner < {"type":"pie-req","channel":"news","topic":"ask","reqid":$id,"data":*}
owner > {"type":"pie-resp","channel":"news","topic":"ask","reqid":${id},"data":{"at":"2026-01-02T03:04:05Z"}}
asker < {"type":"pie-recv","channel":"news","topic":"ask","reqid":$id,"data":*}
fan >t "{\"type\":\n\"nothing\"}"
fan >b 00 01 "not read"
asker > {"type":"pie-do","channel":"nobody","topic":"ask"}
asker < {"type":"pie-ack","channel":"nobody","topic":"ask","data":false}
fan >close 1000 that is all
fan <close 1000 *
owner abort
`,
		set: map[string]string{
			"access_token": "tok-1234-abcd", "authorization": "bearer-secret-99", "cookie_sid": "0123456789abcdef0123", "cookie_theme": "dark",
			"subprotocol": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2lnbmF0dXJl", "password": "hunter2-hunter2",
		},
		wants: []string{
			`connect c1 wubsub path="?access_token=${query access_token}&room=a%20b" header "Authorization: Bearer ${text authorization}"`,
			`connect c3 wubsub header "Sec-WebSocket-Protocol: bearer, ${subprotocol}"`,
			`c2 > {"type":"pie-do","channel":"news","topic":"ask","data":"${password} again"}`,
			`c2 < {"type":"pie-ack","channel":"news","topic":"ask","reqid":$reqid_2,"data":true}`,
			`c1 > {"type":"pie-resp","channel":"news","topic":"ask","reqid":${reqid_2},"data":{"at":"2026-01-02T03:04:05Z"}}`,
			`c3 >b 0001 "not read"`, `c3 >close 1000 that is all`,
			`c3 < {"type":"ps-recv","channel":"news","topic":"today","data":{"n":9007199254740993,"price":"$${text} *","password":${json password},"id":"550e8400-e29b-41d4-a716-446655440000"}}`,
		},
		differs: "c2 <",
	},
	{
		protocol: "wsify",
		script: `
connect fan wsify path="/ws?key=wsify-key-7f3a9&v=3" protocol=chat
  header Sec-WebSocket-Protocol: chat
fan > {"command":"join","args":{"channel":"news","token":"fan-token-0001"}}
http POST wsify /broadcast?key=wsify-key-7f3a9
  header Content-Type: application/json
  header X-Api-Key: api-key-5555
  body {"channel":"news","content":{"text":"fan-token-0001","at":"2026-05-06T07:08:09Z"}}
  => 201
  no body
fan < {"text":"fan-token-0001","at":"2026-05-06T07:08:09Z"}
fan > {"command":"broadcast","args":{"channel":"news","content":"plain $x and *"}}
fan < "plain $x and *"
http GET wsify /nowhere
  => 404
fan >b ` + "`" + `{"command":"broadcast","args":{"channel":"news","content":null}}` + "`" + `
fan < null
fan >close
fan <close *
`,
		set: map[string]string{"key": "wsify-key-7f3a9", "token": "fan-token-0001", "x_api_key": "api-key-5555"},
		wants: []string{
			`connect c1 wsify path="?key=${query key}&v=3" header "Sec-WebSocket-Protocol: chat"`, `  header Sec-WebSocket-Protocol: chat`,
			`http POST wsify "/broadcast?key=${query key}"`, `  body {"channel":"news","content":{"text":${json token},"at":"2026-05-06T07:08:09Z"}}`, `  => 201`,
			`c1 < {"text":${json token},"at":"2026-05-06T07:08:09Z"}`, `c1 >close`,
		},
		differs: "http POST",
	},
	{
		protocol: "stocking",
		script: `
connect a stocking
a <= 0
connect b stocking
b <= 0
a > 6,1,news
b > 5,news,hello, token=stock-token-77, ${repeat 3 x}
a <= 5,news,hello, token=stock-token-77, ${repeat 3 x}
b > 4,7,{"e":"echo","p":{"password":"pass-word-12","n":1e400,"text":"stock-token-77"}}
b <= 4,7,{"c":-1,"p":{"password":"pass-word-12","n":1e400,"text":"stock-token-77"}}
b > 5,nobody,x
b < 1,0,Channel "nobody" not found
b > 3,,
b <= 3
b > 2,,
b <close 1000 *
`,
		set:     map[string]string{"secret": "stock-token-77", "password": "pass-word-12"},
		wants:   []string{`c1 < 0`, `c2 > 5,news,hello, token=${secret}, xxx`, `c1 < 5,news,hello, token=${secret}, xxx`},
		differs: "c2 <",
	},
	{
		protocol: "vws",
		script: `
connect a vws
connect b vws
b > {"t":"nobody","d":1,"i":0}
b <= {"k":"a","i":0}
a > {"k":"s","t":"secrets/+","i":1}
a <= {"k":"a","i":1}
b > {"t":"secrets/login","d":{"auth":{"user":"ann-ann-ann-1","key":"vws-auth-payload-1"},"id":"$x"},"i":2}
b <= {"k":"a","i":2}
a < {"d":{"auth":{"user":"ann-ann-ann-1","key":"vws-auth-payload-1"},"id":"$x"},"t":"secrets/login"}
b > {"k":"x","i":3}
b <= {"k":"n","i":3,"e":"unsupported request type: x"}
b > {"k":"U","i":4}
b <= {"k":"a","i":4}
b >close 1000 bye
b <close 1000 bye
`,
		set:     map[string]string{"user": "ann-ann-ann-1", "key": "vws-auth-payload-1"},
		wants:   []string{`c2 > {"t":"secrets/login","d":{"auth":{"user":${json user},"key":${json key}},"id":"$x"},"i":2}`},
		differs: "c2 <",
	},
	{
		protocol: "webwire",
		script: `
connect a webwire
a <b 17 02 00 60 ea 00 00 00 20 00 00
connect b webwire
b <b 17 02 00 60 ea 00 00 00 20 00 00
a >b 21
a >b 80 "id000001" 0a "app/signin" ` + "`" + `{"name":"ann","password":"web-pass-4321"}` + "`" + `
a <b 15 ` + "`" + `{"k":"` + "` $key `" + `",` + "`" + ` *
a <b c0 "id000001" ` + "`" + `{"id":"` + "` $id `" + `","at":` + "` * `" + `}` + "`" + `
b >b 20 "id000002" "${key}"
b <b c0 "id000002" *
b >b 80 "id000003" 04 "echo" "${id} and more"
b <b c0 "id000003" "${id} and more"
b >b 81 "id000004" 04 "echo" ${utf16 token}
b <b c1 "id000004" 00 ${utf16 token}
b >b 20 "id000005" "session-of-long-ago"
b <b 03 "id000005"
a >b 40 04 "news" "to you"
b <b 40 04 "news" "to you"
b >b 1f "id000006"
b <b bf "id000006"
`,
		set:     map[string]string{"password": "web-pass-4321", "secret": "wide-secret-8", "session_2": "session-of-long-ago"},
		wants:   []string{`c2 >b 20 "id000002" ` + "`${text session}`", `c2 <b c1 "id000004" 00 7300650063007200650074003d00 ${utf16 secret}`},
		differs: "c1 <b",
	},
}

// app opens a session for whoever signs in, and says something else each time.
func app(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Polywire-Session-Open", `{"user":"ann"}`)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, `{"id":%q,"at":%d}`, uuid.NewString(), time.Now().UnixMilli())
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// A session of each format is recorded at one broker, and played against others.
func TestSessions(t *testing.T) {
	for _, s := range sessions {
		t.Run(s.protocol, func(t *testing.T) {
			yaml := strings.ReplaceAll(answering, "APP", app(t))
			var text string
			serve(t, yaml, func(servers map[string]*url.URL) {
				r := start(t, s.protocol, servers[s.protocol].String(), nil)
				proxied := map[string]*url.URL{s.protocol: r.url(servers[s.protocol])}
				if err := play(t, s.protocol, s.script, proxied, map[string]string{"token": "secret=wide-secret-8"}); err != nil {
					t.Fatal(err)
				}
				// The proxy has seen all that the player has seen.
				if _, err := r.stop(); err != nil {
					t.Error(err)
				}
				text = r.text()
			})
			s.check(t, yaml, text)
		})
	}
}

// check plays a recording of the session against brokers, and looks into it.
func (s *session) check(t *testing.T, yaml, text string) {
	t.Helper()
	t.Log(text)
	for name, secret := range s.set {
		if strings.Contains(text, secret) {
			t.Errorf("the recording holds the %s %q", name, secret)
		}
		if !strings.Contains(text, " --set "+name+"=…") {
			t.Errorf("the recording does not ask for %s", name)
		}
	}
	if key := sessionKey.FindString(text); key != "" {
		t.Errorf("the recording holds the session key %s", key)
	}
	lines := strings.Split(text, "\n")
	for _, want := range s.wants {
		if !slices.Contains(lines, want) {
			t.Errorf("no line is\n%s", want)
		}
	}
	if n := strings.Count(text, " --set "); n != len(s.set) {
		t.Errorf("it asks for %d values, want %d", n, len(s.set))
	}
	serve(t, yaml, func(servers map[string]*url.URL) {
		if err := play(t, "session.txt", text, servers, s.set); err != nil {
			t.Errorf("against an equal broker: %v", err)
		}
	})
	serve(t, refusing, func(servers map[string]*url.URL) {
		f, ok := errors.AsType[*conversations.Failure](play(t, "session.txt", text, servers, s.set))
		if !ok || !strings.HasPrefix(f.Statement, s.differs) || !strings.HasPrefix(lines[f.Line-1], s.differs) {
			t.Errorf("against one that answers otherwise: %v", f)
		}
	})
}

// sessionKey is what keys of webwire sessions look like.
var sessionKey = regexp.MustCompile(`[A-Za-z0-9_-]{64}`)
