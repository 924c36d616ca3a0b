package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/certs/certstest"
	"github.com/polywire/polywire/polywiretest"
)

// usualPorts are those of the examples in the help of commands that speak to servers.
var usualPorts = map[string]string{
	"wubsub": "127.0.0.1:9190", "wsify": "127.0.0.1:3000", "stocking": "127.0.0.1:12345", "vws": "127.0.0.1:8080", "webwire": "127.0.0.1:8081",
}

// speaking is a broker with an endpoint of each format, and a folder with its configuration.
type speaking struct {
	dir   string
	ports map[string]string // a usual address to the real one
}

// speak serves; the keys are of each endpoint.
func speak(t *testing.T, keys string) *speaking {
	t.Helper()
	s := &speaking{dir: t.TempDir(), ports: make(map[string]string)}
	text := fmt.Sprintf("admin: {listen: \"127.0.0.1:%d\"}\nendpoints:\n", coretest.FreePort(t))
	for protocol, usual := range usualPorts {
		s.ports[usual] = fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t))
		name, extra := protocol, ""
		switch protocol {
		case "wsify":
			name = "web"
		case "vws":
			extra = ", options: {allow_send: true}, limits: {subscriptions: 5}"
		}
		text += fmt.Sprintf("  - {name: %s, protocol: %s, listen: %q%s%s}\n", name, protocol, s.ports[usual], keys, extra)
	}
	file := filepath.Join(s.dir, "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	serveHere(t, file)
	return s
}

// serveHere serves a configuration in this process until the test ends.
func serveHere(t *testing.T, file string) {
	t.Helper()
	cfg, err := polywire.Load(config.Source{File: file}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b, err := polywire.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	polywiretest.Run(t, b)
}

// real puts the real addresses into a command.
func (s *speaking) real(command string) string {
	for usual, real := range s.ports {
		command = strings.ReplaceAll(command, usual, real)
	}
	return command
}

// typed is a command that was typed into a shell.
type typed struct {
	cmd  *exec.Cmd
	mu   sync.Mutex
	out  bytes.Buffer // guarded by mu
	done chan error
}

func (c *typed) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(b)
}

func (c *typed) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.String()
}

// enter types a command of a help into a shell.
func (s *speaking) enter(t *testing.T, command string) *typed {
	t.Helper()
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	c := &typed{cmd: exec.CommandContext(t.Context(), "bash", "-c", s.real(command)), done: make(chan error, 1)}
	c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = s.dir, c, c
	c.cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.done <- c.cmd.Wait() }()
	t.Cleanup(c.stop)
	return c
}

// stop sends what Ctrl-C sends.
func (c *typed) stop() { _ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGINT) }

// ends waits for a command's end, and returns what it wrote.
func (c *typed) ends(t *testing.T) string {
	t.Helper()
	if err := coretest.Receive(t, "the end of the command", c.done); err != nil {
		t.Errorf("%s: %v\n%s", c.cmd.Args[2], err, c.text())
	}
	return c.text()
}

// examples returns the lines of a command's examples.
func examples(t *testing.T, cmd *cobra.Command, want int) []string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(cmd.Example), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	if len(lines) != want {
		t.Fatalf("%s has %d examples, want %d", cmd.Name(), len(lines), want)
	}
	return lines
}

// The examples of the help do what the help says.
func TestExamplesOfClients(t *testing.T) {
	s := speak(t, "")
	subs, pubs, calls, answers := examples(t, newSub(), 3), examples(t, newPub(), 3), examples(t, newCall(), 3), examples(t, newAnswer(), 3)

	byURL, once, byName := s.enter(t, subs[0]), s.enter(t, subs[1]), s.enter(t, subs[2])
	coretest.Eventually(t, "all subscribers have heard something", func() bool {
		s.enter(t, pubs[0]).ends(t)
		return strings.Contains(byURL.text(), `{"n":1}`) && strings.Contains(byName.text(), `{"n":1}`) && once.text() != ""
	})
	if got := once.ends(t); got != `{"topic":"news/today","kind":"json","payload":{"n":1}}`+"\n" {
		t.Errorf("sub --count 1 --format json: %q", got)
	}
	for _, c := range []*typed{byURL, byName} {
		c.stop()
		if got := c.ends(t); strings.Trim(got, "{\"n:1}\n") != "" {
			t.Errorf("sub wrote %q", got)
		}
	}
	s.enter(t, pubs[1]).ends(t)
	numbers := s.enter(t, "broker sub vws://127.0.0.1:8080/ws numbers --format raw")
	// Those who are paced wait for their turn: what is tried is that all lines come, in their order.
	coretest.Eventually(t, "the subscriber of numbers is there", func() bool {
		s.enter(t, "broker pub vws://127.0.0.1:8080/ws numbers 0").ends(t)
		return strings.Contains(numbers.text(), "0\n")
	})
	s.enter(t, strings.ReplaceAll(pubs[2], "--rate 10", "--rate 1000")).ends(t)
	coretest.Eventually(t, "the last number is there", func() bool { return strings.HasSuffix(numbers.text(), "\n100\n") })
	numbers.stop()
	var want strings.Builder
	for n := range 100 {
		fmt.Fprintln(&want, n+1)
	}
	// How often 0 has come depends on how soon the first was printed.
	got := numbers.ends(t)
	for rest, found := got, true; found; rest, found = strings.CutPrefix(rest, "0\n") {
		got = rest
	}
	if got != want.String() {
		t.Errorf("the lines came as %q", got)
	}

	echo, clock, hello := s.enter(t, answers[0]), s.enter(t, answers[1]), s.enter(t, answers[2])
	for i, want := range []string{"hello\n", `{"n":1}` + "\n", "hello\n"} {
		coretest.Eventually(t, calls[i]+" is answered", func() bool {
			c := s.enter(t, calls[i])
			return coretest.Receive(t, "the end of the call", c.done) == nil && c.text() == want
		})
	}
	for service, want := range map[string]string{"clock/now": `^\d+\n$`, "greeter/hello": `^hello there\n$`} {
		coretest.Eventually(t, service+" is answered", func() bool {
			c := s.enter(t, "broker call stocking://127.0.0.1:12345 "+service)
			return coretest.Receive(t, "the end of the call", c.done) == nil && regexp.MustCompile(want).MatchString(c.text())
		})
	}
	hello.ends(t)
	for _, c := range []*typed{echo, clock} {
		c.stop()
		c.ends(t)
	}
}

// What commands that speak to servers say when something is wrong, and how they end.
func TestClientFailures(t *testing.T) {
	s := speak(t, ", call_timeout: 100ms")
	nobody := fmt.Sprintf("wsify://127.0.0.1:%d/ws", coretest.FreePort(t))
	conf := filepath.Join(s.dir, "config.yaml")
	for _, c := range []struct {
		args string
		code int
		want string // on standard error
	}{
		{"sub", 2, "requires at least 2 arg(s)"},
		{"pub wsify://127.0.0.1:3000/ws", 2, "accepts between 2 and 3 arg(s)"},
		{"sub wsfy://host/ws t", 1, `there is no format "wsfy"; formats: wubsub, wsify, stocking, vws, webwire`},
		{"sub ws://host/ws t", 1, "ws:// does not name the format: add --protocol"},
		{"sub ws://host/ws t --protocol mqtt", 1, `there is no format "mqtt"`},
		{"sub wsify://host/ws t --protocol vws", 1, "the URL names the format wsify, and --protocol the format vws"},
		{"sub none t -c " + conf, 1, `has no endpoint "none"; endpoints: stocking, vws, web, webwire, wubsub`},
		{"sub web t -c /no/such/file.yaml", 1, "no such file"},
		{"sub " + nobody + " t", 1, "connection refused"},
		{"sub webwire://127.0.0.1:12345/ws t", 1, "no message of a webwire server"},
		{"sub wsify://127.0.0.1:3000/wrong t", 1, "the server refused: 404 Not Found"},
		{"sub wsify://127.0.0.1:3000/ws t --format xml", 1, "--format must be text, json or raw"},
		{"sub wsify://127.0.0.1:3000/ws news/+", 1, "the format has no words for a pattern: join each channel by its name"},
		{"sub vws://127.0.0.1:8080/ws a b c d e f --timeout 1m", 1, "subscribing to f: "},
		{"sub vws://127.0.0.1:8080/ws quiet -n 1 --timeout 50ms", 3, ""},
		{"pub wsify://127.0.0.1:3000/ws t @/no/such/file", 1, "no such file"},
		{"pub wsify://127.0.0.1:3000/ws t {1} --kind json", 1, "the payload is not JSON"},
		{"pub wsify://127.0.0.1:3000/ws t x --own c", 1, "the format has no words for offer"},
		{"pub stocking://127.0.0.1:12345/ws $reply/x x", 1, "the server refused"},
		{"pub vws://127.0.0.1:8080/ws $nothing/x null", 1, "the format has no words for an event without data"},
		{"call vws://127.0.0.1:8080/ws none/such", 1, "the format has no words for call: at a broker that has topics for calls, publish to $call/REF/SERVICE, or subscribe to $serve/SERVICE (--by-topic does that)"},
		{"call vws://127.0.0.1:8080/ws none/such --by-topic", 1, "no_service"},
		{"call wubsub://127.0.0.1:9190/ none/such", 1, "calling none/such: no_service"},
		{"answer wubsub://127.0.0.1:9190/ a/b", 1, "answer with one of --echo, --text TEXT, and -- COMMAND"},
		{"answer wubsub://127.0.0.1:9190/ a/b --echo --own c", 1, "--own c: the service does not lie below this channel"},
		{"answer vws://127.0.0.1:8080/ws a/b --echo", 1, "--by-topic does that"},
	} {
		t.Run(c.args, func(t *testing.T) {
			var out, log bytes.Buffer
			code := run(strings.Fields(s.real(c.args)), &out, &log)
			if code != c.code || !strings.Contains(log.String(), c.want) || out.Len() > 0 {
				t.Errorf("exit code %d, want %d\n%s%s", code, c.code, out.String(), log.String())
			}
		})
	}
	// A call that nobody answers in time, by either side's patience.
	silent := s.enter(t, "broker answer wubsub://127.0.0.1:9190/ slow/one -- sleep 1000")
	for _, timeout := range []string{"1m", "50ms"} {
		coretest.Eventually(t, "the call times out", func() bool {
			var out, log bytes.Buffer
			args := s.real("call webwire://127.0.0.1:8081/ slow/one --timeout " + timeout)
			return run(strings.Fields(args), &out, &log) == exitTimeout
		})
	}
	silent.stop()
	// A command that fails makes the call fail, in its own words. It may take longer than the calls above.
	s = speak(t, "")
	broken := s.enter(t, "broker answer vws://127.0.0.1:8080/ws broken/one --by-topic -- sh -c 'echo out of paper >&2; exit 1'")
	coretest.Eventually(t, "the call fails", func() bool {
		var out, log bytes.Buffer
		return run(strings.Fields(s.real("call webwire://127.0.0.1:8081/ broken/one")), &out, &log) == 1 && strings.Contains(log.String(), "out of paper")
	})
	broken.stop()
}

// bench measures messages and calls in every format that has words for them, and says what it cannot.
func TestBench(t *testing.T) {
	s := speak(t, "")
	ex := examples(t, newBench(), 2)
	if got := s.enter(t, ex[0]).ends(t); !regexp.MustCompile(`\nwsify://\S+, 10 subscribers, 128 bytes, \d+\.\d s: [1-9]\d* deliveries/s, latency median \S+ ms, 99 % \S+ ms, max \S+ ms; lost \d+, failed 0\n$`).MatchString(got) {
		t.Errorf("%s wrote %q", ex[0], got)
	}
	for protocol, usual := range usualPorts {
		for _, calls := range []bool{false, true} {
			args := []string{"bench", s.real(protocol + "://" + usual), "-s", "3", "-d", "200ms", "--rate", "50", "--json"}
			if calls {
				args = append(args, "--calls", "--by-topic")
			}
			var out, log bytes.Buffer
			code := run(args, &out, &log)
			var r result
			if err := json.Unmarshal(out.Bytes(), &r); err != nil || code != 0 || r.Done == 0 || r.Delivered == 0 || r.Failed > 0 || r.MedianMS <= 0 || r.Clients != 3 {
				t.Errorf("%v: exit code %d, %+v\n%s", args, code, r, log.String())
			}
		}
	}
	for args, want := range map[string]string{
		"bench wsify://127.0.0.1:3000/ws --subscribers 0": "--subscribers must be from 1",
		"bench wsify://127.0.0.1:3000/ws --size 1":        "--size must be from 32",
		"bench wsify://127.0.0.1:3000/ws --calls -s 1":    "the format has no words for offer",
		"bench wsify://127.0.0.1:3000/ws --duration 0s":   "--duration must be longer",
		"bench wsify://127.0.0.1:3000/ws --in-flight 0":   "--in-flight must be at least 1",
		"bench wsify://127.0.0.1:3000/none -s 1":          "404",
	} {
		var out, log bytes.Buffer
		if code := run(strings.Fields(s.real(args)), &out, &log); code != 1 || !strings.Contains(log.String(), want) || out.Len() > 0 {
			t.Errorf("%s: exit code %d\n%s%s", args, code, out.String(), log.String())
		}
	}
}

// Servers with certificates, client certificates, tokens and Unix sockets are reached as the flags say.
func TestClientsOfGuardedServers(t *testing.T) {
	dir, ca := t.TempDir(), certstest.NewCA(t, "ca")
	cert, key := certstest.Write(t, dir, "server", ca.Issue(nil, "broker.example"))
	mine, myKey := certstest.Write(t, dir, "mine", ca.Issue(nil, "ann"))
	authority := certstest.WriteFile(t, dir, "ca.pem", ca.PEM())
	port, sockets := coretest.FreePort(t), t.TempDir()
	file := write(t, fmt.Sprintf(`
admin: {listen: ""}
endpoints:
  - {name: secure, protocol: wsify, listen: "127.0.0.1:%d", path: /ws, tls: {cert: %q, key: %q, client_auth: require, client_ca: %q}}
  - {name: local, protocol: wsify, listen: "unix:%s/plain", path: /ws, auth: [{type: token, tokens: [{token: s3cret, subject: ann}]}]}
  - {name: both, protocol: wsify, listen: "unix:%[5]s/secure", path: /ws, tls: {cert: %[2]q, key: %[3]q}}
`, port, cert, key, authority, sockets))
	serveHere(t, file)
	url := fmt.Sprintf("wsify+tls://127.0.0.1:%d/ws", port)
	shown := []string{"--cert", mine, "--key", myKey}
	trusted := append([]string{"--ca", authority, "--server-name", "broker.example"}, shown...)
	for _, c := range []struct {
		name string
		args []string
		want string // on standard error; "" is success
	}{
		{"as told", append([]string{"pub", url, "t", "x"}, trusted...), ""},
		{"by name", append([]string{"pub", "secure", "t", "x", "-c", file}, trusted...), ""},
		{"whoever it is", append([]string{"pub", url, "t", "x", "--insecure"}, shown...), ""},
		{"another name", append([]string{"pub", url, "t", "x", "--ca", authority}, shown...), "127.0.0.1"},
		{"unknown authority", append([]string{"pub", url, "t", "x", "--server-name", "broker.example"}, shown...), "unknown authority"},
		{"half a certificate", []string{"pub", url, "t", "x", "--cert", mine}, "--cert and --key belong together"},
		{"no authority", []string{"pub", url, "t", "x", "--ca", key}, "holds no certificate in PEM"},
		{"without TLS", []string{"pub", fmt.Sprintf("wsify://127.0.0.1:%d/ws", port), "t", "x"}, "connecting to ws://127.0.0.1"},
		{"a socket", []string{"pub", "local", "t", "x", "-c", file, "--token", "s3cret"}, ""},
		{"a socket by its URL", []string{"pub", "ws+unix:" + sockets + "/plain:/ws", "t", "x", "--protocol", "wsify", "--token", "s3cret"}, ""},
		{"a socket with TLS", append([]string{"pub", "both", "t", "x", "-c", file}, trusted...), ""},
		{"a header", []string{"pub", "local", "t", "x", "-c", file, "-H", "Authorization: Bearer s3cret"}, ""},
		{"no token", []string{"pub", "local", "t", "x", "-c", file}, "the server refused: 401 Unauthorized"},
		{"no header", []string{"pub", "local", "t", "x", "-c", file, "-H", "Authorization"}, `write "NAME: VALUE"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, log bytes.Buffer
			code := run(c.args, &out, &log)
			if (code == 0) != (c.want == "") || !strings.Contains(log.String(), c.want) || strings.Contains(log.String(), "s3cret") {
				t.Errorf("exit code %d\n%s%s", code, out.String(), log.String())
			}
		})
	}
}
