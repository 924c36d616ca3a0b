package main

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core/coretest"
)

// patience is how long a test waits for what must come.
const patience = coretest.Patience

const localhost = `
endpoints:
  - {name: bots, protocol: wubsub, listen: "127.0.0.1:0"}
  - {name: web, protocol: wsify, listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
`

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRun(t *testing.T) {
	good := write(t, localhost)
	bad := write(t, "endpoints:\n  - {name: a, protocol: wubsb}\n  - {name: b, protocol: wsify, lisen: ':1'}\n")
	keyless := write(t, `endpoints: [{name: web, protocol: wsify, listen: "127.0.0.1:0", auth: [{type: jwt, secret_file: "no/secret"}]}]`)
	twoHooks := write(t, `endpoints: [{name: web, protocol: wsify, listen: "127.0.0.1:0", authorizer: {url: "http://127.0.0.1:9/"}, options: {authorizer_url: "http://127.0.0.1:9/"}}]`)
	tests := []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string // what each contains; "" for no output
	}{
		{"no command", nil, 0, "broker check --config config.yaml", ""},
		{"help", []string{"serve", "--help"}, 0, "POLYWIRE_LOG__FORMAT=json broker serve", ""},
		{"version", []string{"version"}, 0, "broker devel", ""},
		{"--version", []string{"--version"}, 0, "broker devel", ""},
		{"-v", []string{"-v"}, 0, "broker devel", ""},
		{"help of completion", nil, 0, "completion  Generate the autocompletion script", ""},
		{"completion", []string{"completion", "bash"}, 0, "bash completion V2 for broker", ""},
		{"two files", []string{"check", "-c", bad, "-c", good}, 2, "", `invalid argument "` + good + `" for "-c, --config" flag: the configuration is one file, and "` + bad + `" was given already`},
		{"the same file twice", []string{"serve", "--config", good, "--config=" + good}, 2, "", "the configuration is one file"},
		{"no name of a file", []string{"check", "-c", ""}, 2, "", "must name a file, or - for standard input"},
		{"unknown command", []string{"serf"}, 2, "", "Did you mean this?\n\tserve"},
		{"unknown flag", []string{"serve", "--colour"}, 2, "", "broker: unknown flag: --colour\nSee 'broker serve --help'.\n"},
		{"argument too many", []string{"check", "x.yaml"}, 2, "", `broker check takes no arguments, but was given "x.yaml"; the configuration file is given with --config`},
		{"set without a value", []string{"check", "--set", "log.level"}, 2, "", "must be KEY=VALUE"},
		{"check", []string{"check", "--config", good}, 0, "web       wsify     http://127.0.0.1:0/broadcast\n", ""},
		{"check with flags", []string{"check", "-c", good, "--set", "endpoints.web.listen=:7", "--admin", ""}, 0, "web       wsify     ws://127.0.0.1:7/ws\n", ""},
		{"bad configuration", []string{"check", "-c", bad}, 1, "", bad + ":2: endpoints[0].protocol: unknown protocol \"wubsb\"; did you mean \"wubsub\"?\n" +
			bad + ":3: endpoints[1].lisen: unknown key; did you mean \"listen\"?\n"},
		{"serve a bad configuration", []string{"serve", "-c", bad}, 1, "", "did you mean"},
		{"bad flag value", []string{"check", "-c", good, "--log-level", "loud"}, 1, "", "--log-level: log.level: must be debug, info, warn or error"},
		{"check a file of keys", []string{"check", "-c", keyless}, 1, "", `broker: endpoint "web": auth[0]: `},
		{"check two authorizers", []string{"check", "-c", twoHooks}, 1, "", `broker: endpoint "web": authorizer and options.authorizer_url are one too many`},
		{"verify nothing", []string{"plugin", "verify"}, 2, "", "requires at least 1 arg"},
		{"verify what is missing", []string{"plugin", "verify", "--option", "a.b=1", "./no-plugin", "--flag"}, 1, "FAILED       starts and shakes hands: there is no program", "broker: 1 of 1 checks failed\n"},
		{"verify with a bad option", []string{"plugin", "verify", "--option", "a", "./no-plugin"}, 1, "", "--option a: write KEY=VALUE"},
		{"no file", []string{"check", "-c", good + ".no"}, 1, "", "broker: reading the configuration: open "},
		{"no file, and none named", []string{"check"}, 1, "", "no such file or directory; name the file with --config FILE or the variable POLYWIRE_CONFIG\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(tt.args, &stdout, &stderr); code != tt.code {
				t.Errorf("code %d, want %d", code, tt.code)
			}
			check(t, "stdout", stdout.String(), tt.stdout)
			check(t, "stderr", stderr.String(), tt.stderr)
		})
	}
}

// TestStandardInput: "-" is the standard input.
func TestStandardInput(t *testing.T) {
	for _, tt := range []struct {
		input, stdout, stderr string
		code                  int
	}{
		{localhost, "web       wsify     http://127.0.0.1:0/broadcast\n", "", 0},
		{"endpoints: []\n", "", "standard input:1: endpoints: there is no endpoint; list at least one\n", 1},
		{"", "", "standard input: endpoints: there is no endpoint; list at least one\n", 1},
	} {
		var stdout, stderr bytes.Buffer
		var started bool
		root := newRoot(&started)
		root.SetIn(strings.NewReader(tt.input))
		if code := carryOut(root, &started, []string{"check", "--config", "-"}, &stdout, &stderr); code != tt.code {
			t.Errorf("code %d, want %d", code, tt.code)
		}
		check(t, "stdout", stdout.String(), tt.stdout)
		check(t, "stderr", stderr.String(), tt.stderr)
	}
}

// TestConfigVariable: POLYWIRE_CONFIG names the file if no flag does.
func TestConfigVariable(t *testing.T) {
	bad := write(t, "endpoint: []\n")
	t.Setenv("POLYWIRE_CONFIG", bad)
	var stdout, stderr bytes.Buffer
	if code := run([]string{"check"}, &stdout, &stderr); code != 1 {
		t.Errorf("code %d", code)
	}
	check(t, "stderr", stderr.String(), bad+":1: endpoint: unknown key")
	stderr.Reset()
	if code := run([]string{"check", "-c", write(t, localhost)}, &stdout, &stderr); code != 0 {
		t.Errorf("with a flag: code %d: %s", code, &stderr)
	}
	t.Setenv("POLYWIRE_LOG_LEVEL", "debug")
	if code := run([]string{"check", "-c", write(t, localhost)}, &stdout, &stderr); code != 1 {
		t.Errorf("with one underscore: code %d", code)
	}
	check(t, "stderr", stderr.String(), "POLYWIRE_LOG_LEVEL: is not read; log.level is set with POLYWIRE_LOG__LEVEL")
}

// TestDurations: durations are readable for people in JSON as in text.
func TestDurations(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		var b bytes.Buffer
		newLogger(format, slog.LevelInfo, &b).With("a", time.Minute).WithGroup("g").Info("x", "b", 1500*time.Millisecond, "n", 3)
		for _, part := range []string{"1m0s", "1.5s"} {
			check(t, format, b.String(), part)
		}
	}
}

func check(t *testing.T, name, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) || want == "" && got != "" {
		t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
	}
}

// TestServe runs the broker until a signal ends it.
func TestServe(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	file := write(t, localhost)
	out, table := io.Pipe()
	var log bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run([]string{"serve", "-c", file, "--log-format", "json"}, table, &log)
		_ = table.Close()
	}()
	urls := make(map[string]string) // and the head of the table
	lines := bufio.NewScanner(out)
	for len(urls) < 5 && lines.Scan() {
		fields := strings.Fields(lines.Text())
		urls[fields[0]+" "+fields[2][:2]] = fields[2]
	}
	if len(urls) < 5 {
		t.Fatalf("the table is %v; exit code %d, log %s", urls, <-ended, &log)
	}
	// A full pipe blocks its writer, so keep reading.
	go func() { _, _ = io.Copy(io.Discard, out) }()
	res, err := http.Post(urls["web ht"], "application/json", strings.NewReader(`{"channel":"a","content":1}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Errorf("POST /broadcast: %d", res.StatusCode)
	}
	res, err = http.Get(urls["admin ht"])
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	check(t, "metrics", string(metrics), `polywire_published_total{endpoint="web",protocol="wsify"} 1`)
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case code := <-ended:
		if code != 0 {
			t.Errorf("code %d", code)
		}
	case <-time.After(patience):
		t.Fatal("does not end after SIGTERM")
	}
	check(t, "log", log.String(), `"level":"INFO","msg":"draining"`)
}

func TestServeTakenAddress(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	taken := write(t, "endpoints: [{name: a, protocol: echo, listen: '192.0.2.1:1'}]\nadmin: {listen: ''}\n")
	var stdout, stderr bytes.Buffer
	if code := run([]string{"serve", "-c", taken}, &stdout, &stderr); code != 1 {
		t.Errorf("code %d", code)
	}
	check(t, "stdout", stdout.String(), "")
	check(t, "stderr", stderr.String(), "broker: starting the endpoints: endpoint a: ")
}

func TestMakeRoom(t *testing.T) {
	tests := []struct {
		name, env          string
		loops, room, wants int // more processors; loops afterwards
	}{
		{"default", "", 0, 3, 3},
		{"loops", "", 2, 2, 2},
		{"the environment knows", "3", 0, 0, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("GOMAXPROCS", tt.env)
			before := runtime.GOMAXPROCS(3)
			defer runtime.GOMAXPROCS(before)
			cfg := config.Config{Network: config.Network{Loops: tt.loops}}
			makeRoom(&cfg)
			if got := runtime.GOMAXPROCS(0); got != 3+tt.room || cfg.Network.Loops != tt.wants {
				t.Errorf("%d processors, %d loops; want %d, %d", got, cfg.Network.Loops, 3+tt.room, tt.wants)
			}
		})
	}
}

// There is a manual page for each command, the same each time.
func TestMan(t *testing.T) {
	read := func() map[string]string {
		dir := filepath.Join(t.TempDir(), "new", "man")
		var out, log bytes.Buffer
		if code := run([]string{"man", dir}, &out, &log); code != 0 {
			t.Fatalf("exit code %d: %s", code, log.String())
		}
		pages := make(map[string]string)
		files, err := filepath.Glob(filepath.Join(dir, "*.1"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			pages[filepath.Base(file)] = string(text)
		}
		return pages
	}
	pages := read()
	for page, want := range map[string]string{
		"broker.1": "One WebSocket broker", "broker-serve.1": "--config", "broker-sub.1": "news/today", "broker-plugin-verify.1": "verify",
	} {
		if !strings.Contains(strings.ReplaceAll(pages[page], `\-`, "-"), want) {
			t.Errorf("%s does not say %q:\n%s", page, want, pages[page])
		}
	}
	if !maps.Equal(pages, read()) {
		t.Error("the pages differ from one time to the next")
	}
	var out, log bytes.Buffer
	if code := run([]string{"man", os.DevNull + "/x"}, &out, &log); code != 1 || !strings.Contains(log.String(), "writing manual pages") {
		t.Errorf("a folder that cannot be made: exit code %d, %s", code, log.String())
	}
}
