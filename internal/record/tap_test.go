package record_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/record"
)

// startTap records what an endpoint sees, which is named like its protocol. The recording ends with the broker.
func startTap(t *testing.T, protocol string, servers map[string]*url.URL) *recording {
	t.Helper()
	at := *servers["admin"]
	at.Path, at.RawQuery = "/v1/tap", "show=credentials&endpoint="+protocol
	response, err := http.Get(at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
	return recordEvents(t, protocol, servers[protocol].Path, record.Events(response.Body, 8<<20), nil)
}

// recordEvents records events until there are no more.
func recordEvents(t *testing.T, protocol, path string, next func() (core.TapEvent, error), change func(*record.Options)) *recording {
	t.Helper()
	r := new(recording)
	o := record.Options{Server: "the endpoint " + protocol, Endpoint: protocol, Path: path, Out: r, Dissector: dissector(t, protocol), Note: func(s string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.notes = append(r.notes, s)
	}}
	if change != nil {
		change(&o)
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() {
		var err error
		r.seen, err = record.Tap(ctx, o, next)
		ended <- err
	}()
	r.quit = cancel
	r.stop = func() (record.Summary, error) {
		err := coretest.Receive(t, "the end of the recording", ended)
		return r.seen, err
	}
	return r
}

// A session of each format is recorded with a tap as it is between the clients and the broker.
func TestTapSessions(t *testing.T) {
	for _, s := range sessions {
		t.Run(s.protocol, func(t *testing.T) {
			yaml := strings.ReplaceAll(answering, "APP", app(t))
			var r *recording
			serve(t, yaml, func(servers map[string]*url.URL) {
				r = startTap(t, s.protocol, servers)
				if err := play(t, s.protocol, s.script, servers, map[string]string{"token": "secret=wide-secret-8"}); err != nil {
					t.Fatal(err)
				}
			})
			if _, err := r.stop(); err != nil {
				t.Error(err)
			}
			s.check(t, yaml, r.text())
		})
	}
}

// What a tap cannot tell is a note in the recording, and what is lost makes it fail.
func TestTapGaps(t *testing.T) {
	const upgrade, switching = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n"
	event := func(c uint64, kind core.TapKind, server bool, text string) core.TapEvent {
		return core.TapEvent{Connection: c, Kind: kind, FromServer: server, Data: []byte(text), Size: len(text)}
	}
	opened := func(c uint64) []core.TapEvent {
		return []core.TapEvent{event(c, core.TapRequest, false, upgrade), event(c, core.TapResponse, true, switching)}
	}
	lost := core.TapEvent{Connection: 1, Kind: core.TapLost, Lost: 2, Size: 20}
	long := core.TapEvent{Connection: 1, Kind: core.TapText, Size: 5000}
	over := event(0, core.TapOver, true, "enough")
	for name, c := range map[string]struct {
		events []core.TapEvent
		change func(*record.Options)
		want   string // in the recording, behind the preamble
		seen   record.Summary
		err    error
	}{
		"the client ends it":    {events: append(opened(1), event(1, core.TapText, false, "a"), event(1, core.TapEnd, false, "")), want: "connect c1 x\nc1 > a\nc1 cut\n", seen: record.Summary{Connections: 1, Sent: 1}},
		"the server ends it":    {events: append(opened(1), event(1, core.TapEnd, true, "")), want: "connect c1 x\nc1 <end\n", seen: record.Summary{Connections: 1}},
		"a close":               {events: append(opened(1), event(1, core.TapClose, false, "\x03\xe8x"), event(1, core.TapClose, true, "\x03\xe8"), event(1, core.TapEnd, true, "")), want: "connect c1 x\nc1 >close 1000 x\nc1 <close 1000\n", seen: record.Summary{Connections: 1}},
		"a refused upgrade":     {events: []core.TapEvent{event(1, core.TapRequest, false, upgrade), event(1, core.TapResponse, true, "HTTP/1.1 401 Unauthorized\r\n\r\n"), event(1, core.TapEnd, true, "")}, want: "connect c1 x => 401\n", seen: record.Summary{Connections: 1}},
		"without an answer":     {events: []core.TapEvent{event(1, core.TapRequest, false, "POST /b HTTP/1.1\r\nHost: h\r\n\r\nbody"), event(1, core.TapEnd, false, "")}, want: "# a request that was not answered: http POST x /b\n#   body body\n", seen: record.Summary{Requests: 1}},
		"a gap":                 {events: append(opened(1), lost, event(1, core.TapText, false, "a"), event(1, core.TapEnd, false, "")), want: "connect c1 x\n# c1: 2 messages with 20 bytes are lost: the recorder was too slow\nc1 stall\n", seen: record.Summary{Connections: 1, Lost: 1}, err: record.ErrLost},
		"a gap at the start":    {events: []core.TapEvent{lost, event(1, core.TapText, false, "a")}, want: "# a connection that is not recorded at all: 2 messages with 20 bytes are lost: the recorder was too slow\n", seen: record.Summary{Lost: 1}, err: record.ErrLost},
		"of unseen connections": {events: []core.TapEvent{{Kind: core.TapLost, Lost: 9}}, want: "# connections that are not recorded at all: 9 messages with 0 bytes are lost: the recorder was too slow\n", seen: record.Summary{Lost: 1}, err: record.ErrLost},
		"a fault":               {events: append(opened(1), event(1, core.TapFault, false, "no mask"), event(1, core.TapClose, true, "\x03\xea")), want: "connect c1 x\n# c1: the client sent what cannot be recorded (no mask); the connection is not recorded any further\nc1 stall\n", seen: record.Summary{Connections: 1, Broken: 1}},
		"a slow client":         {events: append(opened(1), event(1, core.TapDropped, true, "")), want: "connect c1 x\n# c1: the client read too slowly and lost messages; the connection is not recorded any further\nc1 stall\n", seen: record.Summary{Connections: 1, Broken: 1}},
		"a long message":        {events: append(opened(1), long, event(1, core.TapEnd, true, "")), want: "connect c1 x\n# c1 > a text message of 5000 bytes, too long to be recorded\nc1 <end\n", seen: record.Summary{Connections: 1, Sent: 1, TooLong: 1}},
		"a long request":        {events: []core.TapEvent{{Connection: 1, Kind: core.TapRequest, Data: []byte("POST / HTTP/1.1\r\nHost: h\r\n\r\nx"), Size: 999}, event(1, core.TapResponse, true, switching)}, want: "# a request of 999 bytes, too long to be recorded\n", seen: record.Summary{TooLong: 1}},
		"too many":              {events: append(opened(1), opened(2)...), change: func(o *record.Options) { o.MaxConnections = 1 }, want: "connect c1 x\nc1 stall\n", seen: record.Summary{Connections: 1, Unrecorded: 1}},
		"of a newer broker":     {events: append(opened(1), event(1, "colour", true, "red"), event(1, core.TapEnd, true, "")), want: "connect c1 x\nc1 <end\n", seen: record.Summary{Connections: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			events := append(c.events, over)
			r := recordEvents(t, "x", "/", func() (core.TapEvent, error) {
				if len(events) == 0 {
					return core.TapEvent{}, io.ErrUnexpectedEOF
				}
				ev := events[0]
				events = events[1:]
				return ev, nil
			}, c.change)
			seen, err := r.stop()
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			c.seen.Bytes = seen.Bytes
			if seen != c.seen {
				t.Errorf("seen %+v, want %+v", seen, c.seen)
			}
			_, text, _ := strings.Cut(r.text(), "timeout 30s\n")
			if !strings.HasPrefix(text, c.want) {
				t.Errorf("got\n%swant\n%s", text, c.want)
			}
			if got := r.notes[len(r.notes)-1]; got != "the recording ends: enough" {
				t.Errorf("it says %q", got)
			}
			parses(t, r.text())
		})
	}
}

// A recording with a tap ends at its limits, when it is told to, and when the broker is gone, which is a fault.
func TestTapRecordingEnds(t *testing.T) {
	n := 0
	endless := func() (core.TapEvent, error) {
		kinds := []core.TapKind{core.TapRequest, core.TapResponse, core.TapEnd}
		texts := []string{"GET /b HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", ""}
		ev := core.TapEvent{Connection: 1 + uint64(n/3), Kind: kinds[n%3], FromServer: n%3 > 0, Data: []byte(texts[n%3]), Size: len(texts[n%3])}
		n++
		return ev, nil
	}
	r := recordEvents(t, "x", "/", endless, func(o *record.Options) { o.MaxSize = 2000 })
	if seen, err := r.stop(); err != nil || seen.Limit == "" || seen.Bytes < 1000 || !strings.HasSuffix(r.notes[0], "2000 bytes") {
		t.Errorf("%+v, %v, %q", seen, err, r.notes)
	}
	parses(t, r.text())

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	silent := make(chan struct{})
	defer close(silent)
	if _, err := record.Tap(ctx, record.Options{Out: io.Discard}, func() (core.TapEvent, error) {
		<-silent
		return core.TapEvent{}, io.EOF
	}); err != nil {
		t.Errorf("when it is told to: %v", err)
	}

	r = recordEvents(t, "x", "/", record.Events(strings.NewReader("data: {\"direction\":\"in\",\"time\":\"2026-01-01T00:00:00Z\"}\n\n"), 1000), nil)
	if _, err := r.stop(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("when the broker is gone: %v", err)
	}
	for _, bad := range []string{"data: {}\n\n", "data: " + strings.Repeat("x", 2000) + "\n\n"} {
		r = recordEvents(t, "x", "/", record.Events(strings.NewReader(bad), 1000), nil)
		if _, err := r.stop(); err == nil {
			t.Errorf("%.20q is read", bad)
		}
	}
}
