package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/polywire/polywire/core"
)

const (
	// maxWaiting is how many ended spans wait to be sent.
	maxWaiting = 8192
	// maxTopic is how much of a topic a span shows, in bytes.
	maxTopic = 256
	// closeTimeout bounds how long Close waits for the collector.
	closeTimeout = 3 * time.Second
)

// Options are what a Tracer is made with.
type Options struct {
	// URL is where the collector listens: http://, https://, grpc:// or grpcs://.
	URL string
	// Headers are added to each request to it.
	Headers map[string]string
	// Sample is the share, from 0 to 1, that is recorded of what belongs to no trace.
	Sample float64
	// Service and Version name the program, and Instance this process of it; an empty Instance is left out.
	Service, Version, Instance string
	// Logger says when the collector cannot be reached.
	Logger *slog.Logger
	// Stats count spans.
	Stats *core.TraceStats
}

// Tracer is core.Tracer.
type Tracer struct {
	// Static after construction.
	sample   float64
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

var _ core.Tracer = (*Tracer)(nil)

// New returns a tracer, which sends from then on until Close. The collector need not be there.
func New(o Options) (*Tracer, error) {
	to, err := newExporter(o)
	if err != nil {
		return nil, fmt.Errorf("sending traces to %s: %w", o.URL, err)
	}
	return newTracer(o, to), nil
}

// newTracer returns a tracer that sends to an exporter.
func newTracer(o Options, to sdktrace.SpanExporter) *Tracer {
	attributes := []attribute.KeyValue{attribute.String("service.name", o.Service), attribute.String("service.version", o.Version)}
	if o.Instance != "" {
		attributes = append(attributes, attribute.String("service.instance.id", o.Instance))
	}
	queue := &queue{stats: o.Stats}
	queue.next = sdktrace.NewBatchSpanProcessor(&counted{to: to, queue: queue, log: o.Logger}, sdktrace.WithMaxQueueSize(maxWaiting), sdktrace.WithBatchTimeout(time.Second))
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithResource(resource.NewSchemaless(attributes...)),
		sdktrace.WithSampler(sdktrace.AlwaysSample()), // Begin has decided
		sdktrace.WithSpanProcessor(queue),
	)
	return &Tracer{sample: o.Sample, provider: provider, tracer: provider.Tracer("github.com/polywire/polywire")}
}

// Close sends what has ended, but waits no longer than some seconds, and drops the rest. Spans that end later are
// dropped too.
func (t *Tracer) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	// What cannot be sent is counted and logged by the exporter.
	_ = t.provider.Shutdown(ctx)
}

// Begin begins the span of an operation that is recorded.
func (t *Tracer) Begin(op core.Operation) core.Span {
	ctx := context.Background()
	switch {
	case op.Parent.Recorded():
		ctx = trace.ContextWithRemoteSpanContext(ctx, contextOf(op.Parent))
	case op.Parent != (core.Trace{}):
		return nil
	case t.sample < 1 && rand.Float64() >= t.sample:
		return nil
	}
	kind := kinds[op.Act]
	_, s := t.tracer.Start(ctx, kind.name, trace.WithSpanKind(kind.kind), trace.WithAttributes(attributesOf(kind.name, op)...))
	return span{s}
}

// kinds are how the acts are called.
var kinds = [...]struct {
	name string
	kind trace.SpanKind
}{
	core.Publishing: {"publish", trace.SpanKindServer},
	core.Delivering: {"deliver", trace.SpanKindProducer},
	core.Calling:    {"call", trace.SpanKindServer},
	core.Answering:  {"answer", trace.SpanKindClient},
}

// attributesOf returns what a span says of its operation.
func attributesOf(name string, op core.Operation) []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, 7)
	all = append(all,
		attribute.String("messaging.system", "polywire"),
		attribute.String("messaging.operation.name", name),
		attribute.String("messaging.destination.name", shown(op.Topic)),
		attribute.Int("messaging.message.body.size", op.Size),
	)
	if op.Endpoint != nil {
		all = append(all, attribute.String("polywire.endpoint", op.Endpoint.Name), attribute.String("polywire.protocol", op.Endpoint.Protocol))
	}
	if op.Connection != 0 {
		all = append(all, attribute.Int64("polywire.connection", int64(op.Connection)))
	}
	return all
}

// shown returns a topic as a span shows it.
func shown(topic []byte) string {
	if len(topic) > maxTopic {
		topic = topic[:maxTopic]
		for len(topic) > 0 && !utf8.FullRune(topic[len(topic)-1:]) && !utf8.RuneStart(topic[len(topic)-1]) {
			topic = topic[:len(topic)-1]
		}
	}
	return strings.ToValidUTF8(string(topic), "\uFFFD")
}

// contextOf returns t in the types of OpenTelemetry. Its state was checked when it was read.
func contextOf(t core.Trace) trace.SpanContext {
	state, _ := trace.ParseTraceState(t.State)
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: t.ID, SpanID: t.Span, TraceFlags: trace.TraceFlags(t.Flags), TraceState: state, Remote: true,
	})
}

// span is core.Span.
type span struct{ span trace.Span }

func (s span) Trace() core.Trace {
	c := s.span.SpanContext()
	return core.Trace{ID: c.TraceID(), Span: c.SpanID(), Flags: byte(c.TraceFlags()), State: c.TraceState().String()}
}

func (s span) End(f core.Failure) {
	if f.Failed() {
		s.span.SetStatus(codes.Error, f.Text)
		s.span.SetAttributes(attribute.String("error.type", string(f.Code)))
	}
	s.span.End()
}
