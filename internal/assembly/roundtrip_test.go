package assembly

import (
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
	"github.com/polywire/polywire/core/engine"
)

// distant is a backplane whose nodes are called by how they answer.
type distant struct {
	backplane
	cluster core.Cluster
}

func (d *distant) Start(c core.Cluster)            { d.cluster = c }
func (d *distant) Cancel(core.NodeID, core.CallID) {}
func (d *distant) Close()                          {}
func (d *distant) Ask(to core.NodeID, q core.Question) core.Failure {
	switch to {
	case "there":
		go d.cluster.Answered(to, q.Call, core.Outcome{Failure: core.Failure{Code: core.NoService}})
		return core.Failure{}
	case "gone":
		return core.Failure{Code: core.Gone}
	}
	return core.Failure{Code: core.Unreachable}
}

// Each node that can be reached is measured; one that has gone is not counted as far away.
func TestRoundTrips(t *testing.T) {
	d, c := new(distant), &cluster{stats: new(core.ClusterStats)}
	c.backplane = d
	e := engine.New(engine.Options{Backplane: d})
	d.Start(e)
	n := newNodes(e, c, newBackground())
	for _, id := range []core.NodeID{"there", "gone", "away"} {
		n.joins(id)
	}
	n.measureOnce(t.Context())
	n.measureOnce(t.Context())
	count := func(d *core.Durations) (n uint64) {
		for _, c := range d.Read().Counts {
			n += c
		}
		return n
	}
	if ok, failed := count(&c.stats.RoundTrips.OK), count(&c.stats.RoundTrips.Failed); ok != 2 || failed != 2 {
		t.Errorf("%d answers and %d failures were measured, want 2 and 2", ok, failed)
	}
	coretest.Eventually(t, "no call is left", func() bool { return e.Calls() == 0 })
	(*nodes)(nil).measure(t.Context()) // a broker that is alone has nobody to ask
}
