package main

import (
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/conversations"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/polywiretest"
)

// TestConversations plays conversations/*.txt against a broker that runs the plugin.
func TestConversations(t *testing.T) {
	program := filepath.Join(t.TempDir(), "stomp")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, out)
	}
	files, err := filepath.Glob("conversations/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d scripts, %v", len(files), err)
	}
	for _, file := range files {
		for _, processes := range []string{"1", "2"} {
			t.Run(filepath.Base(file)+" with "+processes, func(t *testing.T) {
				t.Parallel()
				play(t, file, []config.Override{
					{From: "test", Key: "endpoints.stomp.plugin.command", Value: program},
					{From: "test", Key: "endpoints.stomp.plugin.processes", Value: processes},
					{From: "test", Key: "network.loops", Value: "2"},
				})
			})
		}
	}
}

func play(t *testing.T, file string, set []config.Override) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	script, err := conversations.Parse(file, text)
	if err != nil {
		t.Fatal(err)
	}
	script.Timeout = coretest.Patience
	player, err := conversations.NewPlayer(script, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer player.Close()
	yaml, err := player.Config(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := player.Play(t.Context(), serve(t, yaml, set)); err != nil {
		t.Error(err)
	}
}

// serve runs a broker until the test ends and returns its addresses.
func serve(t *testing.T, yaml string, set []config.Override) map[string]*url.URL {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	cfg, err := polywire.Load(config.Source{File: file, Set: set}, log)
	if err != nil {
		t.Fatal(err)
	}
	broker, err := polywire.New(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	polywiretest.Run(t, broker)
	endpoints := map[string]*url.URL{"admin": parseURL(t, broker.AdminURL())}
	for _, ep := range broker.Endpoints() {
		endpoints[ep.Name] = parseURL(t, ep.URL)
	}
	return endpoints
}

func parseURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
