package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core/coretest"
)

// crowdSize is how many clients are connected: 10,000 if that many files may be open, and fewer with -short.
func crowdSize(t *testing.T) int {
	t.Helper()
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	n := 10_000
	if testing.Short() {
		n = 500
	}
	if most := int(files.Cur) - 1000; most < n {
		t.Logf("%d files may be open, so there are only %d clients", files.Cur, most)
		n = most
	}
	return n
}

// gather connects n clients, which stay until the test ends.
func gather(t *testing.T, url string, n int) {
	t.Helper()
	d := ws.Dialer{Timeout: long, ReadBufferSize: 512, WriteBufferSize: 512}
	var dialling sync.WaitGroup
	errs := make(chan error, n)
	for range 16 {
		dialling.Go(func() {
			for range n / 16 {
				conn, _, _, err := d.Dial(t.Context(), url)
				if err != nil {
					errs <- err
					return
				}
				t.Cleanup(func() { _ = conn.Close() })
			}
		})
	}
	dialling.Wait()
	if len(errs) > 0 {
		t.Fatal(<-errs)
	}
}

// An operator who has nothing but the command line finds the slowest of 10,000 clients and ends it, learns why another one
// hears nothing, asks a client of an old format something, watches a message cross from one format to another, and finds
// all of it in the access and audit logs.
func TestOperatorAtTheCommandLine(t *testing.T) {
	s := &speaking{dir: t.TempDir()}
	admin := fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t))
	file := filepath.Join(s.dir, "config.yaml")
	if err := os.WriteFile(file, []byte(fmt.Sprintf(`
endpoints:
  - {name: web, protocol: wsify, listen: "127.0.0.1:0", outbound_limit: 8MiB, ping_interval: 0s, pong_timeout: 0s}
  - {name: telemetry, protocol: vws, listen: "127.0.0.1:0", options: {allow_send: true}}
  - {name: bots, protocol: wubsub, listen: "127.0.0.1:0"}
admin: {listen: %q, tokens: [{hash: %q, subject: ann, role: operate}]}
log: {access: all}
network: {send_buffer: 64KiB}
`, admin, config.DigestOf("the token of ann"))), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(tokenVariable, "the token of ann")
	broker := begin(t, nil, nil, "", "serve", "-c", file)
	urls := broker.urls(t, 5)
	web, telemetry, bots := urls["web ws"], "v"+urls["telemetry ws"], "wubsub"+strings.TrimPrefix(urls["bots ws"], "ws")
	run := func(command string, args ...any) string {
		t.Helper()
		return s.enter(t, fmt.Sprintf("broker "+command, args...)).ends(t)
	}
	connections := func(query string) (list polywire.ConnectionList) {
		t.Helper()
		if err := json.Unmarshal([]byte(run("connections --json %s", query)), &list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	post := func(path, body string) string { // as curl does
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+admin+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer the token of ann")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		answer, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s %v", path, response.StatusCode, answer, err)
		}
		return string(answer)
	}

	// It comes first: of a crowd that comes at once the log leaves lines out.
	slow, _, _, err := ws.Dialer{Timeout: long}.Dial(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	if err := slow.(*net.TCPConn).SetReadBuffer(32 << 10); err != nil {
		t.Fatal(err)
	}
	// Nobody of the crowd reads, so nobody answers pings.
	crowd := crowdSize(t) / 16 * 16
	gather(t, web, crowd)
	if err := wsutil.WriteClientText(slow, []byte(`{"command":"join","args":{"channel":"flood"}}`)); err != nil {
		t.Fatal(err)
	}
	await(t, "the slow client hears its topic", func() bool { return connections("--topic flood").Total == 1 })
	for range 8 { // which is more than sockets take, and less than outbound_limit
		post("/v1/publish?endpoint=web&topic=flood", strings.Repeat("x", 256<<10))
	}
	var slowest polywire.Connection
	await(t, "it is the slowest", func() bool {
		list := connections("--sort queued --limit 1")
		slowest = list.Connections[0]
		return list.Total == crowd+1 && slowest.QueuedBytes > 0
	})
	if slowest.Remote != slow.LocalAddr().String() {
		t.Errorf("the slowest is %+v, want that of %s", slowest, slow.LocalAddr())
	}
	if _, shown, _ := strings.Cut(run("top --count 1 --rows 1 --interval 100ms"), "\nslowest\n"); !strings.Contains(strings.Split(shown, "\nnewest\n")[0], slowest.Remote) {
		t.Errorf("top does not show it: %s", shown)
	}
	run("kick %d --reason slow", slowest.ID)
	await(t, "it is ended", func() bool { return connections("--limit 1").Total == crowd })
	await(t, "it is among those that have ended", func() bool { return strings.Contains(run("connections --closed --reason slow"), slowest.Remote) })

	silent := s.enter(t, "broker sub "+telemetry+" News/Today")
	await(t, "the silent client hears another topic", func() bool { return connections("--topic News/Today").Total == 1 })
	deaf := connections("--topic News/Today").Connections[0]
	diagnosis := s.enter(t, fmt.Sprintf("broker doctor %d --topic news/today", deaf.ID))
	if err := coretest.Receive(t, "the end of the command", diagnosis.done); err == nil || !strings.HasPrefix(diagnosis.text(), "subscription: it has subscribed to News/Today, not to news/today: upper and lower case differ\n") {
		t.Errorf("%v: %s", err, diagnosis.text())
	}

	legacy := s.enter(t, "broker answer "+bots+" bots/echo --echo")
	await(t, "the old client answers", func() bool { return strings.Contains(run("services"), "bots/echo ") })
	if answer := post("/v1/call/bots/echo?endpoint=telemetry", `{"text":"hi"}`); answer != `{"text":"hi"}` {
		t.Errorf("the old client answers %s", answer)
	}

	hears := s.enter(t, "broker sub wsify"+strings.TrimPrefix(web, "ws")+" news/today")
	await(t, "a client of another format hears the topic", func() bool { return connections("--topic news/today").Total == 1 })
	tap := s.tap(t, "broker tap --topic news/today")
	run("pub %s news/today '{\"n\":1}'", telemetry)
	await(t, "the message crosses", func() bool { return strings.Contains(tap.text(), "  out  web (wsify), 1 subscription") })
	tap.stop()
	if shown := tap.ends(t); !strings.Contains(shown, "  in   telemetry (vws), connection ") || !strings.Contains(shown, "  is   json, 7 bytes") {
		t.Error(shown)
	}
	await(t, "it has come", func() bool { return strings.Contains(hears.text(), `{"n":1}`) })
	for _, c := range []*typed{silent, legacy, hears} {
		c.stop()
		_ = coretest.Receive(t, "the end of the client", c.done)
	}

	for _, want := range [][]string{
		{`msg="client connected"`, "endpoint=web", "remote=" + slowest.Remote},
		{`msg="client left"`, fmt.Sprintf("conn=%d ", slowest.ID), "reason=slow"},
		{`msg="client subscribed"`, fmt.Sprintf("conn=%d ", deaf.ID), "topic=News/Today"},
		{"msg=admin who=ann", `action="end connections"`, fmt.Sprintf(`object="/v1/connections/%d?reason=slow"`, slowest.ID), "outcome=done"},
		{"msg=admin", "who=ann", `action="call services"`, `object="/v1/call/bots/echo?endpoint=telemetry"`, "outcome=done"},
		{"msg=admin", "who=ann", "action=publish", "topic=flood", "outcome=done"},
		{`msg="a tap has begun: what clients say is shown"`, "news/today", "ann"},
	} {
		await(t, fmt.Sprintf("a line of the log has %q", want), func() bool {
			for line := range strings.Lines(broker.log.String()) {
				if !slices.ContainsFunc(want, func(part string) bool { return !strings.Contains(line, part) }) {
					return true
				}
			}
			return false
		})
	}
}
