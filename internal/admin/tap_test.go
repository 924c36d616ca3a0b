package admin_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/internal/admin"
)

// fakeTap is a tap whose events are what the test sends.
type fakeTap struct {
	on      admin.Tapped
	options core.TapOptions
	events  chan []core.TapEvent
	closed  chan struct{}
}

func (f *fakeTap) Next(ctx context.Context, _ []core.TapEvent) ([]core.TapEvent, error) {
	select {
	case events, ok := <-f.events:
		if !ok {
			return nil, io.EOF
		}
		return events, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *fakeTap) Close() { close(f.closed) }

// tappable returns a source with taps, and those that are begun.
func tappable() (admin.Source, chan *fakeTap) {
	src, taps := source(new(atomic.Bool)), make(chan *fakeTap, 10)
	endpoints := src.Endpoints()
	src.Endpoints = func() []*core.Endpoint {
		return append(endpoints, &core.Endpoint{Name: "old", Stats: new(core.Stats)}) // the bridge
	}
	src.Tap = func(_ context.Context, on admin.Tapped, o core.TapOptions) (admin.Tap, error) {
		switch {
		case on.Connection != 0:
			return nil, fmt.Errorf("tapping: %w", core.ErrNoConnection)
		case on.Endpoint == "one" || on.Topic != "":
			f := &fakeTap{on, o, make(chan []core.TapEvent, 10), make(chan struct{})}
			taps <- f
			return f, nil
		case on.Endpoint == "two":
			return nil, errors.New("it is tapped already")
		}
		return nil, fmt.Errorf("tapping: %w", core.ErrNoEndpoint)
	}
	return src, taps
}

// stream begins a tap, and returns a function that reads its next event; false at its end.
func stream(t *testing.T, url string) (response *http.Response, next func() (core.TapEvent, bool)) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	return response, func() (ev core.TapEvent, ok bool) {
		t.Helper()
		for lines.Scan() {
			if data, is := strings.CutPrefix(lines.Text(), "data: "); is {
				if err := json.Unmarshal([]byte(data), &ev); err != nil {
					t.Fatal(err)
				}
				return ev, true
			}
		}
		return ev, false
	}
}

// What the endpoint sees is streamed while it is seen, until there is nothing more to see.
func TestTap(t *testing.T) {
	src, taps := tappable()
	var log bytes.Buffer
	handler := logging.New(slog.NewTextHandler(&log, nil))
	s := serve(t, "tcp", "127.0.0.1:0", src, slog.New(handler))
	response, next := stream(t, "http://"+s.Addr().String()+"/v1/tap?endpoint=one&max_message=10")
	if got := response.Header.Get("Content-Type"); response.StatusCode != 200 || got != "text/event-stream" {
		t.Errorf("%d %s", response.StatusCode, got)
	}
	tap := coretest.Receive(t, "the tap", taps)
	if tap.on.Endpoint != "one" || tap.options.MaxMessage != 10 {
		t.Errorf("%+v", tap)
	}
	for i := range 3 {
		tap.events <- []core.TapEvent{{Connection: uint64(i), Kind: core.TapText, Data: []byte("a\nb")}, {Connection: uint64(i), Kind: core.TapEnd}}
		for _, kind := range []core.TapKind{core.TapText, core.TapEnd} {
			if ev, ok := next(); !ok || ev.Connection != uint64(i) || ev.Kind != kind || kind == core.TapText && string(ev.Data) != "a\nb" {
				t.Errorf("got %+v", ev)
			}
		}
	}
	tap.events <- []core.TapEvent{{Kind: core.TapOver, Data: []byte("enough")}}
	if ev, ok := next(); !ok || ev.Kind != core.TapOver || string(ev.Data) != "enough" {
		t.Errorf("got %+v", ev)
	}
	if ev, ok := next(); ok {
		t.Errorf("after the end: %+v", ev)
	}
	coretest.Receive(t, "the end of the tap", tap.closed)
	coretest.Eventually(t, "the log says who has read", func() bool {
		handler.Flush(time.Minute)
		return strings.Contains(log.String(), "why=enough") && strings.Contains(log.String(), "a tap has begun")
	})
}

// A tap ends with its reader, and with the server, which does not wait for it.
func TestTapEnds(t *testing.T) {
	src, taps := tappable()
	s, base := start(t, src)
	response, _ := stream(t, base+"/v1/tap?endpoint=one")
	tap := coretest.Receive(t, "the tap", taps)
	if tap.options.MaxMessage != 1<<20 {
		t.Errorf("without max_message it is %d", tap.options.MaxMessage)
	}
	_ = response.Body.Close()
	coretest.Receive(t, "the end of the tap of a client that is gone", tap.closed)

	_, next := stream(t, base+"/v1/tap?endpoint=one")
	tap = coretest.Receive(t, "the tap", taps)
	stop(t, s)
	coretest.Receive(t, "the end of the tap of a server that is gone", tap.closed)
	if ev, ok := next(); !ok || ev.Kind != core.TapOver || string(ev.Data) != "the admin server ends" {
		t.Errorf("got %+v", ev)
	}
}

// What is not right is answered in words.
func TestTapMistakes(t *testing.T) {
	src, _ := tappable()
	s, base := start(t, src)
	defer stop(t, s)
	for query, want := range map[string]string{
		"":                             "400 invalid: say one of endpoint=NAME, connection=NUMBER and topic=TOPIC; endpoints: one, two",
		"?endpoint=":                   "400 invalid: say one of endpoint=NAME, connection=NUMBER and topic=TOPIC; endpoints: one, two",
		"?endpoint=three":              `404 not_found: there is no endpoint "three"; endpoints: one, two`,
		"?endpoint=old":                `404 not_found: there is no endpoint "old"; endpoints: one, two`,
		"?endpoint=two":                "409 conflict: it is tapped already",
		"?endpoint=one&endpoint=two":   "400 invalid: endpoint is given more than once; endpoints: one, two",
		"?endpoint=one&max_message=-1": `400 invalid: max_message must be a number of bytes, not "-1"; endpoints: one, two`,
		"?endpoint=one&what=x":         `400 invalid: "what" is no parameter of /v1/tap; there are endpoint, connection, topic, max_message, max_bytes, sample, every, rate, redact_key, redact_header, redact_topic, show; endpoints: one, two`,
		"?endpoint=one&topic=a":        "400 invalid: say one of endpoint=NAME, connection=NUMBER and topic=TOPIC; endpoints: one, two",
		"?connection=0":                `400 invalid: "0" is no number of a connection; endpoints: one, two`,
		"?connection=7":                "404 not_found: there is no connection 7; it may have ended",
		"?topic=%23/a":                 `400 invalid: topic: "#/a" matches no topic; endpoints: one, two`,
		"?topic=a&sample=2":            `400 invalid: sample must be a share, such as 0.01, not "2"; endpoints: one, two`,
		"?topic=a&sample=NaN":          `400 invalid: sample must be a share, such as 0.01, not "NaN"; endpoints: one, two`,
		"?topic=a&rate=x":              `400 invalid: rate must be a number of messages in a second, not "x"; endpoints: one, two`,
		"?topic=a&show=all":            `400 invalid: show can be credentials, not "all"; endpoints: one, two`,
		"?topic=a&redact_topic=%23/x":  `400 invalid: "#/x" matches no topic; endpoints: one, two`,
		"?endpoint=%zz":                "400 invalid: the query cannot be read; endpoints: one, two",
	} {
		status, body := get(t, base+"/v1/tap"+query)
		var refused struct {
			Error struct{ Code, Message string }
		}
		if err := json.Unmarshal([]byte(body), &refused); err != nil {
			t.Errorf("%s: %q: %v", query, body, err)
		}
		if got := fmt.Sprint(status, " ", refused.Error.Code, ": ", refused.Error.Message); got != want {
			t.Errorf("%s: %s", query, got)
		}
	}
	if status, _ := asked(t, s.Addr(), "HEAD /v1/tap?endpoint=one HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); status != 405 {
		t.Errorf("HEAD: %d", status)
	}
	src.Tap = nil
	without, base := start(t, src)
	defer stop(t, without)
	if status, _ := get(t, base+"/v1/tap?endpoint=one"); status != 501 {
		t.Errorf("without taps: %d", status)
	}
}

// TestWhoMayTap: only programs on this machine may, and if there is a token they must show it.
func TestWhoMayTap(t *testing.T) {
	src, _ := tappable()
	silent := slog.New(slog.DiscardHandler)
	near := serve(t, "tcp", "127.0.0.1:0", src, silent)
	socket := serve(t, "unix", filepath.Join(t.TempDir(), "s"), src, silent)
	src.Access = always(admin.Access{ReloadToken: "s3cret"})
	guarded := serve(t, "tcp", "127.0.0.1:0", src, silent)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	far := admin.New(src, silent)
	far.Start(elsewhere{ln})
	defer stop(t, far)
	for _, c := range []struct {
		name   string
		at     *admin.Server
		fields string
		want   int // 409: it may
	}{
		{"from here", near, "", 409},
		{"by a socket", socket, "", 409},
		{"by another name", near, "Host: evil.example\r\n", 403},
		{"a page", near, "Origin: http://localhost\r\n", 403},
		{"another page", near, "Sec-Fetch-Site: none\r\n", 403},
		{"a proxy", near, "X-Forwarded-For: 192.0.2.1\r\n", 403},
		{"a proxy before a socket", socket, "Via: 1.1 x\r\n", 403},
		{"without the token", guarded, "", 401},
		{"another token", guarded, "Authorization: Bearer s3cre\r\n", 401},
		{"the token", guarded, "Authorization: bearer s3cret\r\n", 409},
		{"the token by a proxy", guarded, "Authorization: Bearer s3cret\r\nForwarded: for=192.0.2.1\r\n", 403},
		{"the token from another machine", far, "Authorization: Bearer s3cret\r\n", 403},
	} {
		if !strings.Contains(c.fields, "Host: ") {
			c.fields += "Host: localhost\r\n"
		}
		if got, body := asked(t, c.at.Addr(), "GET /v1/tap?endpoint=two HTTP/1.1\r\n"+c.fields+"Connection: close\r\n\r\n"); got != c.want {
			t.Errorf("%s: %d %s, want %d", c.name, got, body, c.want)
		}
	}
}
