package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core/coretest"
)

// The examples of the help compare a broker with one that is alike, and with one that is not.
func TestExamplesOfShadow(t *testing.T) {
	s := speak(t, "")
	for _, usual := range []string{":9191", ":3001"} {
		s.ports[usual] = fmt.Sprintf(":%d", coretest.FreePort(t))
	}
	ex := examples(t, newShadow(), 2)
	first := s.enter(t, ex[0])
	coretest.Eventually(t, "it listens", func() bool { return strings.Contains(first.text(), "an interrupt ends it") })
	// Nobody answers, here and there.
	call := s.enter(t, "broker call wubsub://127.0.0.1:9191/ bots/nobody 1")
	if err := coretest.Receive(t, "the end of the call", call.done); err == nil || !strings.Contains(call.text(), "nobody") {
		t.Errorf("%v: %s", err, call.text())
	}
	first.stop()
	if got := first.ends(t); !strings.Contains(got, "1 connections, 0 requests; 1 messages of clients, 1 of the old server, ") || !strings.Contains(got, "no differences") {
		t.Errorf("it wrote %q", got)
	}

	file := filepath.Join(s.dir, "differences.txt")
	read := func() string {
		text, _ := os.ReadFile(file)
		return string(text)
	}
	second := s.enter(t, ex[1]+" --set endpoints.web.path=/other")
	coretest.Eventually(t, "it listens", func() bool { return strings.Contains(second.text(), "an interrupt ends it") })
	s.enter(t, "broker pub wsify://127.0.0.1:3001/ws t hello").ends(t)
	coretest.Eventually(t, "the difference is written down", func() bool { return strings.Contains(read(), "the broker: 404") })
	second.stop()
	if err := coretest.Receive(t, "the end of the command", second.done); err == nil || !strings.Contains(second.text(), "; 0 equal, 1 upgrade") || !strings.Contains(second.text(), "the servers differ: 1 differences") {
		t.Errorf("%v: %s", err, second.text())
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || !strings.Contains(read(), "1 differences found:\n#   1 upgrade\n") {
		t.Errorf("%v, %v\n%s", info, err, read())
	}
}

// What cannot be compared is said in one line.
func TestShadowMistakes(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := write(t, `
endpoints:
  - {name: a, protocol: wsify, listen: "127.0.0.1:1"}
  - {name: b, protocol: wsify, listen: "127.0.0.1:2"}
  - {name: hooked, protocol: wubsub, listen: "127.0.0.1:3", authorizer: {url: "http://127.0.0.1:4/"}, auth: [{type: webhook, url: "http://127.0.0.1:4/"}]}
  - {name: kept, protocol: webwire, listen: "127.0.0.1:5", options: {sessions: {store: file, dir: x}}}
bridges: [{name: old, protocol: vws, url: "ws://127.0.0.1:6/", hear: ["a"]}]
services: [{match: x, url: "http://127.0.0.1:7/"}]
`)
	const start = "-l 127.0.0.1:0 -c FILE "
	for args, want := range map[string]string{
		"":                       "required flag(s)",
		start + "--to ws://h":    "ws:// does not name the format",
		start + "--to vws://h":   "no endpoint speaks vws",
		start + "--to wsify://h": "several endpoints speak wsify: choose one with --endpoint: a, b",
		start + "--to wsify://h --endpoint hooked":                                             "the endpoint hooked speaks wubsub, and the old server wsify",
		start + "--to wsify://h --endpoint z":                                                  `there is no endpoint "z"`,
		start + "--to wubsub://h":                                                              "by bridges, services.0.url, endpoints.hooked.authorizer, endpoints.hooked.auth.0.url; take that out",
		start + "--to webwire://h":                                                             "endpoints.kept.options.sessions.store; take that out",
		start + "--to webwire://h --window 1ms":                                                "--window 10ms",
		start + "--to wsify://h --endpoint a --allow-effects --set endpoints.a.path=x":         "must begin with a slash",
		"-l " + taken.Addr().String() + " -c FILE --to wsify://h --endpoint a --allow-effects": "--listen: ",
		start + "--to wsify://h --endpoint a --allow-effects -o /dev/null/x":                   "writing the samples: ",
	} {
		var out, log bytes.Buffer
		code := run(append([]string{"shadow"}, strings.Fields(strings.ReplaceAll(args, "FILE", file))...), &out, &log)
		if code == 0 || (code == 2) != (args == "") || !strings.Contains(log.String(), want) || out.Len() > 0 {
			t.Errorf("%q: exit code %d\n%s%s", args, code, out.String(), log.String())
		}
	}
}

// The broker beside another one has one endpoint, at a socket of its own, and no certificates of clients.
func TestPrivate(t *testing.T) {
	if err := private(&config.Config{}, &config.Endpoint{Name: "a", Auth: []config.Auth{{Type: "certificate"}}}); err == nil || !strings.Contains(err.Error(), "wants certificates of clients") {
		t.Error(err)
	}
	cfg := &config.Config{Admin: config.Admin{Listen: ":9100"}, API: config.Admin{Listen: ":9101"}, Endpoints: []config.Endpoint{{Name: "a"}, {Name: "b", TLS: config.TLS{MinVersion: tls.VersionTLS13}, ProxyProtocol: "required"}}}
	if err := private(cfg, &cfg.Endpoints[1]); err != nil {
		t.Fatal(err)
	}
	ep := cfg.Endpoints[0]
	if len(cfg.Endpoints) != 1 || ep.Name != "b" || ep.TLS.MinVersion != 0 || ep.ProxyProtocol != "off" || cfg.Admin.Listen != "" || cfg.API.Listen != "" || !cfg.Network.TrustedProxies[0].Unix() {
		t.Errorf("%+v", cfg)
	}
}
