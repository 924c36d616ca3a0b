package admin

import "github.com/prometheus/client_golang/prometheus"

// Bridge is a bridge to an old server.
type Bridge struct {
	// Name is that of its counters.
	Name string
	// Health returns why the old server cannot be reached; nil if it can.
	Health func() error
	// Standby returns the node of the cluster that runs the bridge instead of this one; empty if none does.
	Standby func() string
}

// newBridgeDesc returns the metric of bridges to old servers, which have those of endpoints besides.
func newBridgeDesc() *prometheus.Desc {
	return prometheus.NewDesc("polywire_bridge_up", "1 while the old server of a bridge can be reached, or another node runs the bridge; else 0.", []string{"endpoint"}, nil)
}

func collectBridges(to chan<- prometheus.Metric, desc *prometheus.Desc, bridges []Bridge) {
	for _, b := range bridges {
		up := 0.0
		if b.Standby() != "" || b.Health() == nil {
			up = 1
		}
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, up, b.Name)
	}
}
