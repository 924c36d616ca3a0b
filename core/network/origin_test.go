package network

import (
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

func TestOriginMatches(t *testing.T) {
	tests := []struct {
		allowed, origin string
		want            bool
	}{
		{"*", "https://a.example", true},
		{"https://a.example", "HTTPS://A.example", true},
		{"https://a.example", "http://a.example", false},
		{"https://a.example", "https://a.example:8443", false},
		{"https://a.example", "https://a.example.evil.org", false},
		{"null", "null", true},
		{"https://*.a.example", "https://www.A.example", true},
		{"https://*.a.example", "https://x.y.a.example", true},
		{"https://*.a.example", "https://a.example", false},
		{"https://*.a.example", "https://.a.example", false},
		{"https://*.a.example", "http://www.a.example", false},
		{"https://*.a.example", "https://www.a.example:8443", false},
		{"https://*.a.example", "https://evil.org/.a.example", false},
		{"https://*.a.example", "https://evil.org?.a.example", false},
		{"https://*.a.example", "https://user@x.a.example", false},
		{"https://*.a.example", "https://evila.example", false},
		{"https://*.a.example", "https://www.a.example.evil.org", false},
		{"https://*.a.example:8443", "https://www.a.example:8443", true},
		{"http://localhost:*", "http://localhost:3000", true},
		{"http://localhost:*", "http://localhost", false},
		{"http://localhost:*", "http://localhost.evil.org:80", false},
		{"http://localhost:*", "http://localhost:80@evil.org", false},
	}
	for _, tt := range tests {
		if got := originMatches(tt.allowed, tt.origin); got != tt.want {
			t.Errorf("%s allows %s: %v", tt.allowed, tt.origin, got)
		}
	}
}

// TestSameOrigin: a default port may be written or not, and the host is the one that the client
// asked for, even if a trusted proxy asks for another one.
func TestSameOrigin(t *testing.T) {
	tests := []struct {
		origin, request string // request: what comes behind Host
		trusted, want   bool
	}{
		{"https://h", "h", false, true},
		{"https://h", "h:443", false, true},
		{"https://h:443", "h", false, true},
		{"https://H", "h:443", false, true},
		{"https://h", "H:443", false, true},
		{"http://h", "h:80", false, true},
		{"http://h:80", "h", false, true},
		{"https://h/", "h", false, true},
		{"https://h:8443", "h:8443", false, true},
		{"https://[::1]", "[::1]:443", false, true},
		{"wss://h", "h:443", false, true},
		{"https://h", "h:80", false, false},
		{"http://h", "h:443", false, false},
		{"http://h:443", "h", false, false},
		{"https://h", "h:8443", false, false},
		{"https://h:8443", "h", false, false},
		{"https://evil.example", "h", false, false},
		{"https://h.evil.example", "h", false, false},
		{"https://h@evil.example", "h", false, false},
		{"null", "h", false, false},
		{"file://", "h", false, false},
		{"https://", "", false, false},

		{"https://h", "inner:3000\r\nX-Forwarded-Host: h", true, true},
		{"https://h", "inner:3000\r\nX-Forwarded-Host: h:443", true, true},
		{"https://h:8443", "inner\r\nX-Forwarded-Host: h:8443", true, true},
		{"https://h", "inner\r\nX-Forwarded-Host: h, middle", true, true},
		{"https://h", "inner\r\nForwarded: for=192.0.2.1;host=h;proto=https", true, true},
		{"https://h:8443", "inner\r\nForwarded: for=192.0.2.1; Host=\"h:8443\"", true, true},
		{"https://inner", "inner\r\nX-Forwarded-Host: h", true, true},
		{"https://h:8443", "h\r\nX-Forwarded-Port: 8443", true, true},
		{"https://h:8443", "inner:3000\r\nX-Forwarded-Host: h\r\nX-Forwarded-Port: 8443", true, true},
		{"https://[::1]:8443", "[::1]\r\nX-Forwarded-Port: 8443", true, true},
		{"https://h", "h\r\nX-Forwarded-Port: 443", true, true},
		{"https://h:3000", "h:3000\r\nX-Forwarded-Port: 8443", true, true},
		{"https://h:8443", "h:3000\r\nX-Forwarded-Port: 8443", true, false},
		{"https://h:8443", "h\r\nX-Forwarded-Port: 8443, 443", true, false},
		{"https://h:8443", "h\r\nX-Forwarded-Port: 8443", false, false},
		{"https://evil.example", "inner\r\nX-Forwarded-Host: h", true, false},
		{"https://h", "inner\r\nForwarded: for=\"host=h", true, false},
		{"https://h", "inner\r\nX-Forwarded-Host: h", false, false},
		{"https://h", "inner\r\nForwarded: host=h", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.origin+" "+tt.request, func(t *testing.T) {
			r := start(t, func(o *Options, ep *Endpoint) {
				if tt.trusted {
					o.TrustedProxies = trusting
				}
				ep.Format = samePlace{}
			})
			c := r.dialTCP("chat")
			c.write([]byte("GET / HTTP/1.1\r\nHost: " + tt.request + "\r\n" + asksLines + socketLine + "Origin: " + tt.origin + "\r\n\r\n"))
			c.readResponse("HTTP/1.1 " + map[bool]string{true: "101", false: "403"}[tt.want])
		})
	}
}

// TestManyHosts: checking many hosts costs no more than reading them, however long the origin
// is.
func TestManyHosts(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	origin, hosts := "https://"+strings.Repeat("o", 30_000), make([]string, 10_000)
	for i := range hosts {
		hosts[i] = "h"
	}
	if n := testing.AllocsPerRun(5, func() {
		if sameOrigin(origin, hosts) {
			t.Error("another page may connect")
		}
	}); n > 10 {
		t.Errorf("%v allocations", n)
	}
	if !sameOrigin("https://h", append(hosts, "H:443")) {
		t.Error("the last host does not count")
	}
}

// samePlace is the chat format for pages of the same origin.
type samePlace struct{ chat }

func (samePlace) Profile() core.Profile { return core.Profile{SameOrigin: true} }

// TestOriginsAreCompared as browsers write them, however they are given.
func TestOriginsAreCompared(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) {
		ep.Settings.Origins = []string{"https://A.example:443/", "http://localhost:*", "https://*.b.example:443"}
	})
	for origin, status := range map[string]string{
		"https://a.example": "101", "https://a.example:443": "101", "https://a.example/": "101", "http://a.example": "403",
		"http://localhost:80": "101", "http://localhost:3000": "101", "https://x.b.example": "101", "https://x.b.example:443": "101",
		"https://x.b.example:8443": "403",
	} {
		c := r.dialTCP("chat")
		c.write([]byte(upgradeRequest("Origin: " + origin + "\r\n")))
		if got := c.readResponse("HTTP/1.1 "); !strings.HasPrefix(got, "HTTP/1.1 "+status) {
			t.Errorf("%s: %.12s, want %s", origin, got, status)
		}
	}
}
