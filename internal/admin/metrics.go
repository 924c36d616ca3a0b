package admin

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/polywire/polywire/core"
)

// Reloads counts the reloads of the configuration. All fields are atomic.
type Reloads struct {
	// Done counts the reloads that succeeded, Failed those that changed nothing.
	Done, Failed atomic.Uint64
	// Last is when the configuration in force was taken, in seconds since 1970.
	Last atomic.Int64
}

// Certificate is a TLS certificate of an endpoint.
type Certificate struct {
	// Endpoint names the endpoint, File the file of the certificate.
	Endpoint, File string
	// Expires is when it expires.
	Expires time.Time
}

// total is a counter of an endpoint.
type total struct {
	desc *prometheus.Desc
	read func(*core.Stats) *atomic.Uint64
}

// reasons are the counters of an endpoint by reason.
type reasons struct {
	desc     *prometheus.Desc
	read     func(*core.Stats) *core.Counters
	possible func(core.Possible) core.Reasons
}

// collector reads the counters at the moment of the request. It keeps nothing, so that the hot
// paths count in plain atomics.
type collector struct {
	source  Source
	open    *prometheus.Desc
	away    *prometheus.Desc // in plugins
	totals  []total
	reasons []reasons
	hooks   hookDescs
	service serviceDescs
	cluster clusterDescs
	traces  traceDescs
	events  eventDescs
	times   timeDescs
	amounts amountDescs
	bridge  *prometheus.Desc
	// rejected is also one of reasons.
	rejected, accept, panics, calls, topics, outbound, budget, inbound, inboundBudget, memory, watermark, unlogged, taps, untapped, expiry, build, reloads, reloaded *prometheus.Desc
}

var _ prometheus.Collector = (*collector)(nil)

// registry returns a registry with the metrics of the broker and of its process.
func registry(src Source) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		newCollector(src),
		src.Refusals,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

// NewCollector returns the metrics of the broker.
func NewCollector(src Source) prometheus.Collector { return newCollector(src) }

func newCollector(src Source) *collector {
	perEndpoint := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("polywire_"+name, help, append([]string{"endpoint", "protocol"}, labels...), nil)
	}
	perReason := func(name, help string) *prometheus.Desc { return perEndpoint(name, help, "reason") }
	whole := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("polywire_"+name, help, nil, nil)
	}
	c := &collector{
		source:        src,
		open:          perEndpoint("connections_open", "Connections that are open now."),
		away:          perEndpoint("plugin_unanswered", "Messages and events that are on their way through the endpoint's plugin now."),
		rejected:      perReason("handshakes_rejected_total", "Connections turned away before their upgrade; endpoint is empty if none was asked for yet."),
		accept:        whole("accept_errors_total", "Failed accepts, such as those without a free file descriptor."),
		panics:        whole("panics_total", "Panics that were caught: in the handling of a connection, which they end, and in handlers, hooks and stores."),
		calls:         whole("calls_outstanding", "Calls that wait for their answer."),
		topics:        whole("topics", "Topics and patterns that somebody hears."),
		outbound:      whole("outbound_bytes", "Memory of encoded messages that wait for clients."),
		budget:        whole("outbound_budget_bytes", "What outbound_bytes may be; above it the slowest clients lose messages or are disconnected."),
		inbound:       whole("inbound_bytes", "Memory of input that waits for the rest of its message or for its turn, and of the windows of clients that compress."),
		inboundBudget: whole("inbound_budget_bytes", "What inbound_bytes may be; above it the clients for which most waits are disconnected."),
		memory:        whole("memory_used_bytes", "Memory in use, without garbage and without what the kernel keeps for sockets."),
		watermark:     whole("memory_watermark_bytes", "How much memory may be in use before new connections are refused; 0 is no bound."),
		unlogged:      whole("log_lines_dropped_total", "Lines that are missing in the log because it is written too slowly, or not at all, or because too many at once were about clients."),
		taps:          whole("taps_open", "Taps of the admin API that are read now."),
		untapped:      whole("tap_events_lost_total", "Events that taps did not show because their readers were too slow."),
		expiry: prometheus.NewDesc("polywire_tls_certificate_expiry_timestamp_seconds",
			"When the TLS certificate in use ends, in seconds since 1970.", []string{"endpoint", "file"}, nil),
		reloads:  prometheus.NewDesc("polywire_config_reloads_total", "Reloads of the configuration; those that failed changed nothing.", []string{"result"}, nil),
		reloaded: whole("config_last_reload_success_timestamp_seconds", "When the configuration in force was taken, in seconds since 1970."),
		build:    prometheus.NewDesc("polywire_build_info", "The version of the broker; always 1.", []string{"version"}, nil),
	}
	c.totals = []total{
		{perEndpoint("connections_opened_total", "Connections that finished their upgrade."), func(s *core.Stats) *atomic.Uint64 { return &s.Opened }},
		{perEndpoint("messages_in_total", "Messages from clients."), func(s *core.Stats) *atomic.Uint64 { return &s.MessagesIn }},
		{perEndpoint("bytes_in_total", "Payload bytes of messages from clients."), func(s *core.Stats) *atomic.Uint64 { return &s.BytesIn }},
		{perEndpoint("messages_out_total", "Messages to clients."), func(s *core.Stats) *atomic.Uint64 { return &s.MessagesOut }},
		{perEndpoint("bytes_out_total", "Payload bytes of messages to clients."), func(s *core.Stats) *atomic.Uint64 { return &s.BytesOut }},
		{perEndpoint("plugin_restarts_total", "Processes of the endpoint's plugin that were started again."), func(s *core.Stats) *atomic.Uint64 { return &s.Restarts }},
		{perEndpoint("published_total", "Publishes that were taken, heard or not."), func(s *core.Stats) *atomic.Uint64 { return &s.Published }},
		{perEndpoint("calls_total", "Calls that were taken."), func(s *core.Stats) *atomic.Uint64 { return &s.Calls }},
		{perEndpoint("throttled_total", "Times that a client was not read for a while because it sent faster than its limits."), func(s *core.Stats) *atomic.Uint64 { return &s.Throttled }},
	}
	c.reasons = []reasons{
		{perReason("connections_closed_total", "Connections that ended."), func(s *core.Stats) *core.Counters { return &s.Closed }, func(p core.Possible) core.Reasons { return p.Closed }},
		{c.rejected, func(s *core.Stats) *core.Counters { return &s.Rejected }, func(p core.Possible) core.Reasons { return p.Rejected }},
		{perReason("messages_refused_total", "Messages from clients that were ignored or answered with an error."), func(s *core.Stats) *core.Counters { return &s.Refused }, func(p core.Possible) core.Reasons { return p.Refused }},
		{perReason("messages_dropped_total", "Messages that did not reach a receiver."), func(s *core.Stats) *core.Counters { return &s.Dropped }, func(p core.Possible) core.Reasons { return p.Dropped }},
		{perReason("bytes_dropped_total", "Payload bytes of messages that did not reach a receiver."), func(s *core.Stats) *core.Counters { return &s.DroppedBytes }, func(p core.Possible) core.Reasons { return p.Dropped }},
		{perReason("calls_failed_total", "Calls that ended with a failure."), func(s *core.Stats) *core.Counters { return &s.CallsFailed }, func(p core.Possible) core.Reasons { return p.CallsFailed }},
	}
	c.hooks, c.service, c.cluster = newHookDescs(), newServiceDescs(), newClusterDescs()
	c.events = newEventDescs()
	c.traces = newTraceDescs()
	c.times, c.amounts, c.bridge = newTimeDescs(), newAmountDescs(), newBridgeDesc()
	return c
}

// Describe lists the metrics.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, t := range c.totals {
		to <- t.desc
	}
	for _, r := range c.reasons {
		to <- r.desc
	}
	c.hooks.describe(to)
	c.service.describe(to)
	c.cluster.describe(to)
	c.traces.describe(to)
	c.events.describe(to)
	c.times.describe(to)
	c.amounts.describe(to)
	to <- c.bridge
	for _, d := range []*prometheus.Desc{c.open, c.away, c.accept, c.panics, c.calls, c.topics, c.outbound, c.budget, c.inbound, c.inboundBudget, c.memory, c.watermark, c.unlogged, c.taps, c.untapped, c.expiry, c.build, c.reloads, c.reloaded} {
		to <- d
	}
}

// Collect reads the counters.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	for _, ep := range c.source.Endpoints() {
		to <- prometheus.MustNewConstMetric(c.open, prometheus.GaugeValue, float64(ep.Stats.Open.Load()), ep.Name, ep.Protocol)
		to <- prometheus.MustNewConstMetric(c.away, prometheus.GaugeValue, float64(ep.Stats.Unanswered.Load()), ep.Name, ep.Protocol)
		for _, t := range c.totals {
			to <- prometheus.MustNewConstMetric(t.desc, prometheus.CounterValue, float64(t.read(ep.Stats).Load()), ep.Name, ep.Protocol)
		}
		possible := ep.Possible
		for _, r := range c.reasons {
			collect(to, r.desc, r.read(ep.Stats), r.possible(possible), ep.Name, ep.Protocol)
		}
		c.hooks.collect(to, &ep.Stats.IdentityHook, ep.Name, ep.Protocol, "auth")
		c.hooks.collect(to, &ep.Stats.AuthorizerHook, ep.Name, ep.Protocol, "authorizer")
	}
	c.times.collect(to, &c.source)
	c.amounts.collect(to, &c.source, time.Now())
	collectBridges(to, c.bridge, c.source.Bridges())
	collect(to, c.rejected, c.source.Rejected, core.RejectedUnknown, "", "")
	to <- prometheus.MustNewConstMetric(c.accept, prometheus.CounterValue, float64(c.source.AcceptErrors.Load()))
	to <- prometheus.MustNewConstMetric(c.panics, prometheus.CounterValue, float64(c.source.Panics()))
	to <- prometheus.MustNewConstMetric(c.calls, prometheus.GaugeValue, float64(c.source.Calls()))
	to <- prometheus.MustNewConstMetric(c.topics, prometheus.GaugeValue, float64(c.source.Topics()))
	to <- prometheus.MustNewConstMetric(c.outbound, prometheus.GaugeValue, float64(c.source.Outbound()))
	to <- prometheus.MustNewConstMetric(c.budget, prometheus.GaugeValue, float64(c.source.OutboundBudget))
	to <- prometheus.MustNewConstMetric(c.inbound, prometheus.GaugeValue, float64(c.source.Inbound()))
	to <- prometheus.MustNewConstMetric(c.inboundBudget, prometheus.GaugeValue, float64(c.source.InboundBudget()))
	used, watermark := c.source.Memory()
	to <- prometheus.MustNewConstMetric(c.memory, prometheus.GaugeValue, float64(used))
	to <- prometheus.MustNewConstMetric(c.watermark, prometheus.GaugeValue, float64(watermark))
	to <- prometheus.MustNewConstMetric(c.unlogged, prometheus.CounterValue, float64(c.source.LogDropped()))
	if c.source.Taps != nil {
		open, lost := c.source.Taps()
		to <- prometheus.MustNewConstMetric(c.taps, prometheus.GaugeValue, float64(open))
		to <- prometheus.MustNewConstMetric(c.untapped, prometheus.CounterValue, float64(lost))
	}
	for _, one := range c.source.Services() {
		c.service.collect(to, one)
	}
	if c.source.Cluster != nil {
		c.cluster.collect(to, c.source.Cluster.Stats)
	}
	if c.source.Traces != nil {
		c.traces.collect(to, c.source.Traces)
	}
	for _, one := range c.source.events() {
		c.events.collect(to, one)
	}
	for _, cert := range c.source.Certificates() {
		to <- prometheus.MustNewConstMetric(c.expiry, prometheus.GaugeValue, float64(cert.Expires.Unix()), cert.Endpoint, cert.File)
	}
	r := c.source.Reloads
	to <- prometheus.MustNewConstMetric(c.reloads, prometheus.CounterValue, float64(r.Done.Load()), "done")
	to <- prometheus.MustNewConstMetric(c.reloads, prometheus.CounterValue, float64(r.Failed.Load()), "failed")
	to <- prometheus.MustNewConstMetric(c.reloaded, prometheus.GaugeValue, float64(r.Last.Load()))
	to <- prometheus.MustNewConstMetric(c.build, prometheus.GaugeValue, 1, c.source.Version)
}

// collect shows the reasons that can happen, even at 0, and any other that has occurred. The reason
// comes behind the labels.
func collect(to chan<- prometheus.Metric, desc *prometheus.Desc, counters *core.Counters, possible core.Reasons, labels ...string) {
	for r := range core.NumReasons {
		if n := counters[r].Load(); n > 0 || possible.Has(r) {
			to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), append(slices.Clip(labels), r.String())...)
		}
	}
}
