package nats

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/cluster/clustertest"
)

// testLease is long enough for a busy machine to renew it.
const testLease = 6 * time.Second

// testLog is where nodes log: nowhere, or with POLYWIRE_TEST_LOG set to the output of the test.
func testLog() *slog.Logger {
	if os.Getenv("POLYWIRE_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// startNode starts a node, which the test closes or kills.
func startNode(t testing.TB, o Options, c core.Cluster) (*Backplane, *core.ClusterStats) {
	t.Helper()
	o.Stats = new(core.ClusterStats)
	o.Logger = testLog().With("node", o.Node)
	if o.LeaseTTL == 0 {
		o.LeaseTTL = testLease
	}
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b.Start(c)
	return b, o.Stats
}

// startExternal starts a NATS server with ports of its own.
func startExternal(t testing.TB, change func(*server.Options)) *server.Server {
	t.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir()}
	if change != nil {
		change(o)
	}
	srv, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	go srv.Start()
	coretest.Eventually(t, "the NATS server is ready", func() bool { return srv.ReadyForConnections(time.Second) })
	t.Cleanup(func() { stopServer(srv) })
	return srv
}

// TestExternal plays the suite on a NATS server that is not ours.
func TestExternal(t *testing.T) {
	srv := startExternal(t, nil)
	n := 0
	clustertest.Run(t, func(testing.TB) clustertest.Cluster {
		n++
		prefix := fmt.Sprint("test", n)
		return func(t testing.TB, name string, c core.Cluster) *clustertest.Node {
			line := clustertest.NewCable(t, srv.Addr().String())
			b, _ := startNode(t, Options{Node: name, URL: "nats://" + line.Addr(), Prefix: prefix}, c)
			return &clustertest.Node{
				Backplane: b, ID: b.ID(), Kill: b.abandon, Sessions: b.Sessions(0), Aging: b.Sessions, Places: b.Places(),
				Cut: func() { line.Cut(true) }, Restore: func() { line.Cut(false) },
			}
		}
	})
}

// embeddedOptions returns the options of nodes a, b and c, each of which has a server.
func embeddedOptions(t testing.TB) map[string]Options {
	t.Helper()
	all := map[string]Options{}
	addresses := map[string]string{}
	for _, name := range []string{"a", "b", "c"} {
		addresses[name] = fmt.Sprintf("127.0.0.1:%d", coretest.FreePort(t))
	}
	for name, address := range addresses {
		e := &Embedded{Listen: address, StoreDir: t.TempDir()}
		for other, address := range addresses {
			if other != name {
				e.Routes = append(e.Routes, "nats://"+address)
			}
		}
		all[name] = Options{Node: name, Embedded: e}
	}
	return all
}

// TestEmbedded plays the suite on servers within the nodes, routed together.
func TestEmbedded(t *testing.T) {
	clustertest.Run(t, func(t testing.TB) clustertest.Cluster {
		options := embeddedOptions(t)
		return func(t testing.TB, name string, c core.Cluster) *clustertest.Node {
			b, _ := startNode(t, options[name], c)
			return &clustertest.Node{Backplane: b, ID: b.ID(), Kill: b.abandon, Sessions: b.Sessions(0), Aging: b.Sessions, Places: b.Places()}
		}
	})
}

// healthy waits until a node is well.
func healthy(t testing.TB, b *Backplane) {
	t.Helper()
	coretest.Eventually(t, "the node is well", func() bool { return b.Health() == nil })
}

// unwell waits until a node says what is wrong with it, in words that it shall have.
func unwell(t testing.TB, b *Backplane, words ...string) {
	t.Helper()
	said := ""
	defer func() {
		if t.Failed() {
			t.Logf("the node says %s", said)
		}
	}()
	coretest.Eventually(t, fmt.Sprintf("the node says %q", words), func() bool {
		err := b.Health()
		said = fmt.Sprint(err)
		if err == nil {
			return false
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				return false
			}
		}
		return true
	})
}
