package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/polywire/polywire/core"
)

// Service is a service answered by an HTTP server.
type Service struct {
	// Match names the service, or is a pattern of services.
	Match string
	// Stats are its counters.
	Stats *core.ServiceStats
}

// serviceDescs are the metrics of services that HTTP servers answer.
type serviceDescs struct{ calls, failed, breaker *prometheus.Desc }

func newServiceDescs() serviceDescs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("polywire_service_"+name, help, append([]string{"service"}, labels...), nil)
	}
	return serviceDescs{
		calls:   desc("calls_total", "Calls of a service that its HTTP server was, or was to be, asked."),
		failed:  desc("calls_failed_total", "Calls of a service without an answer of its HTTP server, which cannot be reached (unavailable), takes too long (timeout), answers with an error (internal), or is left alone for that (overload).", "reason"),
		breaker: desc("breaker_open", "1 while the HTTP server of a service is left alone because it fails."),
	}
}

func (d serviceDescs) describe(to chan<- *prometheus.Desc) {
	for _, one := range []*prometheus.Desc{d.calls, d.failed, d.breaker} {
		to <- one
	}
}

func (d serviceDescs) collect(to chan<- prometheus.Metric, s Service) {
	to <- prometheus.MustNewConstMetric(d.calls, prometheus.CounterValue, float64(s.Stats.Calls.Load()), s.Match)
	for _, r := range core.ServiceFailures() {
		to <- prometheus.MustNewConstMetric(d.failed, prometheus.CounterValue, float64(s.Stats.Failed[r].Load()), s.Match, r.String())
	}
	open := 0.0
	if s.Stats.Breaker.Load() {
		open = 1
	}
	to <- prometheus.MustNewConstMetric(d.breaker, prometheus.GaugeValue, open, s.Match)
}
