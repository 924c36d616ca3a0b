package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire/config"
)

// TestOrigins shows how entries of origins are normalized, and which can never match.
func TestOrigins(t *testing.T) {
	for _, tt := range []struct{ entry, want, fault string }{
		{"https://example.com", "https://example.com", ""},
		{"HTTPS://Example.COM", "https://example.com", ""},
		{"https://example.com/", "https://example.com", ""},
		{"https://example.com//", "https://example.com", ""},
		{" https://example.com ", "https://example.com", ""},
		{"https://example.com:443", "https://example.com", ""},
		{"https://example.com:443/", "https://example.com", ""},
		{"https://example.com:0443", "https://example.com", ""},
		{"https://example.com:", "https://example.com", ""},
		{"https://example.com:80", "https://example.com:80", ""},
		{"http://example.com:80", "http://example.com", ""},
		{"http://example.com:443", "http://example.com:443", ""},
		{"https://bücher.example", "https://xn--bcher-kva.example", ""},
		{"https://BÜCHER.example:8443", "https://xn--bcher-kva.example:8443", ""},
		{"https://*.bücher.example", "https://*.xn--bcher-kva.example", ""},
		{"https://faß.example", "https://xn--fa-hia.example", ""},
		{"https://例え。テスト", "https://xn--r8jz45g.xn--zckzah", ""},
		{"https://a_b.example", "https://a_b.example", ""},
		{"https://*.example.com:8443/", "https://*.example.com:8443", ""},
		{"https://*.Example.com:443", "https://*.example.com", ""},
		{"http://localhost:*", "http://localhost:*", ""},
		{"http://LOCALHOST:*/", "http://localhost:*", ""},
		{"http://[::1]:3000", "http://[::1]:3000", ""},
		{"http://[0:0:0:0:0:0:0:1]:80", "http://[::1]", ""},
		{"http://[::FFFF:127.0.0.1]", "http://[::ffff:7f00:1]", ""},
		{"http://127.0.0.1:8080", "http://127.0.0.1:8080", ""},
		{"chrome-extension://ABCdef", "chrome-extension://abcdef", ""},
		{"capacitor://localhost", "capacitor://localhost", ""},
		{"file://", "file://", ""},
		{"null", "null", ""},
		{"Null", "null", ""},
		{"*", "*", ""},

		{"example.com", "", `is no origin such as "https://example.com", nor "*"; did you mean "https://example.com"?`},
		{"//example.com", "", `did you mean "https://example.com"?`},
		{"localhost:3000", "", `did you mean "https://localhost:3000"?`},
		{"https://a.example, https://b.example", "", "is more than one origin"},
		{"a.example b.example", "", "one origin for each entry"},
		{"https://example.com/chat", "", `write "https://example.com"`},
		{"https://example.com?x", "", `write "https://example.com"`},
		{"https://example.com#x", "", `write "https://example.com"`},
		{"https://ann@example.com", "", `write "https://example.com"`},
		{"https://", "", "names no host"},
		{"https://:443", "", "names no host"},
		{"https:///", "", "names no host"},
		{"://example.com", "", "no scheme"},
		{"*://example.com", "", "no scheme"},
		{"wss://example.com", "", "no scheme"},
		{"https://example.com:http", "", "a port from 0 to 65535"},
		{"https://example.com:65536", "", "a port from 0 to 65535"},
		{"https://*", "", "may have one *"},
		{"https://*.*.example.com", "", "may have one *"},
		{"https://a*.example.com", "", "may have one *"},
		{"https://*.example.com:*", "", "may have one *"},
		{"https://*.127.0.0.1", "", "no names below it"},
		{"https://exa mple.com", "", "no name of a host"},
		{"https://example..com", "", "no name of a host"},
		{"https://300.1.1.1", "", "neither an IPv4 address nor a name"},
		{"https://[::1", "", "no IPv6 address"},
		{"https://::1:80", "", "in brackets"},
		{"", "", "no origin"},
	} {
		t.Run(tt.entry, func(t *testing.T) {
			cfg, err := config.Load(config.Source{Text: fmt.Sprintf("endpoints: [{name: a, protocol: chat, origins: [%q]}]", tt.entry)}, protocols())
			switch {
			case tt.fault != "":
				if err == nil || !strings.Contains(err.Error(), "config:1: endpoints[0].origins[0]: ") || !strings.Contains(err.Error(), tt.fault) {
					t.Errorf("error %v, want %q", err, tt.fault)
				}
			case err != nil:
				t.Error(err)
			case cfg.Endpoints[0].Origins[0] != tt.want:
				t.Errorf("counts as %q, want %q", cfg.Endpoints[0].Origins[0], tt.want)
			}
		})
	}
}

// TestAddresses shows which addresses can be listened on.
func TestAddresses(t *testing.T) {
	for address, fault := range map[string]string{
		":3000":                             "",
		"0.0.0.0:3000":                      "",
		"[::]:3000":                         "",
		"[fe80::1%eth0]:3000":               "",
		"localhost:3000":                    "",
		"my_host.internal:3000":             "",
		"unix:/run/x.sock":                  "",
		"unix:///run/x.sock":                "",
		"unix:@broker":                      "",
		"*:3000":                            `for every address write ":3000"`,
		"*":                                 "is no address",
		"3000":                              `did you mean ":3000"?`,
		"http://127.0.0.1:3000/":            `did you mean "127.0.0.1:3000"?`,
		"::1:3000":                          `did you mean "[::1]:3000"?`,
		"localhost":                         "is no address",
		"a b:3000":                          `has "a b" for a host`,
		"300.1.1.1:3000":                    `has "300.1.1.1" for a host`,
		"10.0.0.0/8:3000":                   `has "10.0.0.0/8" for a host`,
		"*.example.com:3000":                `has "*.example.com" for a host`,
		":http":                             "no port from 0 to 65535",
		":70000":                            "no port from 0 to 65535",
		"unix:":                             "names no file",
		"unix:run/x.sock":                   "must be an absolute path",
		"unix:/run/":                        "is a directory",
		"unix:/" + strings.Repeat("x", 107): "at most 107 bytes, not 108",
	} {
		t.Run(address, func(t *testing.T) {
			_, err := config.Load(config.Source{Text: fmt.Sprintf("endpoints: [{name: a, protocol: chat, listen: %q}]", address)}, protocols())
			if fault == "" && err != nil || fault != "" && (err == nil || !strings.Contains(err.Error(), "endpoints[0].listen: ") || !strings.Contains(err.Error(), fault)) {
				t.Errorf("error %v, want %q", err, fault)
			}
		})
	}
}

// Two spellings of one socket are one address.
func TestSocketsClash(t *testing.T) {
	_, err := config.Load(config.Source{Text: `
endpoints: [{name: a, protocol: chat, listen: "unix:/run/x.sock"}, {name: b, protocol: chat, listen: "unix:///run/../run/x.sock"}]
admin: {listen: "unix:/run//x.sock"}
`}, protocols())
	for _, want := range []string{"endpoints[1].path: unix:/run/x.sock takes any path", `admin.listen: "unix:/run/x.sock" is the address of endpoint "a"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
