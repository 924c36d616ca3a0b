package network

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// The tests of this file compare handshakes with gorilla's upgrader behind net/http, which
// most of the originals use. We accept what it accepts, except what deliberate lists. The
// tests of clients/ do the same with the upgrader itself.

// original is net/http, without sockets, with a handler that accepts what gorilla's upgrader
// accepts.
type original struct {
	conns chan net.Conn
	http  http.Server
}

// takes reports whether gorilla's upgrader accepts a request.
func takes(r *http.Request) bool {
	has := func(name, token string) bool {
		return slices.ContainsFunc(strings.Split(strings.Join(r.Header[name], ","), ","), func(t string) bool {
			return strings.EqualFold(strings.Trim(t, " \t"), token)
		})
	}
	return r.Method == http.MethodGet && has("Connection", "upgrade") && has("Upgrade", "websocket") &&
		has("Sec-Websocket-Version", "13") && isKey(r.Header.Get("Sec-Websocket-Key"))
}

func newOriginal(t testing.TB) *original {
	g := &original{conns: make(chan net.Conn)}
	g.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !takes(r) {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	g.http.MaxHeaderBytes = 1 << 20
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = g.http.Serve(g)
	}()
	t.Cleanup(func() {
		_ = g.http.Close()
		<-served
	})
	return g
}

// Accept, Close and Addr make it the listener of its server.
func (g *original) Accept() (net.Conn, error) {
	nc, ok := <-g.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return nc, nil
}

func (g *original) Close() error   { close(g.conns); return nil }
func (g *original) Addr() net.Addr { return &net.TCPAddr{} }

// status returns the status of its answer to a request, 0 if there is none.
func (g *original) status(raw []byte) int {
	here, there := net.Pipe()
	defer func() { _ = here.Close() }()
	g.conns <- said{there, bytes.NewReader(raw)}
	response, err := http.ReadResponse(bufio.NewReader(here), nil)
	if err != nil {
		return 0
	}
	if response.StatusCode == http.StatusOK {
		return http.StatusSwitchingProtocols
	}
	return response.StatusCode
}

// said is a connection on which a client has sent everything that it will send.
type said struct {
	net.Conn
	from io.Reader
}

func (s said) Read(b []byte) (int, error) { return s.from.Read(b) }

// status returns the endpoint's status for a request head that was read as a whole, 0 if it
// is not a valid head.
func (ep *endpoint) status(raw []byte) int {
	o := ep.server.options
	buf, end, err := readHead(bytes.NewReader(raw), o.MaxHeader)
	if errors.Is(err, errRequestLine) || errors.Is(err, errLineEnd) || errors.Is(err, errWantsTLS) || errors.Is(err, errWantsProxy) {
		return http.StatusBadRequest
	}
	if err != nil || end != len(raw) {
		return 0
	}
	h, err := parseHead(buf[:end], o.MaxHeaderFields)
	if err != nil || !h.upgrade {
		return http.StatusBadRequest
	}
	target, err := url.ParseRequestURI(h.target)
	if err != nil {
		return http.StatusBadRequest
	}
	s := newHandshake(h)
	ep.handshake(&visitor{client: netip.MustParseAddrPort("192.0.2.1:50")}, h, target, s)
	response, err := http.ReadResponse(bufio.NewReader(&s.Buffer), nil)
	if err != nil {
		return 0
	}
	return response.StatusCode
}

// deliberate says why our answer to a head may differ from gorilla's; "" if there is no
// reason. taken is whether gorilla accepts it.
func deliberate(raw []byte, taken bool) string {
	lines := bytes.Split(bytes.TrimSuffix(raw, []byte("\r\n\r\n")), []byte("\n"))
	count := map[string]int{}
	for i, line := range lines {
		line, cr := bytes.CutSuffix(line, []byte("\r"))
		if !cr && i < len(lines)-1 {
			return "a bare line feed hides a request from who wants a carriage return"
		}
		if bytes.ContainsAny(line, "\r") {
			return "so does a carriage return that stands alone"
		}
		if i == 0 {
			continue
		}
		if bytes.HasPrefix(line, []byte(" ")) || bytes.HasPrefix(line, []byte("\t")) {
			return "a folded line is a field to some and a part of one to others"
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		key := strings.ToLower(string(name))
		count[key]++
		value = bytes.Trim(value, " \t")
		switch {
		case key == "":
			return "net/http skips a field without a name"
		case count[key] > 1 && slices.Contains([]string{"content-length", "sec-websocket-key"}, key):
			return "of two lengths or keys each side may take another one"
		case key == "transfer-encoding", key == "content-length" && len(bytes.Trim(value, "0")) > 0:
			return "a body may be a second request"
		case key == "sec-websocket-key" && !taken && len(value) == maxKey && !isKey(string(value)):
			return "the key is a nonce for us, whatever it encodes"
		}
	}
	return ""
}

func isKey(s string) bool {
	b, err := base64.StdEncoding.DecodeString(s)
	return err == nil && len(b) == 16
}

const (
	start10    = "GET / HTTP/1.0\r\n"
	start11    = "GET / HTTP/1.1\r\n"
	hostLine   = "Host: a.example\r\n"
	asksLines  = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	keyLine    = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	socketLine = keyLine + "Sec-WebSocket-Version: 13\r\n"
)

// handshakes are heads seen in practice, with our answers.
var handshakes = []struct {
	name, head string
	want       int
}{
	{"plain", start11 + hostLine + asksLines + socketLine, 101},
	{"names in capitals", strings.ToUpper(start11 + hostLine + asksLines + "SEC-WEBSOCKET-VERSION: 13\r\n" + "X: y\r\n"), 400},
	{"names in small letters", start11 + "host: a\r\nupgrade: WebSocket\r\nconnection: upgrade\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n", 101},
	{"no body, said (Envoy, Java)", start11 + hostLine + "Content-Length: 0\r\n" + asksLines + socketLine, 101},
	{"no body, in four digits", start11 + hostLine + "Content-Length: 0000\r\n" + asksLines + socketLine, 101},
	{"no body, said twice", start11 + hostLine + "Content-Length: 0\r\nContent-Length: 0\r\n" + asksLines + socketLine, 400},
	{"a list of lengths", start11 + hostLine + "Content-Length: 0, 0\r\n" + asksLines + socketLine, 400},
	{"a signed length", start11 + hostLine + "Content-Length: +0\r\n" + asksLines + socketLine, 400},
	{"a hexadecimal length", start11 + hostLine + "Content-Length: 0x0\r\n" + asksLines + socketLine, 400},
	{"an empty length", start11 + hostLine + "Content-Length:\r\n" + asksLines + socketLine, 400},
	{"a body", start11 + hostLine + "Content-Length: 5\r\n" + asksLines + socketLine, 400},
	{"a chunked body", start11 + hostLine + "Transfer-Encoding: chunked\r\n" + asksLines + socketLine, 400},
	{"an empty encoding", start11 + hostLine + "Transfer-Encoding:\r\n" + asksLines + socketLine, 400},
	{"another encoding", start11 + hostLine + "Transfer-Encoding: identity\r\n" + asksLines + socketLine, 400},
	{"length and encoding", start11 + hostLine + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n" + asksLines + socketLine, 400},

	{"Connection: keep-alive, Upgrade (Firefox)", start11 + hostLine + "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" + socketLine, 101},
	{"Connection in two fields", start11 + hostLine + "Connection: keep-alive\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + socketLine, 101},
	{"Connection in two fields, the other way", start11 + hostLine + "Connection: Upgrade\r\nUpgrade: websocket\r\nConnection: keep-alive\r\n" + socketLine, 101},
	{"Connection in three fields", start11 + hostLine + "Connection: a\r\nConnection: b, upgrade ,c\r\nConnection: d\r\nUpgrade: websocket\r\n" + socketLine, 101},
	{"Connection without Upgrade", start11 + hostLine + "Connection: keep-alive\r\nUpgrade: websocket\r\n" + socketLine, 400},
	{"no Connection", start11 + hostLine + "Upgrade: websocket\r\n" + socketLine, 400},
	{"a list in Upgrade", start11 + hostLine + "Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n" + socketLine, 101},
	{"a list in Upgrade, the other way", start11 + hostLine + "Upgrade: h2c,WebSocket\r\nConnection: Upgrade\r\n" + socketLine, 101},
	{"Upgrade in two fields", start11 + hostLine + "Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + socketLine, 101},
	{"Upgrade twice the same", start11 + hostLine + "Upgrade: websocket\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + socketLine, 101},
	{"another Upgrade", start11 + hostLine + "Upgrade: websockets\r\nConnection: Upgrade\r\n" + socketLine, 400},

	{"no extensions, said", start11 + hostLine + asksLines + socketLine + "Sec-WebSocket-Extensions:\r\n", 101},
	{"blank extensions", start11 + hostLine + asksLines + socketLine + "Sec-WebSocket-Extensions:  \t \r\n", 101},
	{"garbage extensions", start11 + hostLine + asksLines + socketLine + "Sec-WebSocket-Extensions: @@;=,\r\n", 101},
	{"half an extension", start11 + hostLine + asksLines + socketLine + "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=\"1\r\n", 101},
	{"deflate in two fields", start11 + hostLine + asksLines + socketLine + "Sec-WebSocket-Extensions: x-webkit-deflate-frame\r\nSec-WebSocket-Extensions: permessage-deflate\r\n", 101},
	{"an empty subprotocol", start11 + hostLine + asksLines + socketLine + "Sec-WebSocket-Protocol:\r\n", 101},

	{"versions in a list", start11 + hostLine + asksLines + keyLine + "Sec-WebSocket-Version: 8, 13\r\n", 101},
	{"versions in two fields", start11 + hostLine + asksLines + keyLine + "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Version: 13\r\n", 101},
	{"another version", start11 + hostLine + asksLines + keyLine + "Sec-WebSocket-Version: 8\r\n", 426},
	{"an empty version", start11 + hostLine + asksLines + keyLine + "Sec-WebSocket-Version:\r\n", 426},
	{"no version", start11 + hostLine + asksLines + keyLine, 400},
	{"no key", start11 + hostLine + asksLines + "Sec-WebSocket-Version: 13\r\n", 400},
	{"an empty key", start11 + hostLine + asksLines + "Sec-WebSocket-Key:\r\nSec-WebSocket-Version: 13\r\n", 400},
	{"a short key", start11 + hostLine + asksLines + "Sec-WebSocket-Key: YQ==\r\nSec-WebSocket-Version: 13\r\n", 400},
	{"a long key", start11 + hostLine + asksLines + "Sec-WebSocket-Key: " + strings.Repeat("YQ==", 1000) + "\r\nSec-WebSocket-Version: 13\r\n", 400},
	{"two keys", start11 + hostLine + asksLines + keyLine + socketLine, 400},

	{"HTTP/1.0", start10 + hostLine + asksLines + socketLine, 101},
	{"HTTP/1.0 without a host", start10 + asksLines + socketLine, 101},
	{"HTTP/1.0 with an encoding", start10 + "Transfer-Encoding: chunked\r\n" + asksLines + socketLine, 400},
	{"HTTP/1.7", "GET / HTTP/1.7\r\n" + hostLine + asksLines + socketLine, 101},
	{"HTTP/2.0", "GET / HTTP/2.0\r\n" + hostLine + asksLines + socketLine, 505},
	{"HTTP/1", "GET / HTTP/1\r\n" + hostLine + asksLines + socketLine, 400},
	{"no host", start11 + asksLines + socketLine, 400},
	{"an empty host", start11 + "Host:\r\n" + asksLines + socketLine, 101},
	{"two hosts", start11 + hostLine + hostLine + asksLines + socketLine, 400},
	{"a host with a blank", start11 + "Host: a b\r\n" + asksLines + socketLine, 400},
	{"a host that is an address", start11 + "Host: [2001:db8::1]:8080\r\n" + asksLines + socketLine, 101},
	{"the whole URL", "GET http://a.example/x?y HTTP/1.1\r\n" + hostLine + asksLines + socketLine, 101},
	{"the whole URL, no host", "GET http://a.example/x?y HTTP/1.1\r\n" + asksLines + socketLine, 400},
	{"a malformed target", "GET /%zz HTTP/1.1\r\n" + hostLine + asksLines + socketLine, 400},
	{"POST", "POST / HTTP/1.1\r\n" + hostLine + asksLines + socketLine, 405},
	{"POST without a body, said", "POST / HTTP/1.1\r\n" + hostLine + "Content-Length: 0\r\n" + asksLines + socketLine, 405},
	{"a method in small letters", "get / HTTP/1.1\r\n" + hostLine + asksLines + socketLine, 405},
	{"a long method", strings.Repeat("G", 5000) + " / HTTP/1.1\r\n" + hostLine + asksLines + socketLine, 405},

	{"a big cookie", start11 + hostLine + "Cookie: sso=" + strings.Repeat("x", 40_000) + "\r\n" + asksLines + socketLine, 101},
	{"many cookies", start11 + hostLine + strings.Repeat("Cookie: a=b\r\n", 900) + asksLines + socketLine, 101},
	{"a value that is not ASCII", start11 + hostLine + "X-Name: J\xc3\xbcrgen \xff\r\n" + asksLines + socketLine, 101},
	{"an empty value", start11 + hostLine + "X:\r\n" + asksLines + socketLine, 101},
	{"NUL in a value", start11 + hostLine + "X: a\x00b\r\n" + asksLines + socketLine, 400},
	{"a blank before the colon", start11 + hostLine + "X : y\r\n" + asksLines + socketLine, 400},
	{"no colon", start11 + hostLine + "X\r\n" + asksLines + socketLine, 400},
	{"no name", start11 + hostLine + ": y\r\n" + asksLines + socketLine, 400},
	{"a folded line", start11 + hostLine + "X: y\r\n z\r\n" + asksLines + socketLine, 400},
	{"a folded line behind Upgrade", start11 + hostLine + asksLines + " x: y\r\n" + socketLine, 400},
	{"a bare line feed", start11 + "Host: a\nX: y\r\n" + asksLines + socketLine, 400},
	{"a bare carriage return", start11 + "Host: a\rX: y\r\n" + asksLines + socketLine, 400},
}

// TestHandshakesOfTheWorld: every head gets the right answer over a socket, and heads that
// gorilla accepts are accepted.
func TestHandshakesOfTheWorld(t *testing.T) {
	r, g := start(t, nil), newOriginal(t)
	for _, tt := range handshakes {
		t.Run(tt.name, func(t *testing.T) {
			raw := []byte(tt.head + "\r\n")
			c := r.dialTCP("echo")
			c.t = t
			c.write(raw)
			response, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, response.Body)
			if got := response.StatusCode; got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
			if theirs := g.status(raw); (theirs == 101) != (tt.want == 101) && deliberate(raw, theirs == 101) == "" {
				t.Errorf("we want %d, and gorilla answers %d", tt.want, theirs)
			}
		})
	}
}

// compare compares our answer to a head with gorilla's.
func compare(t *testing.T, ep *endpoint, g *original, raw []byte) {
	t.Helper()
	theirs, ours := g.status(raw), ep.status(raw)
	if (theirs == 101) != (ours == 101) && deliberate(raw, theirs == 101) == "" {
		t.Errorf("gorilla answers %d and we %d:\n%q", theirs, ours, raw)
	}
}

// TestHandshakesAtRandom builds heads from random parts, mostly good ones.
func TestHandshakesAtRandom(t *testing.T) {
	ep, g := start(t, nil).eps["echo"], newOriginal(t)
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	good := []string{hostLine, "Upgrade: websocket\r\n", "Connection: Upgrade\r\n", keyLine, "Sec-WebSocket-Version: 13\r\n"}
	parts := [][]string{
		{"Host: b\r\n", "Host: \r\n", "Host: a:80\r\n", "Host: a/b\r\n"},
		{"Upgrade: h2c\r\n", "Upgrade: websocket, h2c\r\n", "Upgrade: h2c ,\tWebSocket\r\n", "Upgrade:\r\n", "Upgrade: websocket/13\r\n", "Upgrade: websocket h2c\r\n"},
		{"Connection: keep-alive\r\n", "Connection: keep-alive, Upgrade\r\n", "connection: UPGRADE,close\r\n", "Connection:\r\n", "Connection: Upgrade;x\r\n"},
		{"Sec-WebSocket-Key: YQ==\r\n", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAA\r\n", "sec-websocket-key:\r\n"},
		{"Sec-WebSocket-Version: 8\r\n", "Sec-WebSocket-Version: 13, 8\r\n", "Sec-WebSocket-Version: 7,13\r\n", "Sec-WebSocket-Version: 013\r\n"},
		{"Content-Length: 0\r\n", "Content-Length: 00\r\n", "Content-Length: -0\r\n", "Content-Length: 7\r\n", "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip, chunked\r\n"},
		{"Sec-WebSocket-Extensions:\r\n", "Sec-WebSocket-Extensions: permessage-deflate\r\n", "Sec-WebSocket-Extensions: ,;=\r\n", "Sec-WebSocket-Protocol: a, b\r\n", "Sec-WebSocket-Protocol: ,\r\n"},
		{"X: y\r\n", "X : y\r\n", "X\r\n", " folded\r\n", "X: y\n", "X: \x01\r\n", ": y\r\n", "Cookie: \xe4\r\n", "Expect: 100-continue\r\n", "Keep-Alive: 300\r\n"},
	}
	for range 3000 {
		lines := slices.Clone(good)
		if rnd.IntN(4) == 0 {
			lines = slices.Delete(lines, 0, 1)
		}
		for range rnd.IntN(4) {
			choices := parts[rnd.IntN(len(parts))]
			part := choices[rnd.IntN(len(choices))]
			if rnd.IntN(2) == 0 {
				lines = append(lines, part)
			} else {
				lines[rnd.IntN(len(lines))] = part
			}
		}
		rnd.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		first := []string{start11, start11, start10, "GET /a?b HTTP/1.1\r\n", "POST / HTTP/1.1\r\n"}[rnd.IntN(5)]
		raw := []byte(first + strings.Join(lines, "") + "\r\n")
		if compare(t, ep, g, raw); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// FuzzHandshake looks for heads to which our answer differs from gorilla's.
func FuzzHandshake(f *testing.F) {
	for _, tt := range handshakes {
		f.Add([]byte(tt.head + "\r\n"))
	}
	ep, g := start(f, nil).eps["echo"], newOriginal(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		i := bytes.Index(raw, []byte("\r\n\r\n"))
		if i < 0 || bytes.Contains(raw[:i], []byte("\n\n")) || bytes.Contains(raw[:i], []byte("\n\r\n")) {
			return // no head, or one that ends earlier for net/http
		}
		compare(t, ep, g, raw[:i+4])
	})
}

// TestHandshakeAllocates: an ordinary handshake costs a few small allocations, although it
// is rewritten for the upgrader.
func TestHandshakeAllocates(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	ep := start(t, nil).eps["chat"]
	raw := []byte(upgradeRequest())
	target := &url.URL{Path: "/"}
	v := &visitor{client: netip.MustParseAddrPort("192.0.2.1:50")}
	got := testing.AllocsPerRun(100, func() {
		h, err := parseHead(raw, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := ep.handshake(v, h, target, newHandshake(h)); !ok {
			t.Fatal("refused")
		}
	})
	if got > 16 {
		t.Errorf("%v allocations", got)
	}
}

// TestRefusalsEndTheConnection: the answer to a refused upgrade says that the connection ends.
func TestRefusalsEndTheConnection(t *testing.T) {
	ep := start(t, nil).eps["chat"]
	for _, head := range []string{
		strings.Replace(upgradeRequest(), "Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", 1),
		strings.Replace(upgradeRequest(), "GET ", "POST ", 1),
	} {
		h, err := parseHead([]byte(head), 1000)
		if err != nil {
			t.Fatal(err)
		}
		s := newHandshake(h)
		if _, ok := ep.handshake(&visitor{client: netip.MustParseAddrPort("192.0.2.1:50")}, h, &url.URL{Path: "/"}, s); ok {
			t.Errorf("%q is taken", head)
		}
		said := s.String()
		response, err := http.ReadResponse(bufio.NewReader(&s.Buffer), nil)
		if err != nil || !response.Close {
			t.Errorf("%q to %q (%v), want Connection: close", said, head, err)
		}
	}
}
