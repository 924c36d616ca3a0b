package shadow_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/google/uuid"

	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/shadow"
)

// server accepts connections and hands them to serve.
func server(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer func() { _ = conn.Close() }()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	return "ws://" + l.Addr().String() + "/"
}

// answering is a server that answers each message with what answer returns.
func answering(answer func(text string) []ws.Frame) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := ws.Upgrade(conn); err != nil {
			return
		}
		for {
			data, err := wsutil.ReadClientText(conn)
			if err != nil {
				return
			}
			for _, f := range answer(string(data)) {
				if ws.WriteFrame(conn, f) != nil {
					return
				}
			}
		}
	}
}

// echo repeats each message.
var echo = answering(func(text string) []ws.Frame { return []ws.Frame{ws.NewTextFrame([]byte(text))} })

// soon finds differences soon.
func soon(o *shadow.Options) {
	o.Window, o.Lag, o.Farewell = 50*time.Millisecond, 10*time.Millisecond, time.Hour
}

// A server that says something else is found out, and its clients hear it all the same.
func TestDifferences(t *testing.T) {
	for name, test := range map[string]struct {
		fresh  func(text string) []ws.Frame
		kind   shadow.Kind
		sample string
	}{
		"nothing": {func(string) []ws.Frame { return nil }, shadow.Missing, `only the old server: < {"a":1,"b":"hello"}`},
		"more": {func(text string) []ws.Frame {
			return []ws.Frame{ws.NewTextFrame([]byte(text)), ws.NewTextFrame([]byte("and more"))}
		}, shadow.Extra, "only the broker: <= and more"},
		"a close": {func(string) []ws.Frame {
			return []ws.Frame{ws.NewCloseFrame(ws.NewCloseFrameBody(1008, "no"))}
		}, shadow.Closed, "the broker: <close 1008 no"},
	} {
		t.Run(name, func(t *testing.T) {
			c := compare(t, "wsify", server(t, echo), server(t, answering(test.fresh)), soon)
			p := c.connect(t, ws.OpText)
			p.says(`{"a":1,"b":"hello"}`)
			p.hears(`{"a":1,"b":"hello"}`)
			c.until(t, "the difference", func(s shadow.Summary) bool { return s.Differences[test.kind] > 0 })
			p.says("and so on")
			p.hears("and so on")
			seen, err := c.end()
			if !errors.Is(err, shadow.ErrDifferent) || seen.Different() == 0 || seen.Samples == 0 {
				t.Errorf("%+v, %v", seen, err)
			}
			if text := c.text(); !strings.Contains(text, test.sample) || !strings.Contains(text, `# c1 > {"a":1,"b":"hello"}`) || !strings.Contains(text, "differences found:") {
				t.Error(text)
			}
			parses(t, c.text())
		})
	}
}

// A broker with another configuration differs in upgrades and in answers to requests.
func TestConfigurations(t *testing.T) {
	old := broker(t, all)
	fresh := broker(t, strings.NewReplacer("wsify-key-7f3a9", "another", "protocol: vws,", "protocol: vws, path: /other,").Replace(all))
	c := compare(t, "vws", old["vws"], fresh["vws"], soon)
	p := c.connect(t, ws.OpText)
	c.until(t, "the upgrade differs", func(s shadow.Summary) bool { return s.Differences[shadow.Upgrade] == 1 })
	p.says(`{"k":"s","t":"a","i":1}`)
	p.hears(`{"k":"a","i":1}`)
	if _, err := c.end(); !errors.Is(err, shadow.ErrDifferent) || !strings.Contains(c.text(), "the broker: 404") {
		t.Error(err, c.text())
	}

	c = compare(t, "wsify", old["wsify"], fresh["wsify"], soon)
	for _, key := range []string{"wsify-key-7f3a9", "wrong"} {
		answer, err := http.Post("http://"+c.address+"/broadcast?key="+key, "application/json", strings.NewReader(`{"channel":"a","content":1}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if want := map[string]int{"wsify-key-7f3a9": 201, "wrong": 403}[key]; answer.StatusCode != want {
			t.Errorf("%d, want %d", answer.StatusCode, want)
		}
	}
	c.until(t, "one answer differs, and one is equal", func(s shadow.Summary) bool { return s.Differences[shadow.HTTP] == 1 && s.Equal == 1 })
	if seen, err := c.end(); !errors.Is(err, shadow.ErrDifferent) || seen.Requests != 2 {
		t.Errorf("%+v, %v", seen, err)
	}
	if text := c.text(); strings.Contains(text, "7f3a9") || !strings.Contains(text, "the old server: 201, no body\n#    the broker:     403") {
		t.Error(text)
	}
	parses(t, c.text())
}

// What is sent by HTTP reaches the clients of both servers.
func TestRequests(t *testing.T) {
	old, fresh := broker(t, all), broker(t, all)
	c := compare(t, "wsify", old["wsify"], fresh["wsify"], nil)
	p := c.connect(t, ws.OpText)
	p.says(`{"command":"join","args":{"channel":"a"}}`)
	p.says(`{"command":"broadcast","args":{"channel":"a","content":"ready"}}`)
	p.hears(`"ready"`)
	for _, key := range []string{"wsify-key-7f3a9", "wrong"} {
		answer, err := http.Post("http://"+c.address+"/broadcast?key="+key, "application/json", strings.NewReader(`{"channel":"a","content":"posted"}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
	}
	p.hears(`"posted"`)
	c.equal(t, 4)
	p.leaves()
	if seen, err := c.end(); err != nil || seen.Requests != 2 || seen.Equal != 4 {
		t.Errorf("%+v, %v\n%s", seen, err, c.text())
	}
}

// A session that the old server has opened is restored at the shadow by the key that the shadow has made.
func TestSessions(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Polywire-Session-Open", `{"user":"ann"}`)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, `{"id":%q,"at":%d}`, uuid.NewString(), time.Now().UnixMilli())
	}))
	t.Cleanup(app.Close)
	yaml := all + `  - {match: "app/#", url: "` + app.URL + `"}` + "\n"
	old, fresh := broker(t, yaml), broker(t, yaml)
	c := compare(t, "webwire", old["webwire"], fresh["webwire"], nil)
	a, b := c.connect(t, ws.OpBinary), c.connect(t, ws.OpBinary)
	a.hears("\x17")
	b.hears("\x17")
	a.says(request("id000001", "app/signin", `{"password":"web-pass-4321"}`))
	key := between(t, a.hears("\x15", `"k":"`), `"k":"`, `"`)
	a.hears("\xc0id000001", `"id":`)
	b.says("\x20id000002" + key)
	b.hears("id000002", key)
	b.says("\x20id000003session-of-long-ago")
	b.hears("\x03id000003")
	c.equal(t, 6)
	a.leaves()
	b.leaves()
	if seen, err := c.end(); err != nil || seen.Equal != 6 || seen.Unsettled > 0 {
		t.Errorf("%+v, %v\n%s", seen, err, c.text())
	}
	if text := c.text(); strings.Contains(text, key) || strings.Contains(text, "4321") {
		t.Error(text)
	}
}

// Whatever the shadow does, clients are served.
func TestSickShadows(t *testing.T) {
	for name, test := range map[string]struct {
		fresh  func(t *testing.T) string
		reason shadow.Reason
	}{
		"down": {func(t *testing.T) string { return fmt.Sprintf("ws://127.0.0.1:%d/", coretest.FreePort(t)) }, shadow.NoShadow},
		"stalled": {func(t *testing.T) string {
			ended := make(chan struct{})
			address := server(t, func(conn net.Conn) {
				_, _ = ws.Upgrade(conn)
				<-ended
			})
			t.Cleanup(func() { close(ended) })
			return address
		}, shadow.TooMuch},
		"no WebSocket": {func(t *testing.T) string {
			return server(t, func(conn net.Conn) { _, _ = conn.Write([]byte("220 ready\r\n\r\n")) })
		}, shadow.Broken},
		"broken frames": {func(t *testing.T) string {
			return server(t, func(conn net.Conn) {
				_, _ = ws.Upgrade(conn)
				_, _ = conn.Write([]byte{0xff, 0x01, 0})
				_, _ = io.Copy(io.Discard, conn)
			})
		}, shadow.Broken},
		"too long messages": {func(t *testing.T) string {
			return server(t, answering(func(string) []ws.Frame { return []ws.Frame{ws.NewTextFrame(bytes.Repeat([]byte("x"), 2000))} }))
		}, shadow.TooLong},
	} {
		t.Run(name, func(t *testing.T) {
			c := compare(t, "wsify", server(t, echo), test.fresh(t), func(o *shadow.Options) {
				o.MaxMessage, o.Lag = 1000, time.Millisecond
				if test.reason == shadow.TooMuch {
					o.ConnectionBytes = 20_000
				}
			})
			p := c.connect(t, ws.OpText)
			for i := range 50 {
				if i > 0 && test.reason != shadow.TooMuch {
					break // one is enough
				}
				text := fmt.Sprintf("%d %s", i, strings.Repeat("x", 500))
				p.says(text)
				p.hears(text)
			}
			c.until(t, "it is counted", func(s shadow.Summary) bool { return s.NotCompared[test.reason] == 1 })
			p.says("still here")
			p.hears("still here")
			p.leaves()
			seen, err := c.end()
			if !errors.Is(err, shadow.ErrNotCompared) || seen.Left() != 1 {
				t.Errorf("%+v, %v", seen, err)
			}
			if len(c.notes) == 0 {
				t.Error("nobody is told")
			}
		})
	}
}

// Without the old server clients are told so, and the shadow hears nothing.
func TestOldServerDown(t *testing.T) {
	fresh := broker(t, all)
	c := compare(t, "wsify", fmt.Sprintf("ws://127.0.0.1:%d/", coretest.FreePort(t)), fresh["wsify"], nil)
	if _, _, _, err := ws.Dial(t.Context(), "ws://"+c.address+"/"); !strings.Contains(fmt.Sprint(err), "502") {
		t.Error(err)
	}
	c.until(t, "it is counted", func(s shadow.Summary) bool { return s.Unreached == 1 })
	if seen, err := c.end(); err != nil || seen.Connections != 0 {
		t.Errorf("%+v, %v", seen, err)
	}
}

// Connections beyond the maximum are passed on, until others have ended.
func TestMaxConnections(t *testing.T) {
	c := compare(t, "wsify", server(t, echo), server(t, echo), func(o *shadow.Options) { o.MaxConnections = 1 })
	first, second := c.connect(t, ws.OpText), c.connect(t, ws.OpText)
	for _, p := range []*peer{first, second} {
		p.says("hello")
		p.hears("hello")
	}
	c.until(t, "one is beyond", func(s shadow.Summary) bool { return s.NotCompared[shadow.Beyond] == 1 && s.Equal == 1 })
	_ = first.conn.Close()
	coretest.Eventually(t, "there is room again", func() bool {
		p := c.connect(t, ws.OpText)
		p.says("hello")
		p.hears("hello")
		return c.seen().Connections > 1
	})
}

// A client that goes on writing when the old server has left takes nobody's place.
func TestClientOfServerThatLeft(t *testing.T) {
	old := server(t, func(conn net.Conn) {
		first := make([]byte, 4) // all that came: else its end would be a reset
		if _, err := io.ReadFull(conn, first); err == nil && string(first) == "GET " {
			echo(&begun{conn, bytes.NewReader(first)})
		}
	})
	c := compare(t, "wsify", old, server(t, echo), func(o *shadow.Options) { o.MaxConnections, o.Window = 1, 10*time.Millisecond })
	left, err := net.Dial("tcp", c.address)
	if err != nil {
		t.Fatal(err)
	}
	defer left.Close()
	_ = left.SetDeadline(coretest.Deadline())
	if _, err = left.Write([]byte("POST")); err == nil {
		_, err = left.Read(make([]byte, 1))
	}
	if err == nil {
		t.Fatal("the server has answered")
	}
	coretest.Eventually(t, "the relay finds the server gone", func() bool {
		_, err := left.Write([]byte(" / HTTP/1.1"))
		return err != nil
	})
	coretest.Eventually(t, "there is room again", func() bool {
		p := c.connect(t, ws.OpText)
		p.says("hello")
		p.hears("hello")
		return c.seen().Connections > 0
	})
}

// At the end nothing is left of it, even if clients and servers go on.
func TestEnd(t *testing.T) {
	old, fresh := server(t, echo), server(t, echo)
	none := coretest.Leftovers(t, "github.com/polywire/polywire/shadow_test.server.func1", "github.com/polywire/polywire/shadow_test.server.func1.1")
	c := compare(t, "wsify", old, fresh, nil)
	p := c.connect(t, ws.OpText)
	p.says("hello")
	p.hears("hello")
	c.equal(t, 1)
	if seen, err := c.end(); err != nil || seen.Equal != 1 {
		t.Errorf("%+v, %v", seen, err)
	}
	if _, err := wsutil.ReadServerText(p.conn); err == nil {
		t.Error("the client is still connected")
	}
	none()
}
