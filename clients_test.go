package polywire_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/polywire/polywire"
	clients "github.com/polywire/polywire/client"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/polywiretest"
)

// TestClients: a program lists its clients by what they are, looks at one, and ends it.
func TestClients(t *testing.T) {
	b := polywiretest.Start(t, config.Config{Endpoints: []config.Endpoint{
		{Name: "web", Protocol: "vws", Options: map[string]any{"allow_send": true}},
		{Name: "bots", Protocol: "wubsub", TopicPrefix: "in/", Auth: []config.Auth{{Type: "token", Tokens: []config.Token{{Token: "t0ken", Subject: "ann"}}}}},
	}})
	web := []*polywiretest.Client{b.Connect("web"), b.Connect("web"), b.Connect("web")}
	bot := b.Connect("bots", func(o *clients.Options) { o.Header = map[string][]string{"Authorization": {"Bearer t0ken"}} })
	web[0].Subscribe("in/#")
	bot.Subscribe("news/today")
	bot.Own("mine", "ask")
	list := func(f polywire.ClientFilter) (ids []uint64) {
		t.Helper()
		for one, err := range b.Clients(t.Context(), f) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, one.ID)
		}
		slices.Sort(ids)
		return ids
	}
	ids := func(all ...*polywiretest.Client) (ids []uint64) {
		for _, c := range all {
			ids = append(ids, c.Connection())
		}
		slices.Sort(ids)
		return ids
	}
	everybody := append(slices.Clone(web), bot)
	for _, c := range []struct {
		filter polywire.ClientFilter
		want   []uint64
	}{
		{polywire.ClientFilter{}, ids(everybody...)},
		{polywire.ClientFilter{Endpoint: "web"}, ids(web...)},
		{polywire.ClientFilter{Protocol: "wubsub"}, ids(bot)},
		{polywire.ClientFilter{User: "ann"}, ids(bot)},
		{polywire.ClientFilter{User: "bob"}, nil},
		{polywire.ClientFilter{From: netip.MustParsePrefix("127.0.0.0/8")}, ids(everybody...)},
		{polywire.ClientFilter{From: netip.MustParsePrefix("10.0.0.0/8")}, nil},
		{polywire.ClientFilter{Topic: "in/news/today"}, ids(web[0], bot)},
		{polywire.ClientFilter{Topic: "in/news/today", Endpoint: "web"}, ids(web[0])},
		{polywire.ClientFilter{Topic: "news/today"}, nil},
	} {
		if got := list(c.filter); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.filter, got, c.want)
		}
	}
	n := 0
	for range b.Clients(t.Context(), polywire.ClientFilter{}) {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("broken off after %d", n)
	}

	one, has, err := b.Client(t.Context(), bot.Connection())
	if err != nil || one.User != "ann" || one.Endpoint != "bots" || !slices.Equal(has.Topics, []string{"news/today"}) || !slices.Equal(has.Channels, []string{"mine"}) {
		t.Errorf("%+v %+v %v", one, has, err)
	}
	if err := b.CloseClient(t.Context(), one.ID, core.ReasonDrain); err != nil {
		t.Error(err)
	}
	_ = bot.ExpectClosed()
	coretest.Eventually(t, "it is among those that have left", func() bool {
		closed := b.ClosedClients()
		return len(closed) == 1 && closed[0].ID == one.ID && closed[0].Reason == core.ReasonDrain && closed[0].User == "ann"
	})
	if err := b.CloseClient(t.Context(), web[0].Connection(), core.NumReasons); err != nil {
		t.Error(err)
	}
	coretest.Eventually(t, "an unknown reason is an internal one", func() bool {
		closed := b.ClosedClients()
		return len(closed) == 2 && closed[0].Reason == core.ReasonInternal
	})
}

// TestClientsErrors: what cannot be looked at says why.
func TestClientsErrors(t *testing.T) {
	idle, err := polywire.New(made("web"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	b := polywiretest.Start(t, *made("web"))
	b.Connect("web")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	first := func(b *polywire.Broker, ctx context.Context, f polywire.ClientFilter) (n int, err error) {
		for _, err := range b.Clients(ctx, f) {
			if n++; err != nil {
				return n, err
			}
		}
		return n, nil
	}
	for _, c := range []struct {
		b    *polywire.Broker
		ctx  context.Context
		f    polywire.ClientFilter
		want string
	}{
		{idle, t.Context(), polywire.ClientFilter{}, "listing clients: the broker is not running"},
		{b.Broker, t.Context(), polywire.ClientFilter{Endpoint: "x"}, `listing clients: there is no endpoint "x"`},
		{b.Broker, gone, polywire.ClientFilter{}, "listing clients: context canceled"},
	} {
		if n, err := first(c.b, c.ctx, c.f); n != 1 || err == nil || err.Error() != c.want {
			t.Errorf("%d, %v, want %s", n, err, c.want)
		}
	}
	if _, _, err := b.Client(t.Context(), 77); !errors.Is(err, core.ErrNoConnection) {
		t.Error(err)
	}
	if err := b.CloseClient(t.Context(), 77, core.ReasonDenied); !errors.Is(err, core.ErrNoConnection) {
		t.Error(err)
	}
	if err := idle.CloseClient(t.Context(), 77, core.ReasonDenied); err == nil || !strings.Contains(err.Error(), "not running") {
		t.Error(err)
	}
}

// TestCollector: a program's own registry has the metrics of a broker without an admin server, at any time.
func TestCollector(t *testing.T) {
	b, err := polywire.New(made("web"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(b.Collector()); err != nil {
		t.Fatal(err)
	}
	opened := func() float64 {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "polywire_connections_opened_total" {
				return f.GetMetric()[0].GetCounter().GetValue()
			}
			if !strings.HasPrefix(f.GetName(), "polywire_") {
				t.Errorf("%s is not the broker's", f.GetName())
			}
		}
		t.Fatal("there is no polywire_connections_opened_total")
		return 0
	}
	if n := opened(); n != 0 {
		t.Errorf("%v have come before Run", n)
	}
	r := polywiretest.Run(t, b)
	r.Connect("web")
	if n := opened(); n != 1 {
		t.Errorf("%v have come", n)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if n := opened(); n != 1 {
		t.Errorf("%v have come, after the end", n)
	}
}
