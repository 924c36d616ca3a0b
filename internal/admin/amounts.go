package admin

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/polywire/polywire/core"
)

// Counts are how many of each there are now.
type Counts struct {
	// Patterns are those of [Source.Topics] that are patterns.
	Patterns int
	// Channels are the channels that clients own, and Services those that they offer.
	Channels, Services int
	// Sessions are those that have connections.
	Sessions int
}

// Loop is what an event loop has to do.
type Loop struct {
	// Index is the number of the loop.
	Index int
	// Busy is for how long it was not waiting for sockets.
	Busy time.Duration
	// Mails is how many messages and other work for it wait now, MaxMails the most lately; see
	// [core.Level].
	Mails, MaxMails int
}

// amountDescs are the metrics of how many there are, of queues and of loops.
type amountDescs struct {
	patterns, channels, services, sessions, queued, peak, busy, mails, mostMails, unwritable *prometheus.Desc
}

func newAmountDescs() amountDescs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("polywire_"+name, help, labels, nil)
	}
	return amountDescs{
		patterns:   desc("patterns", "Patterns that somebody hears; polywire_topics counts them too."),
		channels:   desc("channels_owned", "Channels that clients of this node own."),
		services:   desc("services", "Services that clients of this node offer; those that many share are one."),
		sessions:   desc("sessions", "Sessions that have connections to this node."),
		queued:     desc("queue_bytes", "Encoded bytes that wait for clients whose sockets are full; of a bridge, what waits to be said to its old server.", "endpoint", "protocol"),
		peak:       desc("queue_peak_bytes", "The most that queue_bytes was since the last scrape, and in the last minute at least.", "endpoint", "protocol"),
		busy:       desc("loop_busy_seconds_total", "Time that an event loop did not wait for sockets; its rate is the busy share of the loop.", "loop"),
		mails:      desc("mailbox_messages", "Messages and other work from outside that wait for an event loop.", "loop"),
		mostMails:  desc("mailbox_peak_messages", "The most that an event loop found waiting since the last scrape, and in the last minute at least.", "loop"),
		unwritable: desc("encode_failures_total", "Messages, requests and answers that a client did not get because its format cannot write them, by the format of their author: cluster for other nodes, empty if it is not known.", "endpoint", "protocol", "peer_protocol"),
	}
}

func (d amountDescs) describe(to chan<- *prometheus.Desc) {
	for _, one := range []*prometheus.Desc{d.patterns, d.channels, d.services, d.sessions, d.queued, d.peak, d.busy, d.mails, d.mostMails, d.unwritable} {
		to <- one
	}
}

func (d amountDescs) collect(to chan<- prometheus.Metric, src *Source, now time.Time) {
	gauge := func(desc *prometheus.Desc, v int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(v), labels...)
	}
	c := src.Counts()
	gauge(d.patterns, int64(c.Patterns))
	gauge(d.channels, int64(c.Channels))
	gauge(d.services, int64(c.Services))
	gauge(d.sessions, int64(c.Sessions))
	for _, l := range src.Loops() {
		index := strconv.Itoa(l.Index)
		to <- prometheus.MustNewConstMetric(d.busy, prometheus.CounterValue, l.Busy.Seconds(), index)
		gauge(d.mails, int64(l.Mails), index)
		gauge(d.mostMails, int64(l.MaxMails), index)
	}
	endpoints := src.Endpoints()
	authors := make(map[string]bool)
	for _, ep := range endpoints {
		authors[ep.Protocol] = true
	}
	if src.Cluster != nil {
		authors[core.ClusterProtocol] = true
	}
	for _, ep := range endpoints {
		gauge(d.queued, ep.Stats.Queued.Now(), ep.Name, ep.Protocol)
		gauge(d.peak, ep.Stats.Queued.Peak(now), ep.Name, ep.Protocol)
		counts := ep.Stats.Unwritable.All()
		for _, author := range slices.Sorted(maps.Keys(authors)) {
			to <- prometheus.MustNewConstMetric(d.unwritable, prometheus.CounterValue, float64(counts[author]), ep.Name, ep.Protocol, author)
			delete(counts, author)
		}
		for author, n := range counts { // of endpoints that are gone
			to <- prometheus.MustNewConstMetric(d.unwritable, prometheus.CounterValue, float64(n), ep.Name, ep.Protocol, author)
		}
	}
}
