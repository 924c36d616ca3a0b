package polywire_test

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/polywiretest"
)

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// TestListener: endpoints, and the admin server, are served at listeners that the program has opened, which are closed
// with the broker.
func TestListener(t *testing.T) {
	shared, socket, admin := listen(t, "tcp", "127.0.0.1:0"), listen(t, "unix", filepath.Join(t.TempDir(), "s")), listen(t, "tcp", "127.0.0.1:0")
	cfg := config.Config{
		Endpoints: []config.Endpoint{
			{Name: "first", Protocol: "vws", Listen: "127.0.0.1:7", Path: "/first"},
			{Name: "second", Protocol: "wsify", Listen: "127.0.0.1:7", Path: "/second"},
			{Name: "local", Protocol: "wsify", Listen: "127.0.0.1:7", Path: "/local", TopicPrefix: "x/"},
			{Name: "other", Protocol: "wsify", Listen: "127.0.0.1:0"},
		},
		Admin: config.Admin{Listen: "127.0.0.1:7777"},
	}
	cfg.Endpoints[2].Listen = "127.0.0.1:8"
	b := polywiretest.Start(t, cfg,
		polywire.WithListener("second", shared), polywire.WithListener("local", socket), polywire.WithListener("$admin", admin))
	for endpoint, want := range map[string]string{
		"first": "ws://" + shared.Addr().String() + "/first", "second": "ws://" + shared.Addr().String() + "/second", "local": "ws+unix:" + socket.Addr().String() + ":/local",
	} {
		if got := b.URL(endpoint); got != want {
			t.Errorf("%s is at %s, want %s", endpoint, got, want)
		}
		c := b.Connect(endpoint)
		c.Subscribe("news")
		if endpoint != "first" {
			c.Publish("news", "1")
			c.Expect("news", "1")
		}
	}
	b.Connect("other")
	if status, _ := get(t, b.AdminURL()); status != http.StatusOK || !strings.Contains(b.AdminURL(), admin.Addr().String()) {
		t.Errorf("%d at %s", status, b.AdminURL())
	}
	moved := cfg
	moved.Endpoints = append([]config.Endpoint(nil), cfg.Endpoints...)
	moved.Endpoints[2].Listen = "127.0.0.1:9"
	if _, err := b.Reload(&moved); err == nil || !strings.Contains(err.Error(), `"local" is served at a listener that the program has opened`) {
		t.Error(err)
	}
	moved.Endpoints[2].Listen, moved.Endpoints[2].Path = cfg.Endpoints[2].Listen, "/elsewhere"
	if _, err := b.Reload(&moved); err != nil {
		t.Error(err)
	}
	b.Connect("local")
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	for _, ln := range []net.Listener{shared, socket, admin} {
		if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s is left open", ln.Addr())
		}
	}
}

// TestListenerRefused: what cannot be served at says why, and is left open.
func TestListenerRefused(t *testing.T) {
	ln := listen(t, "tcp", "127.0.0.1:0")
	for want, options := range map[string][]polywire.Option{
		`WithListener for "web" was given a *tls.listener; it must be a *net.TCPListener or a *net.UnixListener`: {polywire.WithListener("web", tls.NewListener(ln, new(tls.Config)))},
		`WithListener for "web" was given no listener`:                                                           {polywire.WithListener("web", nil)},
		`WithListener names the endpoint "x", which the configuration does not have`:                             {polywire.WithListener("x", ln)},
		`WithListener is given twice for "web"`:                                                                  {polywire.WithListener("web", ln), polywire.WithListener("web", ln)},
		"WithListener is for the admin server, which the configuration turns off":                                {polywire.WithListener("$admin", ln)},
	} {
		if _, err := polywire.New(made("web"), slog.New(slog.DiscardHandler), options...); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	b, err := polywire.New(made("web"), slog.New(slog.DiscardHandler), polywire.WithListener("web", ln))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
		t.Error("a broker that never ran leaves it open")
	}
}
