package polywire_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/core"
)

// This file shows what programs written with webwire's server library do in their hooks and
// handlers, with the API of polywire.

const oneWebwire = `
endpoints:
  - {name: mobile, protocol: webwire, listen: "127.0.0.1:0", options: {message_buffer_size: 1024, concurrency_limit: 1}}
admin: {listen: ""}
`

// The types of messages.
const (
	signalBinary, signalUTF8, signalUTF16    = "\x3f", "\x40", "\x41"
	requestBinary, requestUTF8, requestUTF16 = "\x7f", "\x80", "\x81"
	replyBinary, replyUTF8, replyUTF16       = "\xbf", "\xc0", "\xc1"
	replyInternal, sessionsOff               = "\x02", "\x05"
	sessionCreated, sessionClosed            = "\x15", "\x16"
	closeSession, restoreSession             = "\x1f", "\x20"

	id = "id000001"
)

// mobile is a webwire client that has read the greeting.
type mobile struct{ *client }

func (r *running) mobile(t *testing.T) mobile {
	t.Helper()
	m := mobile{dial(t, r.urls["mobile"].URL)}
	if greeting := m.read(); greeting[0] != 23 {
		t.Fatalf("greeted with %q", greeting)
	}
	return m
}

func (m mobile) say(message string) {
	m.t.Helper()
	if err := wsutil.WriteClientBinary(m.conn, []byte(message)); err != nil {
		m.t.Fatal(err)
	}
}

func (m mobile) read() string {
	m.t.Helper()
	got, err := wsutil.ReadServerBinary(m.rw)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(got)
}

// hears reads one message, which must begin with want, and returns the rest.
func (m mobile) hears(want string) (rest string) {
	m.t.Helper()
	got := m.read()
	rest, ok := strings.CutPrefix(got, want)
	if !ok {
		m.t.Fatalf("got %q, want %q", got, want)
	}
	return rest
}

// request returns the message of a binary request.
func request(name, payload string) string {
	return requestBinary + id + string([]byte{byte(len(name))}) + name + payload
}

// fails returns the code of a failure.
func fails(err error) string {
	if f, ok := errors.AsType[core.Failure](err); ok {
		return string(f.Code)
	}
	return fmt.Sprint(err)
}

// TestConnectedSignsIn: the hook of a new connection opens a session before the client has sent
// anything; handlers see it, and both sides can end it.
func TestConnectedSignsIn(t *testing.T) {
	told := make(chan string, 10)
	connected := make(chan struct{}) // the hook is done before the client goes on
	b := run(t, oneWebwire,
		polywire.WithSessionKeys(func() (string, error) { return "testkey", nil }),
		polywire.WithHooks(core.Hooks{
			Connected: func(_ context.Context, c core.Client) {
				defer func() { connected <- struct{}{} }()
				if _, ok := c.Session(); ok {
					t.Error("there is a session before")
				}
				s, err := c.OpenSession([]byte(`{"uid":"ann"}`))
				if err != nil || s.Key != "testkey" {
					t.Errorf("opening: %+v, %v", s, err)
				}
				// A second one is refused, and the first stays.
				if _, err := c.OpenSession(nil); fails(err) != "session_exists" {
					t.Errorf("opening again: %v", err)
				}
				if s, ok := c.Session(); !ok || s.Key != "testkey" || string(s.Info) != `{"uid":"ann"}` || s.Created.IsZero() || s.LastLookup.IsZero() {
					t.Errorf("the session is %+v, %v", s, ok)
				}
			},
			SessionCreated: func(_ context.Context, c core.Client, s core.Session) {
				mine, _ := c.Session()
				told <- "created " + s.Key + " " + mine.Key
			},
			SessionClosed: func(_ context.Context, key string) { told <- "closed " + key },
			Disconnected: func(c core.Client, _ core.Reason) {
				_, ok := c.Session()
				told <- fmt.Sprintf("disconnected %v", ok)
			},
		}))
	b.Handle("who", func(_ context.Context, c core.Invocation) (core.Payload, error) {
		s, ok := c.Caller.Client().Session()
		if ok != (c.Session != "") || s.Key != c.Session {
			t.Errorf("the caller has %q, its client %q", c.Session, s.Key)
		}
		return text(string(s.Info)), nil
	})
	b.Hear("logout", func(_ context.Context, c core.Invocation) (core.Payload, error) {
		return core.Payload{}, c.Caller.Client().CloseSession()
	})
	wantTold := func(want string) {
		t.Helper()
		if got := <-told; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}

	m := b.mobile(t)
	if rest := m.hears(sessionCreated); !strings.Contains(rest, `"k":"testkey"`) || !strings.Contains(rest, `"i":{"uid":"ann"}`) {
		t.Errorf("session %s", rest)
	}
	wantTold("created testkey testkey")
	<-connected
	m.say(request("who", "?"))
	m.hears(replyUTF8 + id + `{"uid":"ann"}`)
	if n, clients := b.ActiveSessions(), b.SessionClients("testkey"); n != 1 || len(clients) != 1 {
		t.Errorf("%d sessions, %d connections", n, len(clients))
	}

	// The client ends it.
	m.say(closeSession + id)
	m.hears(replyBinary + id)
	wantTold("closed testkey")
	if n := b.ActiveSessions(); n != 0 {
		t.Errorf("%d sessions", n)
	}
	m.say(request("who", "?"))
	m.hears(replyUTF8 + id)
	_ = m.conn.Close()
	wantTold("disconnected false")

	// The program ends it, over what it knows of the session.
	m = b.mobile(t)
	m.hears(sessionCreated)
	wantTold("created testkey testkey")
	<-connected
	m.say(signalBinary + "\x06logout?")
	m.hears(sessionClosed)
	wantTold("closed testkey")
	m.say(request("who", "?"))
	m.hears(replyUTF8 + id)
	_ = m.conn.Close()
	wantTold("disconnected false")

	// Another goroutine of the program ends it.
	m = b.mobile(t)
	m.hears(sessionCreated)
	wantTold("created testkey testkey")
	<-connected
	for _, c := range b.SessionClients("testkey") {
		if err := c.CloseSession(); err != nil {
			t.Error(err)
		}
	}
	m.hears(sessionClosed)
	wantTold("closed testkey")
	_ = m.conn.Close()
	wantTold("disconnected false")
}

// TestSessionsThatCannotBe: invalid keys, sessions that are off, information that is not JSON, and
// connections that are gone are errors, in hooks and handlers.
func TestSessionsThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		name, options, info, want string
		key                       string
	}{
		{"a key that is none", "", "", "0 bytes, want 1 to 255", ""},
		{"sessions are off", `, options: {sessions: {store: "off"}}`, "", "sessions_off", "k"},
		{"no JSON", "", "{bad}", "not JSON", "k"},
	} {
		t.Run(c.name, func(t *testing.T) {
			done := make(chan error, 2)
			b := run(t, `
endpoints: [{name: mobile, protocol: webwire, listen: "127.0.0.1:0"`+c.options+`}]
admin: {listen: ""}
`, polywire.WithSessionKeys(func() (string, error) { return c.key, nil }), polywire.WithHooks(core.Hooks{
				Connected: func(_ context.Context, client core.Client) {
					_, err := client.OpenSession([]byte(c.info))
					done <- err
					if err := client.CloseSession(); c.want == "sessions_off" && fails(err) != c.want {
						t.Errorf("closing: %v", err)
					}
				},
				SessionCreated: func(context.Context, core.Client, core.Session) { t.Error("created") },
				SessionClosed:  func(context.Context, string) { t.Error("closed") },
			}))
			b.Handle("in", func(_ context.Context, i core.Invocation) (core.Payload, error) {
				_, err := i.Caller.OpenSession([]byte(c.info))
				done <- err
				return core.Payload{}, err
			})
			m := b.mobile(t)
			m.say(request("in", ""))
			for range 2 {
				if err := <-done; err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %s", err, c.want)
				}
			}
			if c.want == "sessions_off" {
				m.hears(sessionsOff + id)
				m.say(restoreSession + id + "key")
				m.hears(sessionsOff + id)
			} else {
				m.hears(replyInternal + id)
			}
			if n := b.ActiveSessions(); n != 0 {
				t.Errorf("%d sessions", n)
			}
		})
	}
}

// TestClientLeaves: a program sees that a connection is gone, and can do nothing to it.
func TestClientLeaves(t *testing.T) {
	connected, disconnected := make(chan core.Client, 2), make(chan core.Client, 2)
	refused := make(chan error, 2)
	kick := true
	b := run(t, oneWebwire, polywire.WithHooks(core.Hooks{
		Connected: func(_ context.Context, c core.Client) {
			select {
			case <-c.Left():
				t.Error("it has left already")
			default:
			}
			if kick {
				c.Close(core.ReasonNormal)
				_, err := c.OpenSession(nil)
				refused <- err
			}
			connected <- c
		},
		Disconnected: func(c core.Client, _ core.Reason) {
			_, err := c.OpenSession(nil)
			refused <- err
			disconnected <- c
		},
		SessionCreated: func(context.Context, core.Client, core.Session) { t.Error("a session was created") },
	}))
	wantGone := func(c core.Client) {
		t.Helper()
		<-c.Left()
		for what, err := range map[string]error{
			"Send": c.Send("a", text("b")), "CloseSession": c.CloseSession(),
		} {
			if fails(err) != "gone" {
				t.Errorf("%s: %v", what, err)
			}
		}
		c.Close(core.ReasonNormal)
	}
	// Closed by the program, which cannot open a session for it any more.
	m := b.mobile(t)
	for range 2 {
		if err := <-refused; fails(err) != "gone" {
			t.Errorf("OpenSession: %v", err)
		}
	}
	c := <-connected
	if other := <-disconnected; other != c {
		t.Error("the hooks were told of different clients")
	}
	wantGone(c)
	_ = m.conn.Close()

	// Closed by the client.
	kick = false
	m = b.mobile(t)
	c = <-connected
	_ = m.conn.Close()
	wantGone(c)
	if err := <-refused; fails(err) != "gone" {
		t.Errorf("OpenSession: %v", err)
	}
	<-disconnected
	if b.ActiveSessions() != 0 {
		t.Error("a session is left")
	}
	wantGone(core.Client{})
	if (core.Client{}).Info() != nil {
		t.Error("nobody has information")
	}
}

// TestSendRefuses: what cannot be sent is an error, and everything else arrives unchanged.
func TestSendRefuses(t *testing.T) {
	b := run(t, oneWebwire, polywire.WithHooks(core.Hooks{
		Connected: func(_ context.Context, c core.Client) {
			for _, bad := range []struct {
				topic   string
				payload core.Payload
				want    string
			}{
				{"", core.Payload{}, "without name and payload"},
				{"", core.Payload{Kind: core.Binary}, "without name and payload"},
				{"", core.Payload{Kind: core.Binary, Data: make([]byte, 2048)}, "buffer"},
				{"a", core.Payload{Kind: core.Binary, Data: make([]byte, 1022)}, "buffer"},
				{strings.Repeat("n", 256), text("x"), "255"},
				{"a", core.Payload{Kind: core.JSON, Data: []byte("{bad}")}, "not JSON"},
				{"a", text("\xff"), "not UTF-8"},
				{"a", core.Payload{Data: []byte("x")}, "no kind"},
				{"a", core.Payload{Kind: 99}, "unknown kind"},
				{"a", core.Payload{Kind: core.Text, Data: []byte("x"), UTF16: []byte{1}}, "odd"},
				{"a", core.Payload{Kind: core.Text, UTF16: []byte{1, 2}}, "TextUTF16"},
			} {
				if err := c.Send(bad.topic, bad.payload); err == nil || !strings.Contains(err.Error(), bad.want) {
					t.Errorf("Send(%q, %d bytes): %v, want %s", bad.topic, len(bad.payload.Data), err, bad.want)
				}
			}
			wide := core.TextUTF16([]byte{100, 200, 110, 210})
			for _, name := range []string{"", "bin_sig", "utf8_sig"} {
				for _, p := range []core.Payload{{Kind: core.Binary, Data: []byte("binary")}, text("üникод"), wide} {
					if err := c.Send(name, p); err != nil {
						t.Errorf("Send(%q): %v", name, err)
					}
				}
			}
			if err := c.Send("full", core.Payload{Kind: core.Binary, Data: make([]byte, 1024-6)}); err != nil {
				t.Errorf("a message that fills the buffer: %v", err)
			}
		},
	}))
	m := b.mobile(t)
	for _, name := range []string{"", "bin_sig", "utf8_sig"} {
		n := string([]byte{byte(len(name))}) + name
		m.hears(signalBinary + n + "binary")
		m.hears(signalUTF8 + n + "üникод")
		if len(name)%2 == 1 {
			n += "\x00"
		}
		m.hears(signalUTF16 + n + "\x64\xc8\x6e\xd2")
	}
	m.hears(signalBinary + "\x04full\x00")
}

// TestBeforeUpgradeInforms: information from the hook before the upgrade is available to the other
// hooks and handlers.
func TestBeforeUpgradeInforms(t *testing.T) {
	type who struct{ agent string }
	seen := make(chan any, 3)
	b := run(t, oneWebwire, polywire.WithHooks(core.Hooks{
		BeforeUpgrade: func(_ context.Context, _ string, h core.Handshake) error {
			if h.Path == "/known" {
				*h.Info = who{h.Header.Get("Sec-WebSocket-Version")}
			}
			return nil
		},
		Connected:    func(_ context.Context, c core.Client) { seen <- c.Info() },
		Disconnected: func(c core.Client, _ core.Reason) { seen <- c.Info() },
	}))
	b.Handle("who", func(_ context.Context, c core.Invocation) (core.Payload, error) {
		seen <- c.Caller.Client().Info()
		return core.Payload{}, nil
	})
	for path, want := range map[string]any{"known": who{"13"}, "": nil} {
		m := mobile{dial(t, b.urls["mobile"].URL+path)}
		m.read()
		m.say(request("who", ""))
		m.hears(replyBinary + id)
		_ = m.conn.Close()
		for range 3 {
			if got := <-seen; got != want {
				t.Errorf("at %q: %v, want %v", path, got, want)
			}
		}
	}
}

// TestOpenedAt: a program knows since when a client is connected, for as long as it holds it.
func TestOpenedAt(t *testing.T) {
	before := time.Now()
	seen := make(chan core.Client, 3)
	b := run(t, oneWebwire, polywire.WithHooks(core.Hooks{
		Connected:    func(_ context.Context, c core.Client) { seen <- c },
		Disconnected: func(c core.Client, _ core.Reason) { seen <- c },
	}))
	b.Handle("who", func(_ context.Context, c core.Invocation) (core.Payload, error) {
		seen <- c.Caller.Client()
		return core.Payload{}, nil
	})
	m := b.mobile(t)
	after := time.Now()
	time.Sleep(300 * time.Millisecond) // so that the current time would differ
	m.say(request("who", ""))
	m.hears(replyBinary + id)
	_ = m.conn.Close()
	for range 3 {
		if c := <-seen; c.OpenedAt().Before(before) || c.OpenedAt().After(after) {
			t.Errorf("opened at %s, want a time from %s to %s", c.OpenedAt(), before, after)
		}
	}
	if !(core.Client{}).OpenedAt().IsZero() {
		t.Error("nobody has been there since some time")
	}
}

// TestReplyEncodings: a handler's answer keeps its kind, whatever the request's encoding, and the
// handler knows that encoding.
func TestReplyEncodings(t *testing.T) {
	b := run(t, oneWebwire)
	answers := map[string]core.Payload{
		"nothing": {}, "binary": {Kind: core.Binary, Data: []byte("hi")}, "utf8": text("hé"), "json": {Kind: core.JSON, Data: []byte(`{"n":1}`)},
		"utf16": core.TextUTF16([]byte("h\x00i\x00")), "noutf8": text(""), "noutf16": core.TextUTF16(nil), "nobinary": {Kind: core.Binary},
	}
	for name, p := range answers {
		b.Handle(name, func(context.Context, core.Invocation) (core.Payload, error) { return p, nil })
	}
	b.Handle("kind", func(_ context.Context, c core.Invocation) (core.Payload, error) {
		return text(fmt.Sprint(c.Payload.Kind, c.Payload.UTF16 != nil)), nil
	})
	m := b.mobile(t)
	for _, c := range []struct{ request, name, want string }{
		{requestBinary, "nothing", replyBinary + id},
		{requestUTF8, "nothing", replyUTF8 + id},
		{requestUTF16, "nothing", replyUTF16 + id + "\x00"},
		{requestBinary, "binary", replyBinary + id + "hi"},
		{requestUTF8, "binary", replyBinary + id + "hi"},
		{requestUTF16, "binary", replyBinary + id + "hi"},
		{requestBinary, "utf8", replyUTF8 + id + "hé"},
		{requestUTF8, "utf8", replyUTF8 + id + "hé"},
		{requestUTF16, "utf8", replyUTF16 + id + "\x00h\x00\xe9\x00"},
		{requestBinary, "json", replyUTF8 + id + `{"n":1}`},
		{requestUTF8, "json", replyUTF8 + id + `{"n":1}`},
		{requestBinary, "utf16", replyUTF16 + id + "\x00h\x00i\x00"},
		{requestUTF8, "utf16", replyUTF16 + id + "\x00h\x00i\x00"},
		{requestBinary, "noutf8", replyUTF8 + id},
		{requestUTF8, "noutf8", replyUTF8 + id},
		{requestBinary, "noutf16", replyUTF16 + id + "\x00"},
		{requestUTF16, "noutf16", replyUTF16 + id + "\x00"},
		{requestBinary, "nobinary", replyBinary + id},
		{requestUTF8, "nobinary", replyBinary + id},
		{requestBinary, "kind", replyUTF8 + id + "3 false"},
		{requestUTF8, "kind", replyUTF8 + id + "2 false"},
		{requestUTF16, "kind", replyUTF16 + id + "\x002\x00 \x00t\x00r\x00u\x00e\x00"},
	} {
		pad := ""
		if c.request == requestUTF16 && len(c.name)%2 == 1 {
			pad = "\x00"
		}
		m.say(c.request + id + string([]byte{byte(len(c.name))}) + c.name + pad)
		if got := m.read(); got != c.want {
			t.Errorf("%q asked with %x: got %q, want %q", c.name, c.request, got, c.want)
		}
	}
}

// TestNameless: requests and signals need no name, and the shortest and the longest name are
// ordinary names.
func TestNameless(t *testing.T) {
	b := run(t, oneWebwire)
	heard := make(chan core.Invocation, 10)
	b.Otherwise(func(_ context.Context, c core.Invocation) (core.Payload, error) { return text(c.Service), nil })
	hear := func(_ context.Context, c core.Invocation) (core.Payload, error) {
		heard <- c
		return core.Payload{}, nil
	}
	b.Hear("", hear)
	b.Hear("#", hear)
	m := b.mobile(t)
	for _, name := range []string{"", "s", strings.Repeat("x", 255)} {
		m.say(request(name, "d"))
		m.hears(replyUTF8 + id + name)
		n := string([]byte{byte(len(name))}) + name
		m.say(signalUTF8 + n + "üникод")
		if c := <-heard; c.Service != name || c.Payload.Kind != core.Text || c.Payload.UTF16 != nil || string(c.Payload.Data) != "üникод" {
			t.Errorf("%q: heard %+v", name, c)
		}
		if len(name)%2 == 1 {
			n += "\x00"
		}
		m.say(signalUTF16 + n + "\x64\xc8\x6e\xd2")
		if c := <-heard; c.Service != name || string(c.Payload.UTF16) != "\x64\xc8\x6e\xd2" {
			t.Errorf("%q: heard %+v", name, c)
		}
	}
}

// TestBadAnswers: an answer that is not of its kind reaches no client.
func TestBadAnswers(t *testing.T) {
	b := run(t, oneWebwire)
	bad := map[string]core.Payload{
		"json": {Kind: core.JSON, Data: []byte("{bad}")}, "text": text("\xff"), "kind": {Data: []byte("x")},
	}
	m := b.mobile(t)
	for name, p := range bad {
		b.Handle(name, func(context.Context, core.Invocation) (core.Payload, error) { return p, nil })
		m.say(request(name, "?"))
		if got := m.read(); got != replyInternal+id {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// TestDrainAwaitsHandlers: a program that shuts down lets its handlers of requests and signals
// finish, and refuses later ones.
func TestDrainAwaitsHandlers(t *testing.T) {
	b := run(t, oneWebwire)
	entered, let := make(chan struct{}, 2), make(chan struct{})
	ended := make(chan string, 2)
	wait := func(_ context.Context, c core.Invocation) (core.Payload, error) {
		entered <- struct{}{}
		<-let
		ended <- c.Service
		return core.Payload{}, nil
	}
	b.Handle("request", wait)
	b.Hear("signal", wait)
	sender, caller, late := b.mobile(t), b.mobile(t), b.mobile(t)
	sender.say(signalBinary + "\x06signal?")
	caller.say(request("request", ""))
	<-entered
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- b.stop() }()
	<-b.Draining()
	late.say(request("request", ""))
	late.hears("\x01" + id)
	select {
	case <-stopped:
		t.Error("it has ended although handlers run")
	default:
	}
	for _, m := range []mobile{sender, late} {
		go func() { _, _ = m.rw.Read(make([]byte, 100)); _ = m.conn.Close() }()
	}
	close(let)
	caller.hears(replyBinary + id)
	_ = caller.conn.Close()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if len(ended) != 2 {
		t.Errorf("%d handlers have ended, want 2", len(ended))
	}
}

// TestHearAll: Hear gets what is published, whoever publishes it, by HTTP and by the program too.
func TestHearAll(t *testing.T) {
	b := run(t, localhost)
	heard := make(chan core.Invocation, 10)
	b.Hear("#", func(_ context.Context, c core.Invocation) (core.Payload, error) {
		heard <- c
		if c.Connection == 0 {
			// Nobody is a client too.
			if err := c.Caller.Client().Send("a", text("b")); fails(err) != "gone" {
				t.Errorf("Send to nobody: %v", err)
			}
			if _, err := c.Caller.OpenSession(nil); fails(err) != "gone" {
				t.Errorf("OpenSession for nobody: %v", err)
			}
		}
		return core.Payload{}, errors.New("is only logged")
	})
	if status := post(t, b.urls["web"].HTTP+"?key=k", `{"channel":"by/http","content":{"n":1}}`); status != 201 {
		t.Errorf("POST: %d", status)
	}
	// The publisher waits, so it is there.
	if c := <-heard; c.Service != "by/http" || string(c.Payload.Data) != `{"n":1}` || c.Endpoint != "web" || c.Protocol != "wsify" || !c.OneWay || c.Connection != 0 {
		t.Errorf("heard %+v", c)
	}
	if err := b.Publish("tenant", "by/program", text("x")); err != nil {
		t.Error(err)
	}
	if c := <-heard; c.Service != "by/program" || c.Endpoint != "tenant" || string(c.Payload.Data) != "x" {
		t.Errorf("heard %+v", c)
	}
	web := dial(t, b.urls["web"].URL)
	web.send(`{"command":"broadcast","args":{"channel":"by/client","content":1}}`)
	if c := <-heard; c.Service != "by/client" || c.Connection == 0 {
		t.Errorf("heard %+v", c)
	}
	// A refused message is not heard.
	if err := b.Publish("web", "$reply/x", text("x")); err == nil {
		t.Error("published on a topic of the broker")
	}
	if len(heard) > 0 {
		t.Errorf("heard %+v", <-heard)
	}
}

// TestHearItself: a handler that publishes what it hears is refused before it brings the process
// down.
func TestHearItself(t *testing.T) {
	b := run(t, localhost)
	depth, refusal := 0, error(nil)
	b.Hear("loop", func(context.Context, core.Invocation) (core.Payload, error) {
		depth++
		if err := b.Publish("web", "loop", text("again")); err != nil {
			refusal = err
		}
		return core.Payload{}, nil
	})
	if err := b.Publish("web", "loop", text("first")); err != nil {
		t.Error(err)
	}
	if depth != 256 || fails(refusal) != "overloaded" {
		t.Errorf("%d deep, %v", depth, refusal)
	}
	if err := b.Publish("web", "other", text("x")); err != nil {
		t.Error(err)
	}
}

// TestPublishRefuses: an invalid topic or payload is an error, and reaches nobody.
func TestPublishRefuses(t *testing.T) {
	b := run(t, localhost)
	bot := dial(t, b.urls["bots"].URL)
	bot.send(`{"type":"ps-sub","channel":"","topic":""}`)
	bot.send(`{"type":"ps-sub","channel":"a","topic":"b"}`)
	bot.send(`{"type":"pie-do","channel":"none","topic":"none"}`)
	bot.want(`{"type":"pie-ack","channel":"none","topic":"none","data":false}`)
	for _, c := range []struct {
		topic   string
		payload core.Payload
		want    string
	}{
		{"a/b", core.Payload{Kind: core.JSON, Data: []byte("{bad}")}, "not JSON"},
		{"a/b", core.Payload{Kind: core.JSON}, "not JSON"},
		{"a/b", core.Payload{Kind: core.JSON, Data: []byte("1 2")}, "not JSON"},
		{"a/b", core.Payload{Kind: core.JSON, Data: []byte("\"\xff\"")}, "UTF-8"},
		{"a/b", text("\xff"), "UTF-8"},
		{"a/b", core.Payload{Data: []byte("x")}, "no kind"},
		{"", text("x"), "empty"},
		{"a\xff", text("x"), "UTF-8"},
	} {
		if err := b.Publish("bots", c.topic, c.payload); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Publish(%q, %q): %v, want %s", c.topic, c.payload.Data, err, c.want)
		}
	}
	for _, good := range []core.Payload{{Kind: core.JSON, Data: []byte(`{"n":1}`)}, {}} {
		if err := b.Publish("bots", "a/b", good); err != nil {
			t.Error(err)
		}
	}
	bot.want(`{"type":"ps-recv","channel":"a","topic":"b","data":{"n":1}}`)
}
