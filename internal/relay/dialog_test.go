package relay

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// heard writes down what a dialog tells.
type heard struct{ strings.Builder }

func (h *heard) Asked(e *Exchange) {
	fmt.Fprintf(h, "%s %s %q; ", e.Request.Method, e.Request.URL, e.Body)
}

func (h *heard) Answered(e *Exchange, a *http.Response, body []byte) {
	fmt.Fprintf(h, "%s: %d %q; ", e.Request.URL, a.StatusCode, body)
}

func (h *heard) Upgraded(e *Exchange, _ *http.Response) {
	fmt.Fprintf(h, "%s upgraded; ", e.Request.URL)
}

func (h *heard) Said(server bool, m Message) { fmt.Fprintf(h, "%v %q; ", server, m.Data) }

// HTTP is read alike in whatever pieces it comes.
func TestHTTPInPieces(t *testing.T) {
	const chunked = "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\n\n\r\n0\r\nTrailer: z\r\n\r\n"
	const plainChunks = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
	for _, tt := range []struct{ name, client, server, want string }{
		{
			"requests", "POST /1 HTTP/1.1\r\nHost: h\r\n" + chunked + "POST /2 HTTP/1.1\r\nHost: h\r\n" + plainChunks + "POST /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n\r\n\r\nGET /4 HTTP/1.1\r\nHost: h\r\n\r\n",
			"", `POST /1 "abc\n"; POST /2 "abc"; POST /3 "\r\n\r\n"; GET /4 ""; `,
		},
		{
			"answers", "HEAD /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 HTTP/1.1\r\nHost: h\r\n\r\nGET /4 HTTP/1.1\r\nHost: h\r\n\r\nGET /5 HTTP/1.1\r\nHost: h\r\n\r\n",
			"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + chunked + "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\nto the end",
			`HEAD /1 ""; GET /2 ""; GET /3 ""; GET /4 ""; GET /5 ""; /1: 200 ""; /2: 200 "abc\n"; /3: 204 ""; /4: 200 "x"; /5: 200 "to the end"; `,
		},
		{
			"a refused upgrade with a request behind it", "GET /1 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
			"HTTP/1.1 400 No\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
			`GET /1 ""; /1: 400 "no"; GET /2 ""; /2: 404 ""; `,
		},
	} {
		for size := 1; size <= max(len(tt.client), len(tt.server)); size++ {
			var h heard
			d := NewDialog(1000, &h)
			for _, side := range []string{tt.client, tt.server} {
				for rest := side; rest != ""; {
					n := min(size, len(rest))
					if err := d.Feed(side == tt.server, []byte(rest[:n])); err != nil {
						t.Fatalf("%s, in pieces of %d: %v", tt.name, size, err)
					}
					rest = rest[n:]
				}
			}
			d.End(true)
			if h.String() != tt.want {
				t.Fatalf("%s, in pieces of %d: %s\nwant %s", tt.name, size, h.String(), tt.want)
			}
		}
	}
}

// A body costs what its length costs, in whatever pieces it comes: the old reader needed minutes for this.
func TestTinyPieces(t *testing.T) {
	const size = 4 << 20
	for name, text := range map[string]string{
		"length": fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)),
		"chunks": "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("8\r\n\r\n\r\n\r\n\r\n\r\n", size/8) + "0\r\n\r\n",
	} {
		asked := &bodies{}
		d := NewDialog(2*size, asked)
		for rest := text; rest != ""; {
			n := min(8, len(rest))
			if err := d.Feed(false, []byte(rest[:n])); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			rest = rest[n:]
		}
		if asked.n != size {
			t.Errorf("%s: a body of %d bytes", name, asked.n)
		}
	}
}

// bodies counts the bytes of requests' bodies.
type bodies struct {
	heard
	n int
}

func (b *bodies) Asked(e *Exchange) { b.n += len(e.Body) }

// What is no HTTP ends a dialog.
func TestNoHTTP(t *testing.T) {
	for name, text := range map[string]string{
		"no request":          "\x16\x03\x01",
		"no head":             "GET " + strings.Repeat("x", maxHead),
		"a negative chunk":    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
		"a huge chunk":        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		"an endless size":     "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("0", maxLine),
		"no end of a chunk":   "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz0\r\n\r\n",
		"more than its limit": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", maxHead+1001),
	} {
		if err := NewDialog(1000, &heard{}).Feed(false, []byte(text)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// Requests that are not answered are kept up to a bound: they take far more memory than they have bytes.
func TestUnansweredRequests(t *testing.T) {
	const limit = 1000
	var h heard
	d := NewDialog(limit, &h)
	request := []byte("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	n := 0
	for ; ; n++ {
		if err := d.Feed(false, request); err != nil {
			break
		}
		if n > (limit+maxHead)/exchangeCost {
			t.Fatalf("%d requests wait", n)
		}
	}
	if n < 2 {
		t.Errorf("only %d requests may wait", n)
	}
	// Those that are answered do not count.
	d = NewDialog(limit, &h)
	for range 10 * n {
		if err := d.Feed(false, request); err != nil {
			t.Fatal(err)
		}
		if err := d.Feed(true, []byte("HTTP/1.1 204 No Content\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
	}
}

// An upgrade may be one of several protocols.
func TestUpgrades(t *testing.T) {
	for _, tt := range []struct {
		fields []string
		want   bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"h2c"}, false},
		{[]string{"websockets"}, false},
		{[]string{"x websocket"}, false},
		{[]string{"WebSocket"}, true},
		{[]string{"h2c, websocket"}, true},
		{[]string{"websocket ,\th2c"}, true},
		{[]string{"h2c", "websocket"}, true},
	} {
		if got := Upgrades(http.Header{"Upgrade": tt.fields}); got != tt.want {
			t.Errorf("%q: %v", tt.fields, got)
		}
	}
	var h heard
	d := NewDialog(1000, &h)
	if err := d.Feed(false, []byte("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := d.Feed(true, []byte("HTTP/1.1 101 Switching Protocols\r\n\r\n")); err != nil || !d.Upgraded() {
		t.Errorf("%v, %q", err, h.String())
	}
}
