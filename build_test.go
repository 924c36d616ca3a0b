package polywire_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/polywiretest"
)

// made is a configuration that a program has made.
func made(names ...string) *config.Config {
	cfg := new(config.Config)
	for _, name := range names {
		cfg.Endpoints = append(cfg.Endpoints, config.Endpoint{Name: name, Protocol: "vws", Listen: "127.0.0.1:0", Options: map[string]any{"allow_send": true}})
	}
	return cfg
}

// TestMadeInGo: a broker runs, plans and reloads with configurations that a program has made, and says what is
// wrong with them by key.
func TestMadeInGo(t *testing.T) {
	cfg := made("web")
	b, err := polywire.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Endpoints[0].Format != nil || b.AdminURL() != "" {
		t.Errorf("New has changed what it was given: %+v, and listens at %q", cfg.Endpoints[0], b.AdminURL())
	}
	r := polywiretest.Run(t, b)
	c := r.Connect("web")
	built, err := polywire.Build(*made("web", "more"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if p := r.Plan(built); len(p.Endpoints) != 2 || p.Endpoints[0].Outcome != polywire.Unchanged || p.Endpoints[1].Outcome != polywire.Added {
		t.Errorf("the plan is %+v", p)
	}
	if _, err := r.Reload(made("web", "more")); err != nil {
		t.Fatal(err)
	}
	c.Subscribe("news")
	r.Connect("more").Publish("news", "1")
	c.Expect("news", "1")

	wrong := made("web", "more")
	wrong.Endpoints[1].MaxCalls = -1
	_, ofNew := polywire.New(wrong, slog.New(slog.DiscardHandler))
	_, ofReload := r.Reload(wrong)
	_, ofBuild := polywire.Build(*wrong, nil)
	for _, err := range []error{ofNew, ofReload, ofBuild, polywire.Check(wrong)} {
		if err == nil || err.Error() != "endpoints[1].max_calls: must be at least 1" {
			t.Error(err)
		}
	}
	mixed := load(t, `endpoints: [{name: a, protocol: vws, listen: "127.0.0.1:0"}]`)
	mixed.Endpoints = append(mixed.Endpoints, made("b").Endpoints...)
	if _, err := polywire.New(mixed, nil); err == nil || !strings.HasPrefix(err.Error(), `endpoint "b" was added to a configuration that was loaded or built before`) {
		t.Error(err)
	}
}

// TestSource: the configuration that a broker reads again may be made in Go.
func TestSource(t *testing.T) {
	b := polywiretest.Start(t, *made("web"), polywire.WithSource(func() (*config.Config, error) { return made("web", "more"), nil }))
	for _, dryRun := range []bool{true, false} {
		if p, err := b.Reread(dryRun); err != nil || len(p.Endpoints) != 2 {
			t.Errorf("%+v %v", p, err)
		}
	}
	b.Connect("more")
	if err := b.Publish("more", "a", core.Payload{}); err != nil {
		t.Error(err)
	}
}
