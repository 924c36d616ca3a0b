package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/polywire/polywire/core"
)

// hookDescs are the metrics of webhooks.
type hookDescs struct{ hits, misses, errors, breaker *prometheus.Desc }

func newHookDescs() hookDescs {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("polywire_webhook_"+name, help, []string{"endpoint", "protocol", "webhook"}, nil)
	}
	return hookDescs{
		hits:    desc("hits_total", "Questions to a webhook that were answered without asking it: from memory, or by an answer on its way to another."),
		misses:  desc("misses_total", "Questions to a webhook that were to be asked."),
		errors:  desc("errors_total", "Questions to a webhook without an answer, because it failed or is left alone for that."),
		breaker: desc("breaker_open", "1 while a webhook is left alone because it fails."),
	}
}

func (h hookDescs) describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{h.hits, h.misses, h.errors, h.breaker} {
		to <- d
	}
}

// collect shows the metrics of a webhook that is in use.
func (h hookDescs) collect(to chan<- prometheus.Metric, s *core.HookStats, labels ...string) {
	if !s.InUse.Load() {
		return
	}
	count := func(d *prometheus.Desc, n uint64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	count(h.hits, s.Hits.Load())
	count(h.misses, s.Misses.Load())
	count(h.errors, s.Errors.Load())
	open := 0.0
	if s.Breaker.Load() {
		open = 1
	}
	to <- prometheus.MustNewConstMetric(h.breaker, prometheus.GaugeValue, open, labels...)
}
