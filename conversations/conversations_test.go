package conversations_test

import (
	"context"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/conversations"
)

// protocols are the names of the formats that are built in.
func protocols() []string {
	var names []string
	for _, p := range polywire.Protocols() {
		names = append(names, p.Name)
	}
	return names
}

// TestConversations plays every script of the folders beside this file against a
// broker of its own, over real sockets.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("*/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d scripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script, err := conversations.Parse(file, text)
			if err != nil {
				t.Fatal(err)
			}
			play(t, script)
		})
	}
}

func play(t *testing.T, script *conversations.Script) {
	player, err := conversations.NewPlayer(script, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer player.Close()
	yaml, err := player.Config(protocols())
	if err != nil {
		t.Fatal(err)
	}
	var endpoints map[string]*url.URL
	endpoints, player.Stop = serve(t, yaml)
	if err := player.Play(t.Context(), endpoints); err != nil {
		t.Error(err)
	}
}

// serve runs a broker until the test ends, or stop begins to end it, and returns its
// addresses.
func serve(t *testing.T, yaml string) (endpoints map[string]*url.URL, stop func() error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	admin := config.Override{From: "test", Key: "admin.listen", Value: "127.0.0.1:0"}
	cfg, err := config.Load(config.Source{File: file, Set: []config.Override{admin}}, polywire.Protocols())
	if err != nil {
		t.Fatal(err)
	}
	broker, err := polywire.New(cfg, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- broker.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ending the broker: %v", err)
		}
	})
	select {
	case err := <-ended:
		ended <- err
		t.FailNow()
	case <-broker.Ready():
	}
	endpoints = map[string]*url.URL{"admin": parseURL(t, broker.AdminURL())}
	for _, ep := range broker.Endpoints() {
		endpoints[ep.Name] = parseURL(t, ep.URL)
	}
	return endpoints, func() error {
		cancel()
		<-broker.Draining()
		return nil
	}
}

func parseURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
