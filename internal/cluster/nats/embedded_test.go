package nats

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/cluster/clustertest"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// Programs on this machine do not get in without an address for them, although the server
// listens; nor does a node with another secret.
func TestEmbeddedIsClosed(t *testing.T) {
	address := func() string { return "127.0.0.1:" + strconv.Itoa(coretest.FreePort(t)) }
	at, other := address(), address()
	routes := []string{"nats://" + at, "nats://" + other}
	a, stats := startNode(t, Options{Node: "a", Embedded: &Embedded{Listen: at, Routes: routes, Secret: "s3"}}, clustertest.NewRecorder(""))
	defer a.Close()
	coretest.Eventually(t, "a is connected", stats.Connected.Load)
	if _, err := natsgo.Connect(a.engine.srv.ClientURL(), natsgo.NoReconnect()); !errors.Is(err, natsgo.ErrAuthorization) {
		t.Errorf("a program got in: %v", err)
	}
	b, stats := startNode(t, Options{Node: "b", Embedded: &Embedded{Listen: other, Routes: routes, Secret: "s4"}}, clustertest.NewRecorder(""))
	defer b.Close()
	coretest.Eventually(t, "b is connected", stats.Connected.Load)
	coretest.Eventually(t, "b was turned away", func() bool { return b.engine.srv.NumRoutes() == 0 && a.engine.srv.NumRoutes() == 0 })
	c, _ := startNode(t, Options{Node: "c", Embedded: &Embedded{Listen: address(), Routes: routes, Secret: "s3"}}, clustertest.NewRecorder(""))
	defer c.Close()
	coretest.Eventually(t, "c is let in", func() bool { return c.nodes.Known(a.id) && a.nodes.Known(c.id) })
	if a.nodes.Known(b.id) || c.nodes.Known(b.id) {
		t.Error("b is in the cluster")
	}
}

// A node that is alone, because its routes name only itself, can give no channels to anybody, and says why; with the
// first other node it can.
func TestEmbeddedIsAlone(t *testing.T) {
	address := func() string { return "127.0.0.1:" + strconv.Itoa(coretest.FreePort(t)) }
	at := address()
	routes := []string{"nats://" + at}
	a, _ := startNode(t, Options{Node: "a", Embedded: &Embedded{Listen: at, Routes: routes, StoreDir: t.TempDir()}}, clustertest.NewRecorder(""))
	defer a.Close()
	coretest.Eventually(t, "it says that it is alone", func() bool {
		err := a.Health()
		return errors.Is(err, roster.ErrNoChannels) && strings.Contains(err.Error(), "no other node is there")
	})
	b, _ := startNode(t, Options{Node: "b", Embedded: &Embedded{Listen: address(), Routes: routes, StoreDir: t.TempDir()}}, clustertest.NewRecorder(""))
	defer b.Close()
	for _, one := range []*Backplane{a, b} {
		coretest.Eventually(t, "both are well", func() bool { return one.Health() == nil })
	}
}
