package redis

import (
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/internal/cluster/clustertest"
)

// join starts a node and waits until it is well.
func join(t testing.TB, o Options) (*Backplane, *clustertest.Recorder, *core.ClusterStats) {
	t.Helper()
	s := clustertest.NewRecorder(o.Node)
	b, stats := startNode(t, o, s)
	t.Cleanup(b.Close)
	healthy(t, b)
	return b, s, stats
}

// pair starts two nodes that know each other; what one hears of the other works.
func pair(t testing.TB, url string) (a, b *Backplane, aStub, bStub *clustertest.Recorder) {
	t.Helper()
	a, aStub, _ = join(t, Options{Node: "a", URL: url})
	b, bStub, _ = join(t, Options{Node: "b", URL: url})
	a.Hear(hear("sync"))
	b.Hear(hear("sync"))
	meet(t, a, b, aStub, bStub)
	return a, b, aStub, bStub
}

func meet(t testing.TB, a, b *Backplane, aStub, bStub *clustertest.Recorder) {
	t.Helper()
	coretest.Eventually(t, "they know each other", func() bool { return a.nodes.Known(b.id) && b.nodes.Known(a.id) })
	reaches(t, a, bStub)
	reaches(t, b, aStub)
}

// reaches waits until what from publishes comes to the stub of another node, which hears sync.
func reaches(t testing.TB, from *Backplane, to *clustertest.Recorder) {
	t.Helper()
	before := len(to.Got("sync"))
	coretest.Eventually(t, "a message comes", func() bool {
		from.Publish([]byte("sync"), text("x"), nil)
		return len(to.Got("sync")) > before
	})
}

func text(s string) core.Payload { return core.Payload{Kind: core.Text, Data: []byte(s)} }

func hear(topics ...string) (all []core.Interest) {
	for _, t := range topics {
		all = append(all, core.Interest{Name: t, On: true})
	}
	return all
}

func hearAll() []core.Interest { return []core.Interest{{Name: "#", Pattern: true, On: true}} }

func claimNow(t testing.TB, b *Backplane, channel string) core.Failure {
	return b.Claim(t.Context(), core.Claim{Channel: channel}, func() core.Failure { return core.Failure{} })
}

// gets claims a channel until it is given, or for as long as the cluster cannot decide.
func gets(t testing.TB, b *Backplane, channel string) {
	t.Helper()
	coretest.Eventually(t, "the channel is given", func() bool {
		f := claimNow(t, b, channel)
		if f.Failed() && f.Code != core.Unreachable {
			t.Fatal(f)
		}
		return !f.Failed()
	})
}
