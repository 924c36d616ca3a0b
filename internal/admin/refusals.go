package admin

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// refusedFor is why a request is refused by who sends it, or how.
type refusedFor uint8

const (
	refusedHost        refusedFor = iota // its Host is no name of the server
	refusedPage                          // a web page may have sent it
	refusedElsewhere                     // it comes from another machine, or for one
	refusedMissing                       // it shows no credential
	refusedWrong                         // it shows one that is not good
	refusedRate                          // its address has shown too many of those
	refusedRole                          // its sender has not the role
	refusedUnavailable                   // who sends it cannot be found out
	numRefused
)

var refusedNames = [numRefused]string{"host", "page", "elsewhere", "no_credential", "credential", "rate", "role", "unavailable"}

// String returns the name for logs and metrics.
func (r refusedFor) String() string { return refusedNames[r] }

// Refusals count the requests that are refused by who sends them. The zero value is ready for use, by any goroutine.
type Refusals struct {
	counts [numRefused]atomic.Uint64
}

var refusedDesc = prometheus.NewDesc("polywire_admin_requests_refused_total",
	"Requests to the admin server, and to that for backends, that were refused by who sent them.", []string{"reason"}, nil)

// Describe lists the metric.
func (r *Refusals) Describe(to chan<- *prometheus.Desc) { to <- refusedDesc }

// Collect reads the counters.
func (r *Refusals) Collect(to chan<- prometheus.Metric) {
	for reason := range numRefused {
		to <- prometheus.MustNewConstMetric(refusedDesc, prometheus.CounterValue, float64(r.counts[reason].Load()), reason.String())
	}
}
