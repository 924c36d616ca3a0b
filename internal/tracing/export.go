package tracing

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"sync/atomic"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc/credentials"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// newExporter returns what sends to the collector. It connects when there is something to send.
func newExporter(o Options) (sdktrace.SpanExporter, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, err
	}
	var client otlptrace.Client
	switch u.Scheme {
	case "http", "https":
		// The path that the specification of OTLP gives.
		u.Path = cmp.Or(u.Path, "/v1/traces")
		client = otlptracehttp.NewClient(otlptracehttp.WithEndpointURL(u.String()), otlptracehttp.WithHeaders(o.Headers))
	case "grpc":
		client = otlptracegrpc.NewClient(otlptracegrpc.WithEndpoint(u.Host), otlptracegrpc.WithInsecure(), otlptracegrpc.WithHeaders(o.Headers))
	case "grpcs":
		client = otlptracegrpc.NewClient(otlptracegrpc.WithEndpoint(u.Host), otlptracegrpc.WithTLSCredentials(credentials.NewTLS(nil)), otlptracegrpc.WithHeaders(o.Headers))
	default:
		return nil, fmt.Errorf("unknown scheme %q", u.Scheme)
	}
	return otlptrace.New(context.Background(), client)
}

// queue passes ended spans on to next, whose own queue drops without a word, as long as there is room there.
type queue struct {
	next  sdktrace.SpanProcessor
	stats *core.TraceStats

	// Atomic.
	waiting atomic.Int64 // spans whose outcome is not counted yet
}

var _ sdktrace.SpanProcessor = (*queue)(nil)

func (q *queue) OnStart(ctx context.Context, s sdktrace.ReadWriteSpan) { q.next.OnStart(ctx, s) }

func (q *queue) OnEnd(s sdktrace.ReadOnlySpan) {
	q.stats.Recorded.Add(1)
	if q.waiting.Add(1) > maxWaiting {
		q.settle(1)
		q.stats.Dropped.Inc(core.ReasonOverload)
		return
	}
	q.next.OnEnd(s)
}

// settle takes n from what waits, or what is left of it, and returns how many that are.
func (q *queue) settle(n int64) uint64 {
	for {
		waiting := q.waiting.Load()
		n = min(n, waiting)
		if q.waiting.CompareAndSwap(waiting, waiting-n) {
			return uint64(n)
		}
	}
}

func (q *queue) ForceFlush(ctx context.Context) error { return q.next.ForceFlush(ctx) }

// Shutdown sends what waits, and counts as dropped what could not be sent until ctx ended.
func (q *queue) Shutdown(ctx context.Context) error {
	err := q.next.Shutdown(ctx)
	q.stats.Dropped.Add(core.ReasonDrain, q.settle(math.MaxInt64))
	return err
}

// counted is an exporter that says what becomes of spans.
type counted struct {
	to    sdktrace.SpanExporter
	queue *queue
	log   *slog.Logger
}

var _ sdktrace.SpanExporter = (*counted)(nil)

// ExportSpans returns no error: the library would write it to the standard error.
func (c *counted) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := c.to.ExportSpans(ctx, spans)
	n := c.queue.settle(int64(len(spans)))
	if err != nil {
		c.queue.stats.Dropped.Add(core.ReasonUnavailable, n)
		c.log.Warn("traces could not be sent", logging.Bounded("", ""), slog.Int("spans", len(spans)), slog.Any("error", err))
		return nil
	}
	c.queue.stats.Sent.Add(n)
	return nil
}

func (c *counted) Shutdown(ctx context.Context) error { return c.to.Shutdown(ctx) }
