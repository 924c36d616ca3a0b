package config

import (
	"net/url"
	"slices"
	"strings"
)

// Traces says where traces of messages and calls are sent, and which.
type Traces struct {
	// URL is the collector's address, for OTLP: http://host:4318, grpc://host:4317, or https:// and grpcs://; "" records
	// no traces.
	URL string `koanf:"url"`
	// Headers are sent to the collector with each request.
	Headers map[string]string `koanf:"headers"`
	// Sample is the share, from 0 to 1, that is recorded of what comes without a trace context; what comes with one is
	// recorded if its trace is.
	Sample float64 `koanf:"sample"`
	// Service is the name under which the broker appears.
	Service string `koanf:"service"`
}

// On reports whether traces are recorded.
func (t Traces) On() bool { return t.URL != "" }

func (r *report) checkTraces(t Traces) {
	if t.URL != "" {
		schemes := []string{"http", "https", "grpc", "grpcs"}
		u, err := url.Parse(t.URL)
		switch {
		case err != nil || u.Host == "":
			// Not the text: it may hold a password.
			r.add("traces.url", `is no address such as "http://127.0.0.1:4318" or "grpc://127.0.0.1:4317"`)
		case !slices.Contains(schemes, u.Scheme):
			r.add("traces.url", "must begin with %s, not %q", strings.Join(schemes, ", "), u.Scheme)
		case u.User != nil:
			r.add("traces.url", "must not hold a password; traces.headers takes one: {authorization: …}")
		case u.Scheme[0] == 'g' && (u.Port() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != ""):
			r.add("traces.url", "must be %s://, a host and a port", u.Scheme)
		}
	}
	if !(t.Sample >= 0 && t.Sample <= 1) {
		r.add("traces.sample", "must be from 0 to 1, such as 0.01 for one of a hundred")
	}
	if t.Service == "" {
		r.add("traces.service", "must not be empty")
	}
}
