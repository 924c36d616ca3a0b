package network

import "testing"

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
