package polywire_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// collected is a collector of traces.
type collected struct {
	mu    sync.Mutex
	spans map[string]*tracepb.Span // by name, and endpoint
}

func (c *collected) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var request collector.ExportTraceServiceRequest
	_ = proto.Unmarshal(body, &request)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range request.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans() {
		name := s.GetName()
		for _, a := range s.GetAttributes() {
			if a.GetKey() == "polywire.endpoint" {
				name += " " + a.GetValue().GetStringValue()
			}
		}
		c.spans[name] = s
	}
}

// forget forgets all spans.
func (c *collected) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.spans)
}

// span waits for a span.
func (c *collected) span(t *testing.T, name string) (s *tracepb.Span) {
	t.Helper()
	coretest.Eventually(t, "the collector has the span "+name, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		s = c.spans[name]
		return s != nil
	})
	return s
}

// A trace goes through the broker: from the client that publishes or calls, to those who hear it, to the server that
// answers, and to the collector.
func TestTraces(t *testing.T) {
	const trace = "0102030405060708090a0b0c0d0e0f10"
	const parent = "00-" + trace + "-0102030405060708-01"
	c := &collected{spans: make(map[string]*tracepb.Span)}
	collecting := httptest.NewServer(c)
	defer collecting.Close()
	asked := make(chan string, 1)
	answering := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Traceparent")
		_, _ = io.WriteString(w, "1")
	}))
	defer answering.Close()
	r := run(t, fmt.Sprintf(`
endpoints:
  - {name: web, protocol: vws, listen: "127.0.0.1:0", options: {allow_send: true}}
  - {name: rooms, protocol: wsify, listen: "127.0.0.1:0"}
services: [{match: ask, url: %q}]
traces: {url: %q, sample: 0}
admin: {listen: "127.0.0.1:0"}
`, answering.URL, collecting.URL))
	x, y := dial(t, r.urls["web"].URL), dial(t, r.urls["rooms"].URL)
	x.send(`{"k":"s","t":"news/#","i":1}`)
	x.want(`{"k":"a","i":1}`)
	y.send(`{"command":"join","args":{"channel":"news/today"}}`)
	coretest.Eventually(t, "both hear", func() bool { return r.metric(t, "polywire_topics") == 2 })

	x.send(`{"t":"news/today","d":1,"h":{"traceparent":"` + parent + `","a":"b"},"i":2}`)
	x.want(`{"k":"a","i":2}`)
	publish := c.span(t, "publish web")
	x.want(fmt.Sprintf(`{"d":1,"t":"news/today","h":{"traceparent":"00-%s-%x-01","a":"b"}}`, trace, publish.GetSpanId()))
	for _, name := range []string{"deliver web", "deliver rooms"} {
		if s := c.span(t, name); string(s.GetParentSpanId()) != string(publish.GetSpanId()) {
			t.Errorf("%s is within %x, want %x", name, s.GetParentSpanId(), publish.GetSpanId())
		}
	}

	x.send(`{"t":"$call/1/ask","d":1,"h":{"traceparent":"` + parent + `"},"i":3}`)
	call, answer := c.span(t, "call web"), c.span(t, "answer")
	if got := <-asked; got != fmt.Sprintf("00-%s-%x-01", trace, answer.GetSpanId()) {
		t.Errorf("the server is told %s, and the span is %x", got, answer.GetSpanId())
	}
	if string(answer.GetParentSpanId()) != string(call.GetSpanId()) || fmt.Sprintf("%x", call.GetParentSpanId()) != "0102030405060708" {
		t.Errorf("the call is within %x, the answer within %x", call.GetParentSpanId(), answer.GetParentSpanId())
	}
	if n := len(c.spans); n != 5 {
		t.Errorf("%d spans", n)
	}
	if n := r.metric(t, "polywire_traces_spans_recorded_total"); n != 5 {
		t.Errorf("%v spans are counted", n)
	}
}

// A call that a client of another node answers is one trace: the caller's, its part here, that there, and what the
// client that answers is told.
func TestTraceAcrossNodes(t *testing.T) {
	for name, joins := range map[string]func(t *testing.T) func(name string) string{"nats": overNATS, "redis": overRedis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			traceAcrossNodes(t, joins(t))
		})
	}
}

func traceAcrossNodes(t *testing.T, joins func(name string) string) {
	const trace = "0102030405060708090a0b0c0d0e0f10"
	node := func(name string, c http.Handler, sample int) *running {
		collecting := httptest.NewServer(c)
		t.Cleanup(collecting.Close)
		return run(t, fmt.Sprintf(`
endpoints: [{name: web, protocol: vws, listen: "127.0.0.1:0", options: {allow_send: true}}]
traces: {url: %q, sample: %d}
admin: {listen: "127.0.0.1:0"}
cluster: %s
`, collecting.URL, sample, joins(name)))
	}
	here, there := &collected{spans: make(map[string]*tracepb.Span)}, &collected{spans: make(map[string]*tracepb.Span)}
	a, b := node("a", here, 1), node("b", there, 0)
	x, y := dial(t, a.urls["web"].URL), dial(t, b.urls["web"].URL)
	y.send(`{"k":"s","t":"$serve/ask","i":1}`)
	y.want(`{"k":"a","i":1}`)
	request := regexp.MustCompile(`^\{"d":1,"t":"\$request/([^/]+)/ask","h":\{"traceparent":"00-(\w+)-(\w+)-01"\}\}$`)
	answer := func() (trace, parent string) {
		text := y.read()
		got := request.FindStringSubmatch(text)
		if got == nil {
			t.Fatalf("the request has no trace context: %s", text)
		}
		y.send(`{"t":"$reply/` + got[1] + `","d":2,"i":2}`)
		y.want(`{"k":"a","i":2}`)
		return got[2], got[3]
	}
	coretest.Eventually(t, "a knows who answers", func() bool {
		var answerers polywire.ServiceTrace
		return a.v1(t, "GET", "trace?service=ask&endpoint=web", &answerers) == http.StatusOK && answerers.Answered
	})

	x.send(`{"t":"$call/1/ask","d":1,"h":{"traceparent":"00-` + trace + `-0102030405060708-01"},"i":3}`)
	x.want(`{"k":"a","i":3}`)
	gotTrace, gotParent := answer()
	x.want(`{"d":2,"t":"$reply/1"}`)
	call, far := here.span(t, "call web"), there.span(t, "call")
	if fmt.Sprintf("%x", call.GetTraceId()) != trace || fmt.Sprintf("%x", call.GetParentSpanId()) != "0102030405060708" {
		t.Errorf("the call is within %x of %x", call.GetParentSpanId(), call.GetTraceId())
	}
	if string(far.GetTraceId()) != string(call.GetTraceId()) || string(far.GetParentSpanId()) != string(call.GetSpanId()) {
		t.Errorf("on the other node it is within %x of %x, want %x of %s", far.GetParentSpanId(), far.GetTraceId(), call.GetSpanId(), trace)
	}
	if gotTrace != trace || gotParent != fmt.Sprintf("%x", far.GetSpanId()) {
		t.Errorf("who answers is told %s of %s, want %x of %s", gotParent, gotTrace, far.GetSpanId(), trace)
	}

	here.forget()
	there.forget()
	ended := make(chan error, 1)
	go func() {
		_, err := a.Call(t.Context(), "web", "ask", core.Payload{Kind: core.JSON, Data: []byte("1")})
		ended <- err
	}()
	gotTrace, _ = answer()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	call, far = here.span(t, "call web"), there.span(t, "call")
	if fmt.Sprintf("%x", call.GetTraceId()) != gotTrace || string(far.GetParentSpanId()) != string(call.GetSpanId()) {
		t.Errorf("a call of the program: %x here, within %x there, and %s is told", call.GetSpanId(), far.GetParentSpanId(), gotTrace)
	}
}
