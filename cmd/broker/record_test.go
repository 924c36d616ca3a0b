package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/certs/certstest"
)

// The examples of the help record what clients say, and play it.
func TestExamplesOfRecord(t *testing.T) {
	s := speak(t, "")
	for _, usual := range []string{":9191", ":3001"} {
		s.ports[usual] = fmt.Sprintf(":%d", coretest.FreePort(t))
	}
	ex := examples(t, newRecord(), 3)
	recorder := s.enter(t, ex[0])
	coretest.Eventually(t, "it listens", func() bool { return strings.Contains(recorder.text(), "an interrupt ends it") })
	const proxy = "wubsub://127.0.0.1:9191/"
	answerer := s.enter(t, "broker answer "+proxy+" bots/echo --echo")
	file := filepath.Join(s.dir, "session.txt")
	// A call that races the registration would be recorded, and might go otherwise when it is played.
	coretest.Eventually(t, "the channel has its owner", func() bool {
		c := s.enter(t, "broker pub vws://127.0.0.1:8080/ws bots/x 1")
		err := coretest.Receive(t, "the end of the publish", c.done)
		return err != nil && strings.Contains(c.text(), "is not the sender's")
	})
	s.enter(t, "broker call "+proxy+` bots/echo '{"secret":"open sesame 1"}' -H 'Authorization: Bearer sesame-2'`).ends(t)
	answerer.stop()
	answerer.ends(t)
	recorder.stop()
	if got := recorder.ends(t); !strings.Contains(got, " messages of clients, ") {
		t.Errorf("it wrote %q", got)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), "sesame") || !strings.Contains(string(text), `"reqid":$reqid`) {
		t.Errorf("%v\n%s", err, text)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}

	// Against the same broker nothing differs, and without the credentials nothing goes.
	if err := os.WriteFile(filepath.Join(s.dir, "secret.txt"), []byte("open sesame 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	converses := examples(t, newConverse(), 4)
	if got := s.enter(t, converses[3]+" --set authorization=sesame-2").ends(t); got != "ok session.txt\n" {
		t.Errorf("%s: %s", converses[3], got)
	}
	without := s.enter(t, strings.Split(converses[3], " --set ")[0])
	if err := coretest.Receive(t, "the end of the command", without.done); err == nil || !strings.Contains(without.text(), "or give it with --set ") {
		t.Errorf("%v: %s", err, without.text())
	}

	second := s.enter(t, ex[1])
	coretest.Eventually(t, "it listens", func() bool { return strings.Contains(second.text(), "an interrupt ends it") })
	s.enter(t, "broker pub wsify://127.0.0.1:3001/ws t hello").ends(t)
	second.stop()
	if got := second.ends(t); !strings.Contains(got, `c1 > {"command":"broadcast","args":{"channel":"t","content":"hello"}}`) {
		t.Error(got)
	}
}

// Servers with certificates and Unix sockets are recorded as the flags say.
func TestRecordGuardedServers(t *testing.T) {
	dir, ca := t.TempDir(), certstest.NewCA(t, "ca")
	cert, key := certstest.Write(t, dir, "server", ca.Issue(nil, "broker.example"))
	authority := certstest.WriteFile(t, dir, "ca.pem", ca.PEM())
	port, sockets := coretest.FreePort(t), t.TempDir()
	serveHere(t, write(t, fmt.Sprintf(`
admin: {listen: ""}
endpoints:
  - {name: secure, protocol: wsify, listen: "127.0.0.1:%d", path: /ws, tls: {cert: %q, key: %q}}
  - {name: local, protocol: wsify, listen: "unix:%s/plain", path: /ws}
`, port, cert, key, sockets)))
	s := &speaking{dir: dir}
	for name, to := range map[string]string{
		"TLS":      fmt.Sprintf("wsify+tls://127.0.0.1:%d/ws --ca %s --server-name broker.example", port, authority),
		"a socket": "ws+unix:" + sockets + "/plain:/ws --protocol wsify",
	} {
		t.Run(name, func(t *testing.T) {
			address := fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t))
			recorder := s.enter(t, "broker record --listen "+address+" -o - --to "+to)
			coretest.Eventually(t, "it listens", func() bool { return strings.Contains(recorder.text(), "an interrupt ends it") })
			s.enter(t, "broker pub wsify://"+address+"/ws t hello").ends(t)
			recorder.stop()
			if got := recorder.ends(t); !strings.Contains(got, "connect c1 wsify\nc1 > {") {
				t.Error(got)
			}
		})
	}
}

// What cannot be recorded is said in one line.
func TestRecordMistakes(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for args, want := range map[string]string{
		"-l 127.0.0.1:0 --to wsify://h -o - --listen-cert x":                                "--listen-cert and --listen-key belong together",
		"-l 127.0.0.1:0 --to wsify://h -o - --listen-cert /dev/null --listen-key /dev/null": "reading --listen-cert and --listen-key: ",
		"":                                   "required flag(s)",
		"-l 127.0.0.1:0 --to ws://h -o -":    "ws:// does not name the format",
		"-l 127.0.0.1:0 --to wubsb://h -o -": `there is no format "wubsb"`,
		"-l " + taken.Addr().String() + " --to wubsub://h -o -": "--listen: ",
		"-l 127.0.0.1:0 --to wubsub://h -o /dev/null/x":         "writing the conversation: ",
		"-l 127.0.0.1:0 --to wubsub://h -o - --max-size 0":      "must be at least 1",
		"-l 127.0.0.1:0 --to wubsub://h -o - --cert x":          "--cert and --key belong together",
		"-o -":                                     "at least one of the flags in the group [listen endpoint] is required",
		"-o - -l 127.0.0.1:0":                      "missing [to]",
		"-o - --to ws://h":                         "missing [listen]",
		"-o - --endpoint web -l :0 --to ws://h":    "none of the others can be",
		"-o - --endpoint web --protocol vws":       "none of the others can be",
		"-o - --admin :1 -l 127.0.0.1:0 --to ws:h": "none of the others can be",
		"-o - --endpoint web -c /no/such/file":     "no such file",
	} {
		var out, log bytes.Buffer
		code := run(append([]string{"record"}, strings.Fields(args)...), &out, &log)
		if code == 0 || (code == 2) != usage(want) || !strings.Contains(log.String(), want) || out.Len() > 0 {
			t.Errorf("%q: exit code %d\n%s%s", args, code, out.String(), log.String())
		}
	}
}

// usage reports whether an error is a mistake in the command line.
func usage(text string) bool {
	return strings.Contains(text, "flag") || strings.Contains(text, "missing [") || strings.Contains(text, "none of the others")
}

// What a running broker sees is recorded, without credentials, and played against it: nothing differs.
func TestRecordRunningBroker(t *testing.T) {
	s := &speaking{dir: t.TempDir(), ports: map[string]string{"127.0.0.1:9190": fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t)), "127.0.0.1:8080": fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t))}}
	config := s.real(fmt.Sprintf(`
admin: {listen: "127.0.0.1:%d", reload_token: adm1n-t0ken}
endpoints:
  - {name: web, protocol: wubsub, listen: "127.0.0.1:9190"}
  - {name: other, protocol: vws, listen: "127.0.0.1:8080", options: {allow_send: true}}
`, coretest.FreePort(t)))
	file := filepath.Join(s.dir, "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	serveHere(t, file)
	command := examples(t, newRecord(), 3)[2]
	recorder := s.enter(t, command)
	coretest.Eventually(t, "it listens", func() bool { return strings.Contains(recorder.text(), "an interrupt ends it") })

	// There is one tap for an endpoint.
	second := s.enter(t, strings.Replace(command, "session.txt", "-", 1))
	if err := coretest.Receive(t, "the end of the command", second.done); err == nil || !strings.Contains(second.text(), `409 Conflict: tapping endpoint "web": it is tapped already`) {
		t.Errorf("%v: %s", err, second.text())
	}

	const server = "wubsub://127.0.0.1:9190/"
	answerer := s.enter(t, "broker answer "+server+" bots/echo --echo")
	// A call that races the registration would be recorded, and might go otherwise when it is played.
	coretest.Eventually(t, "the channel has its owner", func() bool {
		c := s.enter(t, "broker pub vws://127.0.0.1:8080/ws bots/x 1")
		err := coretest.Receive(t, "the end of the publish", c.done)
		return err != nil && strings.Contains(c.text(), "is not the sender's")
	})
	s.enter(t, "broker call "+server+` bots/echo '{"secret":"open sesame 1"}' -H 'Authorization: Bearer sesame-2'`).ends(t)
	answerer.stop()
	answerer.ends(t)
	text := ""
	coretest.Eventually(t, "the end of the last connection is recorded", func() bool {
		all, err := os.ReadFile(filepath.Join(s.dir, "session.txt"))
		text = string(all)
		return err == nil && strings.Contains(text, "c1 >close") && strings.Contains(text, "c2 >close")
	})
	recorder.stop()
	if got := recorder.ends(t); !strings.Contains(got, "recording what clients say at the endpoint web of the running broker") || !strings.Contains(got, " messages of clients, ") {
		t.Errorf("it wrote %q", got)
	}
	all, err := os.ReadFile(filepath.Join(s.dir, "session.txt"))
	if err != nil || strings.Contains(string(all), "sesame") || strings.Contains(string(all), "adm1n") || !strings.Contains(string(all), `"reqid":$reqid`) {
		t.Errorf("%v\n%s", err, all)
	}
	if info, err := os.Stat(filepath.Join(s.dir, "session.txt")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "secret.txt"), []byte("open sesame 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.enter(t, examples(t, newConverse(), 4)[3]+" --set authorization=sesame-2").ends(t); got != "ok session.txt\n" {
		t.Errorf("converse: %s\n%s", got, all)
	}
}

// What keeps a running broker from being recorded is said, with what to do.
func TestRecordRunningBrokerMistakes(t *testing.T) {
	old := httptest.NewServer(http.NotFoundHandler())
	defer old.Close()
	admin := fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t))
	const endpoints = "endpoints:\n  - {name: web, protocol: wubsub, listen: '127.0.0.1:0'}\n"
	running := write(t, "admin: {listen: '"+admin+"'}\n"+endpoints)
	serveHere(t, running)
	for name, c := range map[string]struct {
		config string // "" is the running broker's
		args   string
		want   string
	}{
		"no such endpoint":        {"", "--endpoint wbe", `has no endpoint "wbe"; endpoints: web`},
		"not served":              {"admin: {listen: '" + admin + "'}\n" + strings.Replace(endpoints, "web", "new", 1), "--endpoint new", `404 Not Found: there is no endpoint "new"; endpoints: web`},
		"no admin server":         {"admin: {listen: ''}\n" + endpoints, "--endpoint web", "set admin.listen, or record with --listen and --to"},
		"no broker":               {"admin: {listen: '127.0.0.1:" + strconv.Itoa(coretest.FreePort(t)) + "'}\n" + endpoints, "--endpoint web", "connection refused; if it runs with another admin address than the file has now, --admin names that"},
		"another address":         {"", "--endpoint web --admin unix:/no/such/socket", "no such file or directory; if it runs"},
		"an older broker":         {"", "--endpoint web --admin " + old.Listener.Addr().String(), "the running broker has no taps: it is older than this program"},
		"a file that is a folder": {"", "--endpoint web -o /dev/null/x", "writing the conversation: "},
	} {
		t.Run(name, func(t *testing.T) {
			file := running
			if c.config != "" {
				file = write(t, c.config)
			}
			var out, log bytes.Buffer
			args := append([]string{"record", "-o", "-", "-c", file}, strings.Fields(c.args)...)
			if code := run(args, &out, &log); code != 1 || !strings.Contains(log.String(), c.want) || out.Len() > 0 {
				t.Errorf("exit code %d\n%s%s", code, out.String(), log.String())
			}
		})
	}
}

// Variables that a script lacks are given.
func TestConverseSet(t *testing.T) {
	file := script(t, "connect a echo\na > {\"p\":${json p}}\na <= {\"p\":\"x\\\"y\"}\n")
	if out, err := converseWith(t, "--set", `p=x"y`, file); err != nil || out != "ok "+file+"\n" {
		t.Errorf("said %q, error %v", out, err)
	}
	for set, want := range map[string]string{"p": "write NAME=VALUE", "p=@/no/such": "reading --set p: "} {
		if _, err := converseWith(t, "--set", set, file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--set %s: %v", set, err)
		}
	}
}
