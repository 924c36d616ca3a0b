package conversations_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/conversations"
	"github.com/polywire/polywire/core/coretest"
)

// nodes are the brokers of a cluster.
var nodes = []string{"a", "b", "c"}

// clusterScripts are the scripts of several formats and those of clusters, but for that of the webhook whose answers a
// broker remembers: the nodes do not tell each other what they remember.
func clusterScripts(t *testing.T) []string {
	pairs := slices.DeleteFunc(scripts(t, "pairs/*.txt"), func(file string) bool { return filepath.Base(file) == "authorizer.txt" })
	return append(pairs, scripts(t, "pairs/cluster/*.txt")...)
}

// TestPairsInCluster plays the scripts of several formats again, with their clients spread over
// three brokers that NATS joins.
func TestPairsInCluster(t *testing.T) {
	address := natsServer(t)
	var played atomic.Int64
	playAll(t, clusterScripts(t), func(t *testing.T, player *conversations.Player, yaml string) map[string]*url.URL {
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

// TestPairsOverRedis plays them over three brokers that Redis joins. It has no prefix for topics, so
// each script has a Redis of its own. It carries no UTF-16.
func TestPairsOverRedis(t *testing.T) {
	files := slices.DeleteFunc(clusterScripts(t), func(file string) bool { return filepath.Base(file) == "half_characters.txt" })
	playAll(t, files, func(t *testing.T, player *conversations.Player, yaml string) map[string]*url.URL {
		address := redisServer(t)
		return cluster(t, player, yaml, func(node string) []config.Override {
			return []config.Override{
				{From: "test", Key: "cluster.engine", Value: "redis"},
				{From: "test", Key: "cluster.node", Value: node},
				{From: "test", Key: "cluster.url", Value: address},
			}
		})
	})
}

// redisServer runs a Redis until the test ends.
func redisServer(t *testing.T) (address string) {
	t.Helper()
	port := strconv.Itoa(coretest.FreePort(t))
	server := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatalf("starting redis-server, which make test installs: %v", err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	coretest.Eventually(t, "Redis serves", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
	return "redis://127.0.0.1:" + port
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
	coretest.Eventually(t, fmt.Sprintf("there are %d other nodes", n), func() bool {
		return strings.Contains(metricsPage(parseURL(t, b.AdminURL())), want)
	})
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
