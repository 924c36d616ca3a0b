package conversations_test

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/conversations"
	"github.com/polywire/polywire/core/coretest"
)

// nodes are the brokers of a cluster.
var nodes = []string{"a", "b", "c"}

// TestPairsInCluster plays the scripts of several formats again, with their clients spread over
// three brokers that NATS joins: all but that of the webhook whose answers a broker remembers, as
// the nodes do not tell each other what they remember.
func TestPairsInCluster(t *testing.T) {
	address := natsServer(t)
	var played atomic.Int64
	files := slices.DeleteFunc(scripts(t, "pairs/*.txt"), func(file string) bool { return filepath.Base(file) == "authorizer.txt" })
	playAll(t, files, func(t *testing.T, player *conversations.Player, yaml string) map[string]*url.URL {
		// The scripts that are played at the same time share the server.
		prefix := fmt.Sprint("p", played.Add(1))
		return cluster(t, player, yaml, func(node string) []config.Override {
			return []config.Override{
				{From: "test", Key: "cluster.engine", Value: "nats"},
				{From: "test", Key: "cluster.node", Value: node},
				{From: "test", Key: "cluster.url", Value: address},
				{From: "test", Key: "cluster.prefix", Value: prefix},
			}
		})
	})
}

// cluster runs three brokers of one configuration until the test ends.
func cluster(t *testing.T, player *conversations.Player, yaml string, join func(node string) []config.Override) map[string]*url.URL {
	t.Helper()
	endpoints := make(map[string]*url.URL)
	var brokers []*polywire.Broker
	for i, node := range nodes {
		broker, stop := run(t, load(t, yaml, join(node)...))
		brokers = append(brokers, broker)
		for name, u := range addresses(t, broker) {
			if i > 0 {
				name = node + "/" + name
			}
			endpoints[name] = u
		}
		if i == 0 {
			player.Stop = stop
		}
	}
	for _, b := range brokers {
		awaitNodes(t, b, len(nodes)-1)
	}
	player.Nodes = nodes
	player.Settle = func() error {
		ctx, cancel := context.WithTimeout(t.Context(), coretest.Patience)
		defer cancel()
		for _, b := range brokers {
			if err := b.AwaitCluster(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	return endpoints
}

// awaitNodes waits until a broker reaches so many others.
func awaitNodes(t *testing.T, b *polywire.Broker, n int) {
	t.Helper()
	want := fmt.Sprintf("polywire_cluster_nodes %d\n", n)
	for end := time.Now().Add(coretest.Patience); ; time.Sleep(10 * time.Millisecond) {
		page := metricsPage(parseURL(t, b.AdminURL()))
		if strings.Contains(page, want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("there are no %d other nodes", n)
		}
	}
}

// natsServer runs a NATS server until the test ends.
func natsServer(t *testing.T) (address string) {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(coretest.Patience) {
		t.Fatal("the NATS server does not start")
	}
	return s.ClientURL()
}
