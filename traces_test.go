package polywire_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

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
