package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/polywire/polywire/core"
)

// traceDescs are the metrics of traces.
type traceDescs struct{ recorded, sent, dropped *prometheus.Desc }

func newTraceDescs() traceDescs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("polywire_traces_"+name, help, labels, nil)
	}
	return traceDescs{
		recorded: desc("spans_recorded_total", "Spans that were recorded."),
		sent:     desc("spans_sent_total", "Spans that the collector of traces has taken."),
		dropped:  desc("spans_dropped_total", "Spans that no collector has taken.", "reason"),
	}
}

func (d traceDescs) describe(to chan<- *prometheus.Desc) {
	for _, one := range []*prometheus.Desc{d.recorded, d.sent, d.dropped} {
		to <- one
	}
}

func (d traceDescs) collect(to chan<- prometheus.Metric, s *core.TraceStats) {
	to <- prometheus.MustNewConstMetric(d.recorded, prometheus.CounterValue, float64(s.Recorded.Load()))
	to <- prometheus.MustNewConstMetric(d.sent, prometheus.CounterValue, float64(s.Sent.Load()))
	collect(to, d.dropped, &s.Dropped, core.TracesDropped)
}
