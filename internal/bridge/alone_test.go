package bridge_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/engine"
	"github.com/polywire/polywire/internal/bridge"
)

// formatOf returns the format of a protocol.
func formatOf(t *testing.T, p core.Protocol) core.ClientFormat {
	t.Helper()
	format, err := p.Default()
	if err != nil {
		t.Fatal(err)
	}
	return format.(core.ClientFormat)
}

// alone runs a bridge to a server, with an engine and no broker around it. What o leaves out is that of a broker which
// is alone.
func alone(t *testing.T, server *oldServer, o bridge.Options) (*bridge.Bridge, *engine.Engine) {
	t.Helper()
	e := engine.New(engine.Options{})
	e.Start()
	t.Cleanup(e.Close)
	o.Endpoint, o.Hub = &core.Endpoint{Name: "old", Stats: new(core.Stats)}, e
	o.Server = client.Options{URL: server.url, Header: http.Header{}}
	o.Room, o.Crowded = func(context.Context) error { return nil }, func() bool { return false }
	o.Together = func(f func()) { f() }
	if o.Neighbours == nil {
		o.Neighbours = bridge.NewNeighbours("here")
	}
	if o.Leads == nil {
		o.Leads = func() bool { return true }
	}
	b := bridge.New(o)
	b.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		b.Stop(ctx)
	})
	return b, e
}
