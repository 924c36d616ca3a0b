package network

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// TestClientOf: X-Forwarded-For is believed only where trusted proxies wrote it.
func TestClientOf(t *testing.T) {
	l := Limits{TrustedProxies: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"),
	}}
	tests := []struct{ name, from, hops, want string }{
		{"no proxy", "192.0.2.1:50", "", "192.0.2.1:50"},
		{"forged by who is no proxy", "192.0.2.1:50", "203.0.113.9", "192.0.2.1:50"},
		{"one proxy", "10.0.0.1:50", "203.0.113.9", "203.0.113.9:0"},
		{"forged through a proxy", "10.0.0.1:50", "127.0.0.1, 10.0.0.9, 203.0.113.9", "203.0.113.9:0"},
		{"two proxies", "10.0.0.1:50", "198.51.100.1, 203.0.113.9, 10.0.0.2", "203.0.113.9:0"},
		{"proxies alone", "10.0.0.1:50", "10.0.0.3, 10.0.0.2", "10.0.0.3:0"},
		{"a proxy that tells nothing", "10.0.0.1:50", "", "10.0.0.1:50"},
		{"garbage", "10.0.0.1:50", "203.0.113.9, unknown", "10.0.0.1:50"},
		{"garbage behind a proxy", "10.0.0.1:50", "203.0.113.9, _hidden, 10.0.0.2", "10.0.0.2:0"},
		{"with a port", "10.0.0.1:50", "203.0.113.9:4711", "203.0.113.9:4711"},
		{"IPv6", "[2001:db8::1]:50", "2001:dead::1", "[2001:dead::1]:0"},
		{"IPv6 in brackets", "10.0.0.1:50", "[2001:dead::1]", "[2001:dead::1]:0"},
		{"IPv6 with a port", "10.0.0.1:50", "[2001:dead::1]:80", "[2001:dead::1]:80"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:50", "::ffff:203.0.113.9", "203.0.113.9:0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := head{fields: []field{{[]byte("x-forwarded-for"), []byte(tt.hops)}}}
			from := unmapped(netip.MustParseAddrPort(tt.from))
			if got := l.client(from, &h).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestForwarded: the other fields of proxies count like X-Forwarded-For.
func TestForwarded(t *testing.T) {
	l := Limits{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	tests := []struct{ name, fields, want string }{
		{"X-Real-IP", "X-Real-IP: 203.0.113.9", "203.0.113.9:0"},
		{"X-Real-IP, IPv6", "x-real-ip: 2001:dead::1", "[2001:dead::1]:0"},
		{"X-Real-IP beside X-Forwarded-For", "X-Real-IP: 203.0.113.8\r\nX-Forwarded-For: 203.0.113.9", "203.0.113.9:0"},
		{"an empty X-Forwarded-For", "X-Real-IP: 203.0.113.8\r\nX-Forwarded-For:", "203.0.113.8:0"},
		{"an empty X-Real-IP", "X-Real-IP:", "10.0.0.1:50"},
		{"Forwarded", "Forwarded: for=203.0.113.9", "203.0.113.9:0"},
		{"Forwarded with more", "Forwarded: by=10.0.0.1; For = 203.0.113.9 ;proto=https;host=h", "203.0.113.9:0"},
		{"Forwarded beside X-Real-IP", "X-Real-IP: 203.0.113.8\r\nForwarded: for=203.0.113.9", "203.0.113.9:0"},
		{"Forwarded beside X-Forwarded-For", "Forwarded: for=203.0.113.8\r\nX-Forwarded-For: 203.0.113.9", "203.0.113.9:0"},
		{"IPv6 in quotes", `Forwarded: for="[2001:dead::1]"`, "[2001:dead::1]:0"},
		{"IPv6 with a port", `Forwarded: for="[2001:dead::1]:4711"`, "[2001:dead::1]:4711"},
		{"with a port", `Forwarded: for="203.0.113.9:4711"`, "203.0.113.9:4711"},
		{"escaped", `Forwarded: for="203.0.113\.9"`, "203.0.113.9:0"},
		{"a chain", "Forwarded: for=198.51.100.1, for=203.0.113.9, for=10.0.0.2", "203.0.113.9:0"},
		{"a chain in two fields", "Forwarded: for=198.51.100.1, for=203.0.113.9\r\nForwarded: for=10.0.0.2", "203.0.113.9:0"},
		{"forged before the proxy's", "Forwarded: for=\"127.0.0.1, for=198.51.100.1\r\nForwarded: for=203.0.113.9", "203.0.113.9:0"},
		{"a quotation that hides the proxy's", `Forwarded: for=198.51.100.1;x=", for=203.0.113.9`, "10.0.0.1:50"},
		{"a comma in quotes", `Forwarded: x="a, for=198.51.100.1";for=203.0.113.9`, "203.0.113.9:0"},
		{"unknown", "Forwarded: for=198.51.100.1, for=unknown", "10.0.0.1:50"},
		{"hidden behind a proxy", "Forwarded: for=_secret, for=10.0.0.2", "10.0.0.2:0"},
		{"without for", "Forwarded: for=198.51.100.1, proto=https", "10.0.0.1:50"},
		{"nothing", "X: y", "10.0.0.1:50"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := parseHead([]byte("GET / HTTP/1.1\r\n"+tt.fields+"\r\n\r\n"), 10)
			if err != nil {
				t.Fatal(err)
			}
			if got := l.client(netip.MustParseAddrPort("10.0.0.1:50"), h).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			stranger := netip.MustParseAddrPort("192.0.2.1:50")
			if got := l.client(stranger, h); got != stranger {
				t.Errorf("who is no proxy is believed to be %s", got)
			}
		})
	}
}

// witness is an authorizer that records the addresses of clients.
type witness struct{ seen chan string }

func (w witness) AuthorizeConnect(_ context.Context, h core.Handshake) core.Verdict {
	w.seen <- h.Remote
	return core.Allow
}

func (witness) AuthorizeCommand(context.Context, *core.Identity, core.Command) core.Verdict {
	return core.Allow
}

var (
	trusting  = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	elsewhere = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
)

// behind starts a rig behind proxies, and a witness of its chat endpoint. Plain HTTP
// answers with the client's address. handshake is the time for it.
func behind(t *testing.T, p ProxyProtocol, trusted []netip.Prefix, handshake time.Duration) (*rig, witness) {
	w := witness{make(chan string, 100)}
	return start(t, func(o *Options, ep *Endpoint) {
		o.TrustedProxies = trusted
		o.HandshakeTimeout = handshake
		ep.ProxyProtocol, ep.Authorizer, ep.Path = p, w, "/ws"
		ep.HTTP = http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			_, _ = io.WriteString(rw, "client "+req.RemoteAddr)
		})
	}), w
}

const (
	v1 = "PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n"
	// The signature of version 2.
	v2 = "\r\n\r\n\x00\r\nQUIT\n"
	// A client of 203.0.113.9:4711 and 2001:dead::1:4711.
	v2of4 = v2 + "\x21\x11\x00\x0c" + "\xcb\x00\x71\x09" + "\xc0\x00\x02\x01" + "\x12\x67\x00\x50"
	v2of6 = v2 + "\x21\x21\x00\x24" + "\x20\x01\xde\xad\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\xde\xad\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02" + "\x12\x67\x00\x50"
)

func TestProxyProtocol(t *testing.T) {
	const itself = "127.0.0.1:"
	request := strings.Replace(upgradeRequest(), "GET /", "GET /ws", 1)
	forwarded := strings.Replace(upgradeRequest("X-Forwarded-For: 198.51.100.7\r\n"), "GET /", "GET /ws", 1)
	tests := []struct {
		name    string
		choice  ProxyProtocol
		trusted []netip.Prefix
		sent    string
		status  string // "" if there is no answer
		remote  string // how the address begins that the authorizer sees
		reason  core.Reason
	}{
		{"version 1", ProxyRequired, trusting, v1 + request, "101", "203.0.113.9:4711", 0},
		{"version 1, IPv6", ProxyRequired, trusting, "PROXY TCP6 2001:dead::1 ::1 4711 80\r\n" + request, "101", "[2001:dead::1]:4711", 0},
		{"version 1, unknown", ProxyRequired, trusting, "PROXY UNKNOWN\r\n" + request, "101", itself, 0},
		{"version 2", ProxyRequired, trusting, v2of4 + request, "101", "203.0.113.9:4711", 0},
		{"version 2, IPv6", ProxyRequired, trusting, v2of6 + request, "101", "[2001:dead::1]:4711", 0},
		{"version 2, the proxy itself", ProxyRequired, trusting, v2 + "\x20\x00\x00\x00" + request, "101", itself, 0},
		{"optional and there", ProxyOptional, trusting, v1 + request, "101", "203.0.113.9:4711", 0},
		{"optional and not there", ProxyOptional, trusting, request, "101", itself, 0},
		{"optional, and who sends none is not trusted", ProxyOptional, elsewhere, request, "101", itself, 0},
		{"the client of the header is no proxy", ProxyRequired, trusting, v1 + forwarded, "101", "203.0.113.9:4711", 0},
		{"a chain of proxies", ProxyRequired, trusting, "PROXY TCP4 127.0.0.9 127.0.0.1 1 2\r\n" + forwarded, "101", "198.51.100.7:0", 0},
		{"X-Forwarded-For alone", ProxyOff, trusting, forwarded, "101", "198.51.100.7:0", 0},
		{"forged X-Forwarded-For", ProxyOff, nil, forwarded, "101", itself, 0},

		{"forged, version 1", ProxyOptional, elsewhere, v1 + request, "400", "", core.ReasonHandshake},
		{"forged, version 2", ProxyOptional, elsewhere, v2of4 + request, "400", "", core.ReasonHandshake},
		{"forged where it is required", ProxyRequired, elsewhere, v1 + request, "403", "", core.ReasonDenied},
		{"where it is off", ProxyOff, trusting, v1 + request, "400", "", core.ReasonHandshake},
		{"required and not there", ProxyRequired, trusting, request, "400", "", core.ReasonHandshake},
		{"two headers", ProxyRequired, trusting, v1 + v1 + request, "400", "", core.ReasonHandshake},
		{"oversized, version 1", ProxyRequired, trusting, "PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n" + request, "400", "", core.ReasonHandshake},
		{"oversized, version 2", ProxyRequired, trusting, v2 + "\x21\x11\xff\xff" + strings.Repeat("x", 3000), "400", "", core.ReasonHandshake},
		{"no address", ProxyRequired, trusting, "PROXY TCP4 localhost 192.0.2.1 1 2\r\n" + request, "400", "", core.ReasonHandshake},
		{"lengths that lie", ProxyRequired, trusting, v2 + "\x21\x11\x00\x04" + request, "400", "", core.ReasonHandshake},
		{"truncated, version 1", ProxyRequired, trusting, v1[:20], "400", "", core.ReasonHandshake},
		{"truncated, version 2", ProxyRequired, trusting, v2of4[:20], "408", "", core.ReasonTimeout},
		{"truncated signature", ProxyRequired, trusting, v2[:5], "408", "", core.ReasonTimeout},
		{"nothing", ProxyRequired, trusting, "", "408", "", core.ReasonTimeout},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			handshake := coretest.Patience
			if tt.status == "408" {
				handshake = 200 * time.Millisecond
			}
			r, w := behind(t, tt.choice, tt.trusted, handshake)
			c := r.dialTCP("chat")
			c.write([]byte(tt.sent))
			c.readResponse("HTTP/1.1 " + tt.status)
			if tt.status != "101" {
				if got := r.Stats().Rejected[tt.reason].Load(); got != 1 {
					t.Errorf("%d refusals are counted as %s, want 1", got, tt.reason)
				}
				return
			}
			if got := <-w.seen; !strings.HasPrefix(got, tt.remote) {
				t.Errorf("the client is %s, want %s", got, tt.remote)
			}
			c.send("echo here")
			c.expect("here")
		})
	}
}

// TestProxyHeaderInPieces: version 2 may come byte by byte.
func TestProxyHeaderInPieces(t *testing.T) {
	r, w := behind(t, ProxyRequired, trusting, coretest.Patience)
	c := r.dialTCP("chat")
	_ = c.Conn.(*net.TCPConn).SetNoDelay(true)
	for _, b := range []byte(v2of4 + strings.Replace(upgradeRequest(), "GET /", "GET /ws", 1)) {
		c.write([]byte{b})
	}
	c.readResponse("HTTP/1.1 101")
	if got := <-w.seen; got != "203.0.113.9:4711" {
		t.Errorf("the client is %s", got)
	}
}

// TestPlainClientAddress: plain HTTP knows the client's address too, even on a connection that
// a proxy uses for several clients, and when it is upgraded in the end.
func TestPlainClientAddress(t *testing.T) {
	r, w := behind(t, ProxyOptional, trusting, coretest.Patience)
	c := r.dialTCP("chat")
	c.write([]byte("PROXY TCP4 127.0.0.7 127.0.0.1 99 80\r\n"))
	ask := func(fields, want string) {
		t.Helper()
		c.write([]byte("POST /broadcast HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n" + fields + "\r\n"))
		c.readResponse("HTTP/1.1 200")
		body := make([]byte, len("client ")+len(want))
		if _, err := io.ReadFull(c, body); err != nil || string(body) != "client "+want {
			t.Fatalf("got %q, want %q: %v", body, want, err)
		}
	}
	ask("", "127.0.0.7:99")
	ask("X-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7:0")
	ask("X-Real-IP: 198.51.100.6\r\n", "198.51.100.6:0")
	ask("Forwarded: for=198.51.100.5\r\n", "198.51.100.5:0")
	ask("X-Forwarded-For: 198.51.100.9\r\nX-Forwarded-For: 198.51.100.8, 127.0.0.2\r\n", "198.51.100.8:0")
	ask("", "127.0.0.7:99")
	c.write([]byte(strings.Replace(upgradeRequest("X-Forwarded-For: 198.51.100.1\r\n"), "GET /", "GET /ws", 1)))
	c.readResponse("HTTP/1.1 101")
	if got := <-w.seen; got != "198.51.100.1:0" {
		t.Errorf("the client is %s", got)
	}
}

// TestLimitsLookThroughProxies: a client behind a proxy is counted by its own address, and
// the proxy does not count as a client that opens too many handshakes.
func TestLimitsLookThroughProxies(t *testing.T) {
	r := start(t, func(o *Options, ep *Endpoint) {
		o.TrustedProxies = trusting
		o.MaxHandshakesPerAddress = 1
		ep.Limits = core.NewLiveLimits(core.Limits{ConnectionsPerAddress: 1})
	})
	r.dialTCP("chat").write([]byte("GET"))
	eventually(t, "a handshake is under way", func() bool { return r.admission.handshakes.Load() == 1 })
	upgrade := func(address, status string) {
		t.Helper()
		c := r.dialTCP("chat")
		c.write([]byte(upgradeRequest("X-Forwarded-For: " + address + "\r\n")))
		c.readResponse("HTTP/1.1 " + status)
	}
	upgrade("198.51.100.1", "101")
	upgrade("198.51.100.2", "101")
	upgrade("198.51.100.1", "429")
	upgrade("2001:dead::1", "101")
	upgrade("2001:dead::2", "429")
}
