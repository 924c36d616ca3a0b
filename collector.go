package polywire

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/polywire/polywire/internal/admin"
)

// Collector returns the metrics of the broker, those whose names begin with polywire_, for a registry of the
// program. It reads the broker's counters when it is asked, from any goroutine and at any time, before Run and
// after its end too, and costs nothing otherwise. The admin server shows the same metrics whether or not it is
// used. A registry takes the collector of one broker.
func (b *Broker) Collector() prometheus.Collector { return admin.NewCollector(b.adminSource()) }
