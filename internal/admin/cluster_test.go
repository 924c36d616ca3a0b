package admin_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/admin"
)

// A node is ready once it has been part of the cluster, and says what is wrong with that.
func TestClusterReadiness(t *testing.T) {
	var ready atomic.Bool
	ready.Store(true)
	var health, away error
	var standby string
	stats := new(core.ClusterStats)
	src := source(&ready)
	src.Cluster = &admin.Cluster{Stats: stats, Health: func() error { return health }}
	src.Bridges = func() []admin.Bridge {
		return []admin.Bridge{{Name: "old", Health: func() error { return away }, Standby: func() string { return standby }}}
	}
	s, base := start(t, src)
	defer stop(t, s)
	wants := func(status int, text string) {
		t.Helper()
		if code, body := get(t, base+"/readyz"); code != status || body != text+"\n" {
			t.Errorf("%d %q, want %d %q", code, body, status, text)
		}
	}
	health = errors.New("NATS is away")
	wants(503, "not ready: joining the cluster: NATS is away")
	health = nil
	stats.Connects.Store(1)
	wants(200, "ok")
	health = errors.New("NATS is away")
	wants(200, "ok, but for the cluster: NATS is away")
	health, away, standby = nil, errors.New("it is away"), "n-b-1"
	wants(200, "ok, standing by for the bridge old, which node n-b-1 runs")
	standby = ""
	wants(200, "ok, but for the bridge old: it is away")
	ready.Store(false)
	wants(503, "not ready")
}

func TestClusterMetrics(t *testing.T) {
	stats := new(core.ClusterStats)
	stats.Connected.Store(true)
	stats.Nodes.Store(2)
	stats.Queued.Store(3)
	stats.Connects.Store(4)
	stats.MessagesOut.Store(5)
	stats.MessagesIn.Store(6)
	stats.BytesOut.Store(7)
	stats.BytesIn.Store(8)
	stats.Lost.Store(9)
	stats.Uncounted.Store(11)
	stats.Dropped.Add(core.ReasonSlow, 10)
	src := source(new(atomic.Bool))
	src.Cluster = &admin.Cluster{Stats: stats, Health: func() error { return nil }}
	s, base := start(t, src)
	defer stop(t, s)
	_, page := get(t, base+"/metrics")
	var got []string
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, "polywire_cluster_"); ok {
			got = append(got, strings.TrimSpace(rest))
		}
	}
	want := `bytes_total{direction="in"} 8
bytes_total{direction="out"} 7
channels_lost_total 9
connected 1
connects_total 4
messages_dropped_total{reason="overload"} 0
messages_dropped_total{reason="slow"} 10
messages_dropped_total{reason="too_large"} 0
messages_dropped_total{reason="unavailable"} 0
messages_total{direction="in"} 6
messages_total{direction="out"} 5
nodes 2
queued_bytes 3
refused_total{reason="malformed"} 0
users_uncounted_total 11`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}
