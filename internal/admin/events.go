package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/polywire/polywire/core"
)

// EventSink is a backend that is told what clients do.
type EventSink struct {
	// Name is that of the configuration.
	Name string
	// Stats are its counters.
	Stats *core.SinkStats
	// Health returns why it does not take events; nil if it does.
	Health func() error
}

// eventDescs are the metrics of events for backends.
type eventDescs struct{ sent, retries, dropped, queued, bytes, failing *prometheus.Desc }

func newEventDescs() eventDescs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("polywire_events_"+name, help, append([]string{"backend"}, labels...), nil)
	}
	return eventDescs{
		sent:    desc("sent_total", "Events that their backend has taken."),
		retries: desc("retries_total", "Requests with events that were made once more because the backend did not take them."),
		dropped: desc("dropped_total", "Events that their backend did not get: too many waited (overload), it refused them (denied), it did not take them for too long (timeout), the broker ended (drain), or they could not be written (unwritable).", "reason"),
		queued:  desc("queued", "Events that wait to be sent."),
		bytes:   desc("queued_bytes", "What the events that wait count, in bytes."),
		failing: desc("failing", "1 while the backend does not take events."),
	}
}

func (d eventDescs) describe(to chan<- *prometheus.Desc) {
	for _, one := range []*prometheus.Desc{d.sent, d.retries, d.dropped, d.queued, d.bytes, d.failing} {
		to <- one
	}
}

func (d eventDescs) collect(to chan<- prometheus.Metric, s EventSink) {
	to <- prometheus.MustNewConstMetric(d.sent, prometheus.CounterValue, float64(s.Stats.Sent.Load()), s.Name)
	to <- prometheus.MustNewConstMetric(d.retries, prometheus.CounterValue, float64(s.Stats.Retries.Load()), s.Name)
	collect(to, d.dropped, &s.Stats.Dropped, core.SinkDropped, s.Name)
	to <- prometheus.MustNewConstMetric(d.queued, prometheus.GaugeValue, float64(s.Stats.Queued.Load()), s.Name)
	to <- prometheus.MustNewConstMetric(d.bytes, prometheus.GaugeValue, float64(s.Stats.QueuedBytes.Load()), s.Name)
	failing := 0.0
	if s.Stats.Failing.Load() {
		failing = 1
	}
	to <- prometheus.MustNewConstMetric(d.failing, prometheus.GaugeValue, failing, s.Name)
}

// events returns the backends that are told what clients do.
func (s *Source) events() []EventSink {
	if s.Events == nil {
		return nil
	}
	return s.Events()
}
