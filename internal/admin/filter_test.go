package admin

import (
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// A client is found by its address, however that is written.
func TestFrom(t *testing.T) {
	for text, want := range map[string]map[string]bool{
		"":                        {"127.0.0.1:80": true, "@": true},
		"127.0.0.1":               {"127.0.0.1:80": true, "[::ffff:127.0.0.1]:80": true, "127.0.0.2:80": false, "@": false},
		"::ffff:127.0.0.1":        {"127.0.0.1:80": true, "[::ffff:127.0.0.1]:80": true},
		"127.0.0.1:80":            {"127.0.0.1:80": true, "[::ffff:127.0.0.1]:80": true, "127.0.0.1:81": false, "127.0.0.2:80": false},
		"127.0.0.0/8":             {"127.1.2.3:80": true, "128.0.0.1:80": false, "[::1]:80": false},
		"2001:db8::1":             {"[2001:db8::1]:80": true, "[2001:db8::2]:80": false},
		"[2001:db8::1]:80":        {"[2001:db8::1]:80": true, "[2001:db8::1]:81": false},
		"fe80::1":                 {"[fe80::1%eth0]:80": true},
		"fe80::1%eth0":            {"[fe80::1%eth0]:80": true},
		"2001:db8:0:0:1::/64":     {"[2001:db8::2]:80": true, "[2001:db8:0:1::2]:80": false},
		"::ffff:127.0.0.1/128":    {"[::1]:80": false},
		"[::ffff:127.0.0.1]:8080": {"127.0.0.1:8080": true},
	} {
		from, err := fromOf(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		for remote, has := range want {
			if from.Has(remote) != has {
				t.Errorf("%q has %s: %t", text, remote, !has)
			}
		}
	}
	for _, text := range []string{"x", "127.0.0.1:0", "127.0.0.1:x", "127.0.0.1/33", "127.0.0.1:80/8", "localhost"} {
		if from, err := fromOf(text); err == nil {
			t.Errorf("%s is taken for %+v", text, from)
		}
	}
	for text, remote := range map[string]string{"2001:db8::1": "[2001:db8::2]:80", "127.0.0.1": "127.0.0.1:80"} {
		if from, _ := fromOf(text); !from.wide().Has(remote) {
			t.Errorf("who is refused at %s is not known by %s", remote, text)
		}
	}
	if from, _ := fromOf("127.0.0.1"); from.wide().Has("127.0.0.2:80") {
		t.Error("an IPv4 address is taken for a network")
	}
}

// Of connections that were opened in the same tick the one of the greatest number is the newest.
func TestNewestOfATick(t *testing.T) {
	now := time.Now()
	at := orders["newest"]
	older, newer, newest := at(core.ConnectionInfo{ID: 9, Opened: now}), at(core.ConnectionInfo{ID: 10, Opened: now}), at(core.ConnectionInfo{ID: 1, Opened: now.Add(1)})
	if newer.compare(older) >= 0 || newest.compare(newer) >= 0 {
		t.Errorf("%v, %v, %v", newest, newer, older)
	}
}
