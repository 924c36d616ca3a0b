package conversations_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/conversations"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/certs/certstest"
)

// protocols are the names of the built-in formats.
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
	playAll(t, scripts(t, "*/*.txt"), plain)
}

// starter starts the broker of a player, with the configuration of its script, and returns the
// addresses.
type starter func(t *testing.T, player *conversations.Player, yaml string) map[string]*url.URL

func plain(t *testing.T, player *conversations.Player, yaml string) (endpoints map[string]*url.URL) {
	endpoints, player.Stop = serve(t, load(t, yaml))
	return endpoints
}

// TestConversationsOverTLS plays most scripts of each format again, with TLS at every endpoint.
func TestConversationsOverTLS(t *testing.T) {
	ca := certstest.NewCA(t, "conversations")
	cert, key := certstest.Write(t, t.TempDir(), "server", ca.Issue(nil, "127.0.0.1"))
	secured := func(t *testing.T, player *conversations.Player, yaml string) (endpoints map[string]*url.URL) {
		player.Trust(ca.Pool())
		var secure []config.Override
		for _, ep := range load(t, yaml).Endpoints {
			secure = append(secure,
				config.Override{From: "test", Key: "endpoints." + ep.Name + ".tls.cert", Value: cert},
				config.Override{From: "test", Key: "endpoints." + ep.Name + ".tls.key", Value: key})
		}
		endpoints, player.Stop = serve(t, load(t, yaml, secure...))
		for name, u := range endpoints {
			if name != "admin" && u.Scheme != "wss" {
				t.Errorf("%s is at %s", name, u)
			}
		}
		return endpoints
	}
	for _, name := range append(protocols(), "websocket") {
		// Slow receivers and silence take long, and a proxy's header comes before TLS; the
		// network's own tests have them.
		playAll(t, slices.DeleteFunc(scripts(t, name+"/*.txt"), func(file string) bool {
			return slices.Contains([]string{"slow.txt", "idle.txt", "proxies.txt"}, filepath.Base(file))
		}), secured)
	}
}

// TestConversationsOverPlugins plays all scripts again, with each format in its own plugin.
func TestConversationsOverPlugins(t *testing.T) {
	program := filepath.Join(t.TempDir(), "builtin")
	build := exec.Command("go", "build", "-o", program, "../examples/plugins/builtin")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, out)
	}
	plugged := func(t *testing.T, player *conversations.Player, yaml string) (endpoints map[string]*url.URL) {
		var plugins []config.Override
		for _, ep := range load(t, yaml).Endpoints {
			plugins = append(plugins,
				config.Override{From: "test", Key: "endpoints." + ep.Name + ".plugin.command", Value: program + "," + ep.Protocol})
			for _, time := range []string{"start_timeout", "answer_timeout", "grace"} {
				plugins = append(plugins,
					config.Override{From: "test", Key: "endpoints." + ep.Name + ".plugin." + time, Value: coretest.Patience.String()})
			}
		}
		endpoints, player.Stop = serve(t, load(t, yaml, plugins...))
		return endpoints
	}
	playAll(t, scripts(t, "*/*.txt"), plugged)
}

// scripts returns the files that match pattern; there must be some.
func scripts(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d scripts %s, %v", len(files), pattern, err)
	}
	return files
}

func playAll(t *testing.T, files []string, start starter) {
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
			script.Timeout = max(script.Timeout, coretest.Patience)
			err = conversations.Patiently(script, func(s *conversations.Script) error { return play(t, s, start) })
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func play(t *testing.T, script *conversations.Script, start starter) error {
	t.Helper()
	player, err := conversations.NewPlayer(script, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer player.Close()
	yaml, err := player.Config(protocols())
	if err != nil {
		t.Fatal(err)
	}
	servers := start(t, player, yaml)
	known := series(servers["admin"])
	if err := player.Play(t.Context(), servers); err != nil {
		return err
	}
	for one := range series(servers["admin"]) {
		if !known[one] {
			t.Errorf("%s was not there from the start: whoever watches it has missed the first", one)
		}
	}
	return nil
}

// series returns the counters with a reason on a metrics page; none if the broker has ended.
func series(admin *url.URL) map[string]bool {
	found := make(map[string]bool)
	for line := range strings.Lines(metricsPage(admin)) {
		if name, _, ok := strings.Cut(line, " "); ok && strings.Contains(name, "reason=") {
			found[name] = true
		}
	}
	return found
}

// metricsPage returns a metrics page; nothing if the broker has ended.
func metricsPage(admin *url.URL) string {
	res, err := http.Get(admin.String())
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		return ""
	}
	return string(page)
}

// load loads a configuration, with free ports for the metrics and with time for the
// handshakes.
func load(t *testing.T, yaml string, set ...config.Override) *config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	set = append(set, config.Override{From: "test", Key: "admin.listen", Value: "127.0.0.1:0"})
	if !strings.Contains(yaml, "handshake_timeout") {
		set = append(set, config.Override{From: "test", Key: "network.handshake_timeout", Value: coretest.Patience.String()})
	}
	cfg, err := polywire.Load(config.Source{File: file, Set: set}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// serve runs a broker until the test ends, or until stop starts to shut it down, and returns its
// addresses.
func serve(t *testing.T, cfg *config.Config) (endpoints map[string]*url.URL, stop func() error) {
	t.Helper()
	broker, stop := run(t, cfg)
	return addresses(t, broker), stop
}

// addresses returns where a broker serves.
func addresses(t *testing.T, broker *polywire.Broker) map[string]*url.URL {
	t.Helper()
	endpoints := map[string]*url.URL{"admin": parseURL(t, broker.AdminURL())}
	for _, ep := range broker.Endpoints() {
		endpoints[ep.Name] = parseURL(t, ep.URL)
	}
	return endpoints
}

// run runs a broker until the test ends, or until stop starts to shut it down.
func run(t *testing.T, cfg *config.Config) (broker *polywire.Broker, stop func() error) {
	t.Helper()
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
	return broker, func() error {
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
