package config

import "testing"

// TestNormalOrigin: what a browser sends is what is compared, however it is written.
func TestNormalOrigin(t *testing.T) {
	for given, want := range map[string]string{
		"*":                              "*",
		"NULL":                           "null",
		"https://Example.com":            "https://example.com",
		"https://example.com/":           "https://example.com",
		"https://example.com:443":        "https://example.com",
		"https://example.com:443/":       "https://example.com",
		"http://example.com:80":          "http://example.com",
		"http://example.com:443":         "http://example.com:443",
		"https://bücher.example":         "https://xn--bcher-kva.example",
		"https://BÜCHER.example:8443/":   "https://xn--bcher-kva.example:8443",
		"https://*.bücher.example":       "https://*.xn--bcher-kva.example",
		"https://例え.jp":                  "https://xn--r8jz45g.jp",
		"https://*.example.com:443":      "https://*.example.com",
		"http://localhost:*":             "http://localhost:*",
		"http://[2001:DB8:0:0::1]:8080/": "http://[2001:db8::1]:8080",
		"http://[::1]:*":                 "http://[::1]:*",
		"http://127.0.0.1:80":            "http://127.0.0.1",
		"http://my_host":                 "http://my_host",
		"chrome-extension://Abc/":        "chrome-extension://abc",
		"file://":                        "file://",
		"capacitor://localhost":          "capacitor://localhost",
	} {
		if got, err := normalOrigin(given); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %s", given, got, err, want)
		}
	}
}

func TestListenAddress(t *testing.T) {
	for given, want := range map[string]string{"*:3000": ":3000", ":3000": ":3000", "127.0.0.1:1": "127.0.0.1:1", "[::]:1": "[::]:1"} {
		if got := listenAddress(given); got != want || badAddress(got) != "" {
			t.Errorf("%s: %s %s, want %s", given, got, badAddress(got), want)
		}
	}
}
