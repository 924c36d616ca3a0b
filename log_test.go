package polywire_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/certs/certstest"
)

// newLog returns a log whose lines have no time, and its buffer, which may be read when the broker
// has ended.
func newLog(level slog.Level) (*slog.Logger, *bytes.Buffer) {
	buf := new(bytes.Buffer)
	return slog.New(slog.NewTextHandler(buf, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})), buf
}

// exchange sends a request and reads until the server closes.
func exchange(t *testing.T, url, request string) (response string) {
	t.Helper()
	address, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(url, "ws://"), "wss://"), "/")
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(nc, request); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// upgradeTo is an upgrade request for a path, with further fields.
func upgradeTo(path string, fields ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n"
}

// A refused client is one line, with what an operator needs to see why.
func TestRefusedClientsAreLogged(t *testing.T) {
	long := strings.Repeat("é", 1000)
	cert, key := certstest.Write(t, t.TempDir(), "server", certstest.NewCA(t, "log").Issue(nil, "127.0.0.1"))
	for _, c := range []struct{ name, endpoint, request, want string }{
		{
			"origin", "{protocol: vws, path: /}", upgradeTo("/", "Origin: https://evil.example"),
			`endpoint=e reason=origin why="pages of this origin may not connect" origin=https://evil.example host=h allowed="the same host" remote=127.0.0.1`,
		},
		{
			"origin, with a list, behind a proxy", `{protocol: wsify, path: /, origins: ["https://a.example", "https://*.b.example"]}`,
			upgradeTo("/", "Origin: https://c.example", "X-Forwarded-For: 203.0.113.7"),
			`endpoint=e reason=origin why="pages of this origin may not connect" origin=https://c.example host=h allowed="https://a.example https://*.b.example" remote=203.0.113.7`,
		},
		{
			"credential", "{protocol: vws, path: /, auth: [{type: token, tokens: [{token: 0123456789abcdef, subject: ann}]}]}", upgradeTo("/"),
			`endpoint=e reason=denied why="it did not show who it is" remote=127.0.0.1 error="no credential"`,
		},
		{
			"subprotocols", "{protocol: wsify, path: /}", upgradeTo("/", `Sec-WebSocket-Protocol: a, b"c`),
			`endpoint=e reason=handshake why="it offers several subprotocols, and must offer one" remote=127.0.0.1 offered="a, b\"c"`,
		},
		{
			"path", "{protocol: vws, path: /ws}", upgradeTo("/" + long),
			`reason=handshake why="no endpoint at this path" listen=127.0.0.1 remote=127.0.0.1 path=/` + long[:126] + "…",
		},
		{
			"plain request", "{protocol: vws, path: /ws}", "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
			`endpoint=e reason=handshake why="it does not ask for an upgrade" remote=127.0.0.1 method=GET path=/ws`,
		},
		{
			"plain request elsewhere", "{protocol: vws, path: /ws}", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
			`reason=handshake why="no endpoint at this path" listen=127.0.0.1 remote=127.0.0.1 method=GET path=/a`,
		},
		{
			"key of a broadcast", "{protocol: wsify, path: /ws, options: {broadcasting_key: secret}}",
			"POST /broadcast?key=wrong HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
			`endpoint=e reason=denied why="the format refuses the request" remote=127.0.0.1 method=POST path=/broadcast`,
		},
		{
			"PROXY protocol", "{protocol: vws, path: /ws, proxy_protocol: required}",
			"PROXY TCP4 203.0.113.7 127.0.0.1 5000 80\r\n" + upgradeTo("/a"),
			`reason=handshake why="no endpoint at this path" listen=127.0.0.1 remote=203.0.113.7 path=/a`,
		},
		{
			"HTTP where TLS is spoken", "{protocol: vws, path: /ws, tls: {cert: CERT, key: KEY}}", upgradeTo("/ws"),
			`reason=tls why="client sent an HTTP request to an HTTPS server" listen=127.0.0.1 remote=127.0.0.1`,
		},
		{
			"no TLS", "{protocol: vws, path: /ws, tls: {cert: CERT, key: KEY}}", "SSH-2.0-x\r\n",
			`reason=tls why="tls: first record does not look like a TLS handshake" listen=127.0.0.1 remote=127.0.0.1`,
		},
		{
			"PROXY header where TLS is spoken", "{protocol: vws, path: /ws, tls: {cert: CERT, key: KEY}}", "PROXY TCP4 203.0.113.7 127.0.0.1 5000 80\r\n",
			`reason=tls why="client sends a PROXY header where none is taken: proxy_protocol is off here, or it is no trusted proxy" listen=127.0.0.1 remote=127.0.0.1`,
		},
		{
			"PROXY header", "{protocol: vws, path: /ws}", "PROXY TCP4 203.0.113.7 127.0.0.1 5000 80\r\n",
			`reason=handshake why="client sends a PROXY header where none is taken: proxy_protocol is off here, or it is no trusted proxy" listen=127.0.0.1 remote=127.0.0.1`,
		},
		{
			"PROXY header of version 2", "{protocol: vws, path: /ws}", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c",
			`reason=handshake why="client sends a PROXY header where none is taken: proxy_protocol is off here, or it is no trusted proxy" listen=127.0.0.1 remote=127.0.0.1`,
		},
		{
			"malformed PROXY header", "{protocol: vws, path: /ws, proxy_protocol: required}", "PROXY TCP4 1.2.3 127.0.0.1 5000 80\r\n",
			`reason=handshake why="malformed PROXY header" listen=127.0.0.1 remote=127.0.0.1 error="proxyproto: invalid address: ParseAddr(\"1.2.3\"): IPv4 address too short"`,
		},
		{
			"no PROXY header", "{protocol: vws, path: /ws, proxy_protocol: required}", upgradeTo("/ws"),
			`reason=handshake why="connection without a PROXY header, which proxy_protocol requires" listen=127.0.0.1 remote=127.0.0.1`,
		},
		{
			"Upgrade taken out", "{protocol: vws, path: /ws}", "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: close\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
			`endpoint=e reason=handshake why="it has a Sec-WebSocket-Key, but no Upgrade: websocket: a proxy has taken it out" remote=127.0.0.1 method=GET path=/ws`,
		},
		{
			"no HTTP", "{protocol: vws, path: /ws}", "SSH-2.0-x\r\n",
			`reason=handshake why="malformed request line" listen=127.0.0.1 remote=127.0.0.1`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			log, buf := newLog(slog.LevelInfo)
			endpoint := strings.NewReplacer("CERT", cert, "KEY", key).Replace(c.endpoint)
			b := runLogged(t, `
endpoints:
  - `+strings.Replace(endpoint, "{", `{name: e, listen: "127.0.0.1:0", `, 1)+`
network: {trusted_proxies: [127.0.0.0/8]}
admin: {listen: ""}
`, log)
			for range 5 {
				exchange(t, b.urls["e"].URL, c.request)
			}
			if err := b.stop(); err != nil {
				t.Error(err)
			}
			got := regexp.MustCompile(`127\.0\.0\.1:\d+|203\.0\.113\.7:\d+`).ReplaceAllStringFunc(buf.String(), func(s string) string {
				host, _, _ := net.SplitHostPort(s)
				return host
			})
			line := `level=INFO msg="client refused" ` + c.want
			if want := line + "\n"; !strings.HasPrefix(got, want) {
				t.Errorf("got  %swant %s", got, want)
			}
			if n := strings.Count(got, "client refused"); n != 2 || !strings.Contains(got, line+" left_out=3\n") {
				t.Errorf("want a second line with left_out=3, got\n%s", got)
			}
		})
	}
}

// slowEndpoint is an endpoint for clients that do not read.
const slowEndpoint = `
endpoints: [{name: e, protocol: wsify, listen: "127.0.0.1:0", outbound_limit: 32KiB}]
network: {send_buffer: 32KiB}
admin: {listen: "127.0.0.1:0"}
`

// starve makes n clients that do not read miss a broadcast, and waits until they are ended.
func starve(t *testing.T, b *running, n int) {
	t.Helper()
	var clients []*client
	defer func() {
		for _, c := range clients {
			_ = c.conn.Close()
		}
	}()
	for range n {
		c := dial(t, b.urls["e"].URL)
		clients = append(clients, c)
		if err := c.conn.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
			t.Fatal(err)
		}
		c.send(`{"command":"join","args":{"channel":"c"}}`)
		c.ping()
	}
	speaker := dial(t, b.urls["e"].URL)
	clients = append(clients, speaker)
	message := fmt.Sprintf(`{"command":"broadcast","args":{"channel":"c","content":%q}}`, strings.Repeat("x", 40_000))
	ended := fmt.Sprintf(`polywire_connections_closed_total{endpoint="e",protocol="wsify",reason="slow"} %d`+"\n", n)
	for deadline := time.Now().Add(2 * time.Minute); ; {
		speaker.send(message)
		speaker.ping()
		if _, page := get(t, b.AdminURL()); strings.Contains(page, ended) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the clients are not ended as slow")
		}
	}
}

// One broadcast to many clients that cannot take it is a few lines of the log, with their number.
func TestManySlowClientsAreFewLines(t *testing.T) {
	log, buf := newLog(slog.LevelInfo)
	b := runLogged(t, slowEndpoint, log)
	const clients = 50
	starve(t, b, clients)
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	for _, message := range []string{"client reads too slowly", "slow client left"} {
		lines := regexp.MustCompile(`(?m)^level=WARN msg="`+message+`.* endpoint=e reason=slow .*$`).FindAllString(buf.String(), -1)
		if len(lines) != 2 || !strings.HasSuffix(lines[1], fmt.Sprintf(" left_out=%d", clients-2)) {
			t.Errorf("want one line, and one for the %d others, got\n%s", clients-1, buf)
		}
	}
}

// blocked is a writer that takes nothing until it is closed.
type blocked chan struct{}

func (b blocked) Write(p []byte) (int, error) {
	<-b
	return len(p), nil
}

// A log that nobody reads harms nobody: all clients are served, and the broker ends.
func TestBlockedLogBlocksNobody(t *testing.T) {
	w := make(blocked)
	t.Cleanup(func() { close(w) })
	b := runLogged(t, slowEndpoint, slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})))
	starve(t, b, 5)
	c := dial(t, b.urls["e"].URL)
	c.ping()
	_ = c.conn.Close()
	if err := b.stop(); err != nil {
		t.Error(err)
	}
}

// The log says what failed in a TLS handshake; input of the client makes no lines of its own.
func TestFailedTLSIsLogged(t *testing.T) {
	const clients = 5
	cert, key := certstest.Write(t, t.TempDir(), "server", certstest.NewCA(t, "log").Issue(nil, "127.0.0.1"))
	log, buf := newLog(slog.LevelInfo)
	b := runLogged(t, `
endpoints:
  - {name: e, protocol: vws, listen: "127.0.0.1:0", tls: {cert: "`+cert+`", key: "`+key+`"}}
admin: {listen: "127.0.0.1:0"}
`, log)
	address, _, _ := strings.Cut(strings.TrimPrefix(b.urls["e"].URL, "wss://"), "/")
	for n := range clients {
		nc, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{strings.Repeat(fmt.Sprint(n), 200)}})
		if err == nil {
			_ = nc.Close()
			t.Error("an unknown protocol is spoken")
		}
	}
	// A client that does not trust our certificate says so.
	if nc, err := tls.Dial("tcp", address, &tls.Config{ServerName: "h"}); err == nil {
		_ = nc.Close()
		t.Error("anybody is trusted")
	}
	eventually(t, "all of them are turned away", func() bool {
		_, page := get(t, b.AdminURL())
		return strings.Contains(page, `polywire_handshakes_rejected_total{endpoint="",protocol="",reason="tls"} 6`+"\n")
	})
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	got := buf.String()
	for want, n := range map[string]int{
		`reason=tls why="tls: client requested unsupported application protocols" listen=127.0.0.1:0 remote=127.0.0.1:`: 2,
		"left_out=3": 1,
		`reason=tls why="remote error: tls: bad certificate" listen=`: 1,
	} {
		if strings.Count(got, want) != n {
			t.Errorf("want %d times %s in\n%s", n, want, got)
		}
	}
	// Whose line comes first, and is written at once, is not said.
	const begin = `error="tls: client requested unsupported application protocols ([\"`
	shortened := 0
	for n := range clients {
		sent := fmt.Sprint(n)
		shortened += strings.Count(got, begin+strings.Repeat(sent, 128-len(begin)))
		if strings.Contains(got, strings.Repeat(sent, 150)) {
			t.Errorf("what clients send is not shortened:\n%s", got)
		}
	}
	if shortened != 2 {
		t.Errorf("want 2 lines with what clients sent in\n%s", got)
	}
}

// A handler that can never be called is logged, because that mistake shows nowhere else.
func TestHandlersOfNothingAreLogged(t *testing.T) {
	log, buf := newLog(slog.LevelInfo)
	b, err := polywire.New(load(t, localhost), log)
	if err != nil {
		t.Fatal(err)
	}
	h := func(context.Context, core.Invocation) (core.Payload, error) { return core.Payload{}, nil }
	for _, match := range []string{"a/#", "a#/b", "+/b", "", "#", "a/#/b", "x#/#tail/c"} {
		b.Handle(match, h)
		b.Hear(match, h)
	}
	b.Handle("b/#/c", nil)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	line := `level=WARN msg="a handler is registered that is never called: # is for the last level of a pattern" match=`
	if got, want := buf.String(), strings.Repeat(line+"a/#/b\n", 2)+strings.Repeat(line+"x#/#tail/c\n", 2); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
