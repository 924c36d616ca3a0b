package network

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/clustertest"
	clusterplaces "github.com/polywire/polywire/internal/cluster/places"
)

// The limit of a user holds over all nodes, and while the cluster cannot be asked at each node alone.
func TestUsersOfCluster(t *testing.T) {
	var cut atomic.Bool
	records := &clustertest.Records{Before: func(context.Context, bool) error {
		if cut.Load() {
			return clustertest.ErrCut
		}
		return nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	stats := new(core.ClusterStats)
	node := func(id core.NodeID) *rig {
		table := clusterplaces.New(clusterplaces.Options{
			ID: id, Reached: func(core.NodeID) bool { return true }, Tell: func(core.NodeID, string) {},
			Stats: stats, Logger: slog.New(slog.DiscardHandler),
		})
		running.Go(func() { table.Run(ctx, records) })
		eventually(t, "the table is connected", func() bool { return table.Users().Join(ctx, "probe", 0) == nil })
		table.Users().Leave("probe")
		return start(t, func(o *Options, ep *Endpoint) {
			o.Places = table.Users()
			ep.Limits = core.NewLiveLimits(core.Limits{ConnectionsPerUser: 2, UsersOfCluster: true})
			ep.Authenticator = badge{}
		})
	}
	// places returns what the records say that ann has; nobody else is there.
	places := func() string {
		return strings.Join(records.Values(), " ")
	}
	one, two := node("one"), node("two")
	first := one.as("ann", "101")
	two.as("ann", "101")
	one.as("ann", "429")
	two.as("ann", "429")
	if got := two.stats.Rejected[core.ReasonLimit].Load(); got != 1 {
		t.Errorf("%d refusals are counted, want 1", got)
	}
	_ = first.Close()
	eventually(t, "the place is free", func() bool { return strings.Contains(places(), `"places":{"two":1}`) })
	two.as("ann", "101")
	one.as("ann", "429")

	cut.Store(true)
	one.as("ann", "101") // one of its own two
	one.as("ann", "101")
	one.as("ann", "429")
	if got := stats.Uncounted.Load(); got != 2 {
		t.Errorf("%d connections are counted as let in without the cluster, want 2", got)
	}
	cut.Store(false)
	eventually(t, "they count when it is back", func() bool { return strings.Contains(places(), `"places":{"one":2,"two":2}`) })
	// The limit may be changed while they are there.
	one.eps["chat"].Limits.Set(core.Limits{})
	one.as("ann", "101")
	if !strings.Contains(places(), `"places":{"one":2,"two":2}`) {
		t.Errorf("the records are %s", places())
	}
}
