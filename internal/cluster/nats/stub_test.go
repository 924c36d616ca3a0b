package nats

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/cluster/clustertest"
)

// dial connects a program that is no node.
func dial(t testing.TB, srv *server.Server) *natsgo.Conn { return dialAs(t, srv, "") }

// dialEmbedded connects to the server within a node.
func dialEmbedded(t testing.TB, b *Backplane) *natsgo.Conn {
	return dialAs(t, b.engine.srv, b.engine.token)
}

func dialAs(t testing.TB, srv *server.Server, token string) *natsgo.Conn {
	t.Helper()
	nc, err := natsgo.Connect(srv.ClientURL(), natsgo.Token(token))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// join starts a node with an external server and waits until it is well.
func join(t testing.TB, srv *server.Server, name string) (*Backplane, *clustertest.Recorder, *core.ClusterStats) {
	t.Helper()
	s := clustertest.NewRecorder(name)
	b, stats := startNode(t, Options{Node: name, URL: srv.ClientURL()}, s)
	t.Cleanup(b.Close)
	healthy(t, b)
	return b, s, stats
}

// reaches waits until what from publishes comes to the stub of another node, which hears sync.
func reaches(t testing.TB, from *Backplane, to *clustertest.Recorder) {
	t.Helper()
	before := len(to.Got("sync"))
	coretest.Eventually(t, "a message comes", func() bool {
		from.Publish([]byte("sync"), core.Payload{Kind: core.Text, Data: []byte("x")}, nil)
		return len(to.Got("sync")) > before
	})
}

func hear1(topic string) []core.Interest { return []core.Interest{{Name: topic, On: true}} }

func claimNow(t testing.TB, b *Backplane, channel string, services ...string) core.Failure {
	return b.Claim(t.Context(), core.Claim{Channel: channel, Services: services}, func() core.Failure { return core.Failure{} })
}
