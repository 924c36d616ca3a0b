package admin

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/polywire/polywire/core"
)

// timeDescs are the metrics of how long things take, and of sizes.
type timeDescs struct{ handshakes, delays, calls, in, out, plugin, hooks, service *prometheus.Desc }

func newTimeDescs() timeDescs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("polywire_"+name, help, labels, nil)
	}
	return timeDescs{
		handshakes: desc("handshake_duration_seconds", "Time from the accept of a connection to the answer to its upgrade request; endpoint is empty if none was asked for yet.", "endpoint", "protocol", "outcome"),
		delays:     desc("publish_to_write_seconds", "Time from when a message of a client was read to when the socket of a client of this endpoint took it; of 64 publishes one is measured.", "endpoint", "protocol"),
		calls:      desc("call_duration_seconds", "Time from when a call was taken to its outcome, but for calls that want no answer; while more than a thousand begin in a second, of 16 one is measured.", "endpoint", "protocol", "outcome"),
		in:         desc("message_in_size_bytes", "Payload bytes of a message from a client.", "endpoint", "protocol"),
		out:        desc("message_out_size_bytes", "Payload bytes of a message to a client.", "endpoint", "protocol"),
		plugin:     desc("plugin_request_duration_seconds", "Time that the endpoint's plugin takes for a batch of messages and events.", "endpoint", "protocol", "outcome"),
		hooks:      desc("webhook_request_duration_seconds", "Time that a webhook takes for a request.", "endpoint", "protocol", "webhook", "outcome"),
		service:    desc("service_request_duration_seconds", "Time that the HTTP server of a service takes for a request.", "service", "outcome"),
	}
}

func (d timeDescs) describe(to chan<- *prometheus.Desc) {
	for _, one := range []*prometheus.Desc{d.handshakes, d.delays, d.calls, d.in, d.out, d.plugin, d.hooks, d.service} {
		to <- one
	}
}

func (d timeDescs) collect(to chan<- prometheus.Metric, src *Source) {
	for _, ep := range src.Endpoints() {
		s, labels := ep.Stats, []string{ep.Name, ep.Protocol}
		outcomes(to, d.handshakes, &s.Handshakes, labels...)
		outcomes(to, d.calls, &s.CallTimes, labels...)
		outcomes(to, d.plugin, &s.Plugin, labels...)
		to <- newHistogram(d.delays, s.Delays.Read(), labels...)
		to <- newHistogram(d.in, s.SizesIn.Read(s.BytesIn.Load()), labels...)
		to <- newHistogram(d.out, s.SizesOut.Read(s.BytesOut.Load()), labels...)
		if s.IdentityHook.InUse.Load() {
			outcomes(to, d.hooks, &s.IdentityHook.Times, ep.Name, ep.Protocol, "auth")
		}
		if s.AuthorizerHook.InUse.Load() {
			outcomes(to, d.hooks, &s.AuthorizerHook.Times, ep.Name, ep.Protocol, "authorizer")
		}
	}
	to <- newHistogram(d.handshakes, src.Handshakes.Read(), "", "", outcomeFailed)
	for _, one := range src.Services() {
		outcomes(to, d.service, &one.Stats.Times, one.Match)
	}
}

// The values of the label outcome.
const outcomeOK, outcomeFailed = "ok", "failed"

// outcomes shows both outcomes. The outcome comes behind the labels.
func outcomes(to chan<- prometheus.Metric, desc *prometheus.Desc, o *core.Outcomes, labels ...string) {
	to <- newHistogram(desc, o.OK.Read(), append(slices.Clip(labels), outcomeOK)...)
	to <- newHistogram(desc, o.Failed.Read(), append(slices.Clip(labels), outcomeFailed)...)
}
