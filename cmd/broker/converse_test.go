package main

import (
	"bytes"
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/polywire/polywire/conversations"
	"github.com/polywire/polywire/conversations/stage"
	"github.com/polywire/polywire/internal/certs/certstest"
)

const talk = `connect a echo
a > {"n":9007199254740993}
a <= {"n":9007199254740993}
metric polywire_connections_open{endpoint="echo"} == 1
`

// converseWith runs the command as the root command does.
func converseWith(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newConverse()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(t.Output())
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(context.Background())
	return out.String(), err
}

func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script.txt")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestConverse(t *testing.T) {
	good := script(t, talk)
	for _, c := range []struct {
		name, file string
		args       []string
		parts      []string // of the error; none: it goes well
	}{
		{name: "its own broker", file: good},
		{name: "its own configuration", file: script(t,
			"---\nendpoints: [{name: e, protocol: echo, listen: \"127.0.0.1:0\"}]\n---\nconnect a e\na > x\na < x\n")},
		{
			name: "otherwise", file: script(t, "connect a echo\na > x\na < y\n"),
			parts: []string{"1 of 1 conversations", "script.txt:3: a < y", "arrived:  text x"},
		},
		{name: "stops its own broker", file: script(t, "connect a echo\nbroker stop\nconnect b echo => 503\na <close 1001 *\n")},
		{
			name: "cannot stop others", file: script(t, "broker stop\n"), args: []string{"--url", "echo=ws://127.0.0.1:1/"},
			parts: []string{"script.txt:1: broker stop", "without --url"},
		},
		{name: "no script", file: script(t, "connect\n"), parts: []string{"script.txt:1: the endpoint is missing"}},
		{name: "bad configuration", file: script(t, "---\nendpoint: []\n---\nconnect a e\n"), parts: []string{"the script's configuration", "endpoint"}},
		{name: "no such file", file: "nowhere.txt", parts: []string{"nowhere.txt"}},
		{name: "nobody there", file: good, args: []string{"--url", "echo=ws://127.0.0.1:1/"}, parts: []string{"script.txt:1:", "dialling for a"}},
		{name: "no such endpoint", file: good, args: []string{"--url", "other=ws://127.0.0.1:1/"}, parts: []string{`no endpoint "echo"`, "known: other"}},
		{name: "no authorities", file: good, args: []string{"--ca", good}, parts: []string{"reading --ca: " + good + " holds no certificate"}},
		{name: "no address", file: good, args: []string{"--url", "echo=127.0.0.1"}, parts: []string{"--url echo=127.0.0.1: write ws://"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := converseWith(t, append(c.args, c.file)...)
			if len(c.parts) == 0 {
				if err != nil || out != "ok "+c.file+"\n" {
					t.Errorf("said %q, error %v", out, err)
				}
				return
			}
			if err == nil {
				t.Fatal("went well")
			}
			for _, part := range c.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error lacks %q:\n%v", part, err)
				}
			}
		})
	}
}

// TestConverseOverTLS plays a script against an endpoint with TLS.
func TestConverseOverTLS(t *testing.T) {
	dir, ca := t.TempDir(), certstest.NewCA(t, "ca")
	cert, key := certstest.Write(t, dir, "server", ca.Issue(nil, "127.0.0.1"))
	file := script(t, "---\nendpoints: [{name: e, protocol: echo, listen: \"127.0.0.1:0\", tls: {cert: "+cert+", key: "+key+"}}]\n---\n"+
		"connect a e\na > x\na < x\n")
	if out, err := converseWith(t, "--ca", certstest.WriteFile(t, dir, "ca.pem", ca.PEM()), file); err != nil || out != "ok "+file+"\n" {
		t.Errorf("said %q, error %v", out, err)
	}
	if _, err := converseWith(t, file); err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("without --ca: %v", err)
	}
}

// TestConverseElsewhere plays a script against a broker that already runs.
func TestConverseElsewhere(t *testing.T) {
	host := converse{log: t.Output(), logLevel: "error"}
	s, err := conversations.Parse("host.txt", nil)
	if err != nil {
		t.Fatal(err)
	}
	player, err := conversations.NewPlayer(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer player.Close()
	cfg, err := host.config(player)
	if err != nil {
		t.Fatal(err)
	}
	file := script(t, "connect a far\na > hello\na < hello\n")
	err = stage.Serve(t.Context(), cfg, newLogger(cfg.Log.Format, cfg.Log.Level, host.log), func(servers map[string]*url.URL, _ func() error) error {
		out, err := converseWith(t, "--url", "far="+servers["echo"].String(), file)
		if err == nil && out != "ok "+file+"\n" {
			t.Errorf("said %q", out)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
