package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/polywire/polywire/core"
)

// Cluster is the broker as a node of a cluster.
type Cluster struct {
	// Stats are its counters.
	Stats *core.ClusterStats
	// Health returns what is wrong with the cluster, and what to do; nil if nothing is.
	Health func() error
}

// clusterDescs are the metrics of a node of a cluster.
type clusterDescs struct {
	connected, nodes, connects, messages, bytes, queued, dropped, refused, lost, uncounted *prometheus.Desc
}

func newClusterDescs() clusterDescs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("polywire_cluster_"+name, help, labels, nil)
	}
	return clusterDescs{
		connected: desc("connected", "1 while the engine of the cluster can be reached."),
		nodes:     desc("nodes", "Other nodes that can be reached."),
		connects:  desc("connects_total", "Times that the engine was reached; more than one is after a loss."),
		messages:  desc("messages_total", "Messages between this node and the others.", "direction"),
		bytes:     desc("bytes_total", "Payload bytes of messages between this node and the others.", "direction"),
		queued:    desc("queued_bytes", "Bytes that wait to be passed on to other nodes."),
		dropped:   desc("messages_dropped_total", "Messages, and ends of calls, that did not get to other nodes or from them.", "reason"),
		refused:   desc("refused_total", "What came from the cluster and makes no sense.", "reason"),
		lost:      desc("channels_lost_total", "Channels that clients here have lost because the cluster gave them to others, or could not be reached."),
		uncounted: desc("users_uncounted_total", "Connections that were let in by the limit of this node alone, because the cluster could not be asked how many their user has."),
	}
}

func (d clusterDescs) describe(to chan<- *prometheus.Desc) {
	for _, one := range []*prometheus.Desc{d.connected, d.nodes, d.connects, d.messages, d.bytes, d.queued, d.dropped, d.refused, d.lost, d.uncounted} {
		to <- one
	}
}

func (d clusterDescs) collect(to chan<- prometheus.Metric, s *core.ClusterStats) {
	gauge := func(desc *prometheus.Desc, v float64) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v)
	}
	count := func(desc *prometheus.Desc, v uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(v), labels...)
	}
	connected := 0.0
	if s.Connected.Load() {
		connected = 1
	}
	gauge(d.connected, connected)
	gauge(d.nodes, float64(s.Nodes.Load()))
	gauge(d.queued, float64(s.Queued.Load()))
	count(d.connects, s.Connects.Load())
	count(d.messages, s.MessagesOut.Load(), "out")
	count(d.messages, s.MessagesIn.Load(), "in")
	count(d.bytes, s.BytesOut.Load(), "out")
	count(d.bytes, s.BytesIn.Load(), "in")
	count(d.lost, s.Lost.Load())
	count(d.uncounted, s.Uncounted.Load())
	collect(to, d.dropped, &s.Dropped, core.ClusterDropped)
	collect(to, d.refused, &s.Refused, core.ClusterRefused)
}
