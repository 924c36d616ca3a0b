package core

import "testing"

func TestNormalOrigin(t *testing.T) {
	for given, want := range map[string]string{
		"https://A.Example":         "https://a.example",
		"HTTPS://a.example:443":     "https://a.example",
		"https://a.example/":        "https://a.example",
		"https://a.example:443/":    "https://a.example",
		"https://a.example:80":      "https://a.example:80",
		"http://a.example:80":       "http://a.example",
		"http://a.example:8080":     "http://a.example:8080",
		"https://[2001:DB8::1]:443": "https://[2001:db8::1]",
		"https://*.a.example:443":   "https://*.a.example",
		"http://localhost:*":        "http://localhost:*",
		"chrome-extension://abc":    "chrome-extension://abc",
		"file://":                   "file://",
		"null":                      "null",
		"*":                         "*",
	} {
		if got := NormalOrigin(given); got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}
