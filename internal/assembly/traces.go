package assembly

import (
	"log/slog"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/tracing"
)

// traces are what records traces. Its methods may be called on nil, which records none.
type traces struct {
	records *tracing.Tracer
	stats   *core.TraceStats
}

// newTraces makes what the configuration says; nil if that is nothing.
func newTraces(cfg *config.Config, version string, log *slog.Logger) (*traces, error) {
	c := cfg.Traces
	if !c.On() {
		return nil, nil
	}
	stats := new(core.TraceStats)
	t, err := tracing.New(tracing.Options{
		URL: c.URL, Headers: c.Headers, Sample: c.Sample,
		Service: c.Service, Version: version, Instance: cfg.Cluster.Node,
		Logger: log, Stats: stats,
	})
	if err != nil {
		return nil, err
	}
	return &traces{t, stats}, nil
}

// tracer returns what the engine needs of it; nil if no traces are recorded.
func (t *traces) tracer() core.Tracer {
	if t == nil {
		return nil
	}
	return t.records
}

func (t *traces) close() {
	if t != nil {
		t.records.Close()
	}
}

// Traces returns the counters of traces; nil if none are recorded.
func (p *Parts) Traces() *core.TraceStats {
	if p.traces == nil {
		return nil
	}
	return p.traces.stats
}
