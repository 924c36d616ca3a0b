package tracing

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

const (
	recorded   = "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01"
	unrecorded = "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-00"
)

// received is what a collector has got.
type received struct {
	collector.UnimplementedTraceServiceServer

	mu      sync.Mutex
	spans   []*tracepb.Span
	service string
	header  string
}

func (r *received) take(request *collector.ExportTraceServiceRequest, header string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.header = header
	for _, resource := range request.GetResourceSpans() {
		for _, a := range resource.GetResource().GetAttributes() {
			r.service += a.GetKey() + "=" + a.GetValue().GetStringValue() + " "
		}
		for _, scope := range resource.GetScopeSpans() {
			r.spans = append(r.spans, scope.GetSpans()...)
		}
	}
}

// Export is of OTLP over gRPC.
func (r *received) Export(ctx context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	r.take(request, strings.Join(md.Get("x-key"), ","))
	return new(collector.ExportTraceServiceResponse), nil
}

// ServeHTTP is of OTLP over HTTP.
func (r *received) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	request := new(collector.ExportTraceServiceRequest)
	if err != nil || q.URL.Path != "/v1/traces" || proto.Unmarshal(body, request) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.take(request, q.Header.Get("X-Key"))
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// collectors returns the URLs of collectors, which give what they get to r.
func collectors(t *testing.T, r *received) (overHTTP, overGRPC string) {
	web := httptest.NewServer(r)
	t.Cleanup(web.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, r)
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(server.Stop)
	return web.URL, "grpc://" + ln.Addr().String()
}

func options(url string) Options {
	return Options{
		URL: url, Headers: map[string]string{"x-key": "k"}, Sample: 1, Service: "polywire", Version: "v1", Instance: "n",
		Logger: slog.New(slog.DiscardHandler), Stats: new(core.TraceStats),
	}
}

// What a collector gets, over HTTP and over gRPC.
func TestCollector(t *testing.T) {
	for name, url := range map[string]func(overHTTP, overGRPC string) string{
		"http": func(u, _ string) string { return u }, "grpc": func(_, u string) string { return u },
	} {
		t.Run(name, func(t *testing.T) {
			r := new(received)
			o := options(url(collectors(t, r)))
			tracer, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			ep := &core.Endpoint{Name: "web", Protocol: "vws"}
			publish := tracer.Begin(core.Operation{
				Act: core.Publishing, Parent: core.ParseTrace(recorded, "v=2"), Endpoint: ep, Connection: 7, Topic: []byte("a/b\xff"), Size: 3,
			})
			within := publish.Trace()
			deliver := tracer.Begin(core.Operation{Act: core.Delivering, Parent: within, Endpoint: ep, Topic: []byte(strings.Repeat("ü", 200))})
			deliver.End(core.Failure{})
			publish.End(core.Failure{Code: core.NotOwner, Text: "not yours"})
			tracer.Close()
			if len(r.spans) != 2 {
				t.Fatalf("%d spans", len(r.spans))
			}
			if within.Parent()[:36] != recorded[:36] || within.State != "v=2" || !within.Recorded() {
				t.Errorf("within %+v", within)
			}
			want := []string{
				"deliver PRODUCER within " + hex.EncodeToString(within.Span[:]) +
					" messaging.system=polywire messaging.operation.name=deliver messaging.destination.name=" + strings.Repeat("ü", 128) +
					" messaging.message.body.size=0 polywire.endpoint=web polywire.protocol=vws: ",
				"publish SERVER within 0102030405060708 messaging.system=polywire messaging.operation.name=publish" +
					" messaging.destination.name=a/b\uFFFD messaging.message.body.size=3 polywire.endpoint=web polywire.protocol=vws" +
					" polywire.connection=7 error.type=not_owner: not yours",
			}
			for i, s := range r.spans {
				if got := described(s); got != want[i] {
					t.Errorf("got  %s\nwant %s", got, want[i])
				}
				if hex.EncodeToString(s.GetTraceId()) != recorded[3:35] || s.GetTraceState() != "v=2" {
					t.Errorf("of trace %x, %s", s.GetTraceId(), s.GetTraceState())
				}
			}
			if r.service != "service.instance.id=n service.name=polywire service.version=v1 " || r.header != "k" {
				t.Errorf("%q, header %q", r.service, r.header)
			}
			if o.Stats.Recorded.Load() != 2 || o.Stats.Sent.Load() != 2 {
				t.Errorf("recorded %d, sent %d", o.Stats.Recorded.Load(), o.Stats.Sent.Load())
			}
		})
	}
}

// described writes a span in a line.
func described(s *tracepb.Span) string {
	text := fmt.Sprintf("%s %s within %x", s.GetName(), strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_"), s.GetParentSpanId())
	for _, a := range s.GetAttributes() {
		value := a.GetValue().GetStringValue()
		if value == "" {
			value = fmt.Sprint(a.GetValue().GetIntValue())
		}
		text += " " + a.GetKey() + "=" + value
	}
	return text + ": " + s.GetStatus().GetMessage()
}

// What belongs to a trace is recorded if that is; of what belongs to none, a share.
func TestSample(t *testing.T) {
	for _, tt := range []struct {
		sample   float64
		parent   string
		from, to int // of a thousand
	}{
		{0, "", 0, 0},
		{1, "", 1000, 1000},
		{0.5, "", 300, 700}, // 13 standard deviations
		{0, recorded, 1000, 1000},
		{1, unrecorded, 0, 0},
	} {
		o := options("")
		o.Sample = tt.sample
		tracer := newTracer(o, tracetest.NewNoopExporter())
		n := 0
		for range 1000 {
			if s := tracer.Begin(core.Operation{Parent: core.ParseTrace(tt.parent, "")}); s != nil {
				n++
				s.End(core.Failure{})
			}
		}
		tracer.Close()
		if n < tt.from || n > tt.to {
			t.Errorf("%v within %q: %d of 1000 are recorded", tt.sample, tt.parent, n)
		}
	}
}

// What is not recorded costs no memory.
func TestUnrecordedAllocatesNothing(t *testing.T) {
	o := options("")
	o.Sample = 0
	tracer := newTracer(o, tracetest.NewNoopExporter())
	defer tracer.Close()
	op := core.Operation{Topic: []byte("a"), Endpoint: &core.Endpoint{}}
	if n := testing.AllocsPerRun(100, func() { tracer.Begin(op) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A collector that is away, or does not answer, costs spans and nothing else; each is counted.
func TestCollectorAway(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }() // it never accepts
	for name, url := range map[string]string{
		"away": fmt.Sprintf("http://127.0.0.1:%d", coretest.FreePort(t)), "silent": "http://" + ln.Addr().String(), "silent, gRPC": "grpc://" + ln.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(url)
			tracer, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			const n = 3 * maxWaiting
			for range n {
				tracer.Begin(core.Operation{Topic: []byte("a")}).End(core.Failure{})
			}
			tracer.Close()
			dropped := o.Stats.Dropped[core.ReasonOverload].Load() + o.Stats.Dropped[core.ReasonUnavailable].Load() + o.Stats.Dropped[core.ReasonDrain].Load()
			if o.Stats.Recorded.Load() != n || o.Stats.Dropped[core.ReasonOverload].Load() == 0 || dropped != n {
				t.Errorf("recorded %d, dropped %d: %d, %d, %d", o.Stats.Recorded.Load(), dropped, o.Stats.Dropped[core.ReasonOverload].Load(),
					o.Stats.Dropped[core.ReasonUnavailable].Load(), o.Stats.Dropped[core.ReasonDrain].Load())
			}
		})
	}
}
