package clients

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
)

// TestHandshakes sends the same heads to gorilla's upgrader behind net/http and to an endpoint of
// the broker: the broker must accept what gorilla accepts, except for what deliberate lists.
func TestHandshakes(t *testing.T) {
	upgrader := gorilla.Upgrader{EnableCompression: true, CheckOrigin: func(*http.Request) bool { return true }}
	original := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := upgrader.Upgrade(w, r, nil); err == nil {
			c.Close()
		}
	}))
	defer original.Close()
	p := configured(t, everyFormat)
	// Each accepts everything that its original's stack accepts; that of vws refuses HTTP/1.0.
	formats := []string{"wubsub", "wsify", "stocking", "webwire"}
	at := func(address string) string {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return u.Host
	}
	heads := slices.Concat(seen, random(t))
	taken := 0
	for i, head := range heads {
		theirs := status(t, at(original.URL), head)
		if theirs == 101 {
			taken++
		}
		asked := formats
		if i >= len(seen) {
			asked = formats[i%len(formats):][:1]
		}
		for _, format := range asked {
			ours := status(t, at(p.urls[format]), strings.Replace(head, " / ", " "+path(t, p.urls[format])+" ", 1))
			if (theirs == 101) != (ours == 101) && deliberate(head, theirs == 101) == "" {
				t.Errorf("%s: gorilla answers %d and we %d:\n%q", format, theirs, ours, head)
			}
		}
	}
	if taken < len(heads)/10 {
		t.Errorf("gorilla takes %d of %d heads: what does this test show?", taken, len(heads))
	}
}

func path(t *testing.T, address string) string {
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return "/" + strings.TrimPrefix(u.Path, "/")
}

// status returns the status with which a server answers a head; 0 if it does not answer.
func status(t *testing.T, address, head string) int {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	// A server that waits for a body waits in vain.
	conn.(*net.TCPConn).CloseWrite()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	return response.StatusCode
}

// deliberate says why the broker may answer a head differently; "" if there is no reason.
func deliberate(head string, taken bool) string {
	count := map[string]int{}
	lines := strings.Split(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n")
	for i, line := range lines {
		if strings.ContainsAny(line, "\r\n") {
			return "a bare line end hides a request from who wants both characters"
		}
		if i == 0 {
			continue
		}
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			return "a folded line is a field to some and a part of one to others"
		}
		name, value, _ := strings.Cut(line, ":")
		name, value = strings.ToLower(name), strings.Trim(value, " \t")
		count[name]++
		switch {
		case name == "":
			return "net/http skips a field without a name"
		case count[name] > 1 && slices.Contains([]string{"content-length", "sec-websocket-key"}, name):
			return "of two lengths or keys each side may take another one"
		case name == "transfer-encoding", name == "content-length" && strings.Trim(value, "0") != "":
			return "a body may be a second request"
		case name == "sec-websocket-key" && !taken && len(value) == 24 && !isKey(value):
			return "the key is a nonce for us, whatever it encodes"
		case name == "sec-websocket-protocol" && strings.Contains(value, ","):
			return "wsify refuses several subprotocols, as its original does"
		}
	}
	return ""
}

func isKey(s string) bool {
	b, err := base64.StdEncoding.DecodeString(s)
	return err == nil && len(b) == 16
}

const (
	asks   = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	socket = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
	start  = "GET / HTTP/1.1\r\nHost: a.example\r\n"
)

// seen are heads as clients and proxies send them.
var seen = []string{
	start + asks + socket + "\r\n",
	start + "Content-Length: 0\r\n" + asks + socket + "\r\n",
	start + "Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + socket + "\r\n",
	start + "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" + socket + "\r\n",
	start + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c, websocket\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n" + socket + "\r\n",
	start + "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n" + socket + "\r\n",
	start + asks + socket + "Sec-WebSocket-Extensions:\r\n\r\n",
	start + asks + socket + "Sec-WebSocket-Extensions: ,\r\n\r\n",
	start + asks + socket + "Cookie: sso=" + strings.Repeat("x", 50_000) + "\r\n\r\n",
	start + asks + socket + strings.Repeat("Cookie: a=b\r\n", 800) + "\r\n",
	start + asks + socket + "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n\r\n",
	"GET / HTTP/1.0\r\nHost: a.example\r\n" + asks + socket + "\r\n",
	"GET / HTTP/1.0\r\n" + asks + socket + "\r\n",
}

// random combines parts, mostly valid ones, into heads.
func random(t *testing.T) []string {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	good := []string{
		"Host: a.example\r\n", "Upgrade: websocket\r\n", "Connection: Upgrade\r\n",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "Sec-WebSocket-Version: 13\r\n",
	}
	parts := []string{
		"Host: b\r\n", "Host:\r\n", "Host: a/b\r\n",
		"Upgrade: h2c\r\n", "Upgrade: websocket, h2c\r\n", "Upgrade: h2c ,\tWebSocket\r\n", "Upgrade:\r\n", "Upgrade: websocket/13\r\n",
		"Connection: keep-alive\r\n", "Connection: keep-alive, Upgrade\r\n", "connection: UPGRADE,close\r\n", "Connection:\r\n",
		"Sec-WebSocket-Key: YQ==\r\n", "sec-websocket-key:\r\n",
		"Sec-WebSocket-Version: 8\r\n", "Sec-WebSocket-Version: 13, 8\r\n", "Sec-WebSocket-Version: 013\r\n",
		"Content-Length: 0\r\n", "Content-Length: 00\r\n", "Content-Length: -0\r\n", "Content-Length: 7\r\n", "Transfer-Encoding: chunked\r\n",
		"Sec-WebSocket-Extensions:\r\n", "Sec-WebSocket-Extensions: permessage-deflate\r\n", "Sec-WebSocket-Extensions: ,;=\r\n",
		"Sec-WebSocket-Protocol: a, b\r\n", "Sec-WebSocket-Protocol: a\r\n",
		"X : y\r\n", "X\r\n", " folded\r\n", "X: y\n", "X: \x01\r\n", "Cookie: \xe4\r\n", "Keep-Alive: 300\r\n",
	}
	var heads []string
	for len(heads) < 600 {
		lines := slices.Clone(good)
		for range rnd.IntN(4) {
			part := parts[rnd.IntN(len(parts))]
			if rnd.IntN(2) == 0 {
				lines = append(lines, part)
			} else {
				lines[rnd.IntN(len(lines))] = part
			}
		}
		rnd.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		first := []string{"GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\n", "GET / HTTP/1.0\r\n", "POST / HTTP/1.1\r\n"}[rnd.IntN(4)]
		head := first + strings.Join(lines, "") + "\r\n"
		if i := bytes.Index([]byte(head), []byte("\n\r\n")); i < len(head)-3 {
			continue // for net/http it ends earlier
		}
		heads = append(heads, head)
	}
	return heads
}
