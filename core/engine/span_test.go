package engine

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// tracer is core.Tracer. It records what its parent records, and without a parent what all says.
type tracer struct {
	all bool

	mu    sync.Mutex
	begun []*tracedSpan
}

// tracedSpan is core.Span.
type tracedSpan struct {
	by    *tracer
	op    core.Operation
	trace core.Trace
	ended int
	as    core.Failure
}

func (r *tracer) Begin(op core.Operation) core.Span {
	if op.Parent == (core.Trace{}) && !r.all || op.Parent != (core.Trace{}) && !op.Parent.Recorded() {
		return nil
	}
	op.Topic = []byte(string(op.Topic))
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &tracedSpan{by: r, op: op, trace: op.Parent.Child()}
	r.begun = append(r.begun, s)
	return s
}

func (s *tracedSpan) Trace() core.Trace { return s.trace }

func (s *tracedSpan) End(f core.Failure) {
	s.by.mu.Lock()
	defer s.by.mu.Unlock()
	s.ended++
	s.as = f
}

// recorded returns the spans since the last time, each behind its parent: "act topic at endpoint" and how it ended.
func (r *tracer) recorded() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	acts := [...]string{core.Publishing: "publish", core.Delivering: "deliver", core.Calling: "call", core.Answering: "answer"}
	var all []string
	for i, s := range r.begun {
		text := fmt.Sprintf("%d %s %s", i, acts[s.op.Act], s.op.Topic)
		if s.op.Endpoint != nil {
			text += " at " + s.op.Endpoint.Name
		}
		for j, parent := range r.begun[:i] {
			if parent.trace.Span == s.op.Parent.Span {
				text += fmt.Sprintf(" within %d", j)
			}
		}
		if s.as.Failed() {
			text += " " + string(s.as.Code)
		}
		if s.ended != 1 {
			text += fmt.Sprintf(" ended %d times", s.ended)
		}
		all = append(all, text)
	}
	r.begun = nil
	return strings.Join(all, "; ")
}

// traced is a world whose engine records traces.
func traced(t *testing.T, all bool) (*world, *tracer) {
	w, r := newWorld(t, 1), &tracer{all: all}
	w.engine.tracer = r
	return w, r
}

const (
	recordedParent   = "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01"
	unrecordedParent = "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-00"
)

func withTrace(c core.Command, parent string) core.Command {
	c.Headers = b(`{"x":"1","traceparent":"` + parent + `","tracestate":"v=2"}`)
	return c
}

// What receivers get is within the span of the publication, which is within what its publisher said.
func TestTracedPublication(t *testing.T) {
	w, r := traced(t, false)
	one, two := w.site(core.Endpoint{Name: "one"}), w.site(core.Endpoint{Name: "two", TopicPrefix: "a/"})
	x, y := one.connect(0), two.connect(0)
	x.do(sub("a/b"))
	y.do(sub("b"))
	x.said()
	y.said()

	x.message(withTrace(pub("a/b", "m"), recordedParent))
	w.pump()
	spans := r.begun
	wants(t, "spans", r.recorded(), "0 publish a/b at one; 1 deliver a/b at one within 0; 2 deliver b at two within 0")
	if got := spans[0].op.Parent.Parent(); got != recordedParent || spans[0].op.Connection != x.id || spans[0].op.Size != 1 {
		t.Errorf("the publication is %+v", spans[0].op)
	}
	want := `headers {"traceparent":"` + spans[0].trace.Parent() + `","tracestate":"v=2","x":"1"}`
	if got := y.said(); !strings.Contains(got, want) {
		t.Errorf("%s; want %s", got, want)
	}
	x.said()

	for name, c := range map[string]core.Command{
		"another trace": withTrace(pub("a/b", "m"), unrecordedParent), "none": pub("a/b", "m"),
	} {
		x.do(c)
		wants(t, name, r.recorded(), "")
		if got := string(c.Headers); got != "" && !strings.Contains(y.said(), got) {
			t.Errorf("%s: its headers have changed", name)
		}
	}
	y.said()

	x.do(withTrace(core.Command{Verb: core.Publish, Topic: b("a"), AsOwner: true, Channel: b("a")}, recordedParent))
	wants(t, "refused", r.recorded(), "0 publish a at one not_owner")

	r.all = true
	x.do(pub("a/b", "m"))
	spans = r.begun
	if got := y.said(); !strings.Contains(got, `headers {"traceparent":"`+spans[0].trace.Parent()+`"}`) {
		t.Errorf("one that is recorded by chance: %s", got)
	}
	r.recorded()

	w.engine.Published(b("a/b"), text("m"), b(`{"traceparent":"`+recordedParent+`"}`))
	w.engine.Published(b("a/b"), text("m"), nil)
	wants(t, "from another node", r.recorded(), "0 deliver a/b at one; 1 deliver b at two")
}

// A call ends its span once, however it ends.
func TestTracedCalls(t *testing.T) {
	w, r := traced(t, true)
	s := w.site(core.Endpoint{Name: "one"})
	x, y := s.connect(0), s.connect(0)
	y.do(share("s"))
	y.said()

	x.do(withTrace(ask("s", "q"), recordedParent))
	spans := r.begun
	y.do(reply(y.asked(), "a"))
	if got := spans[0].op.Parent.Parent(); got != recordedParent {
		t.Errorf("within %s", got)
	}
	wants(t, "answered", r.recorded(), "0 call s at one")

	x.do(ask("s", "q"))
	y.do(core.Command{Verb: core.Reply, Call: y.asked(), Failure: core.Failure{Code: "mine"}})
	wants(t, "failed", r.recorded(), "0 call s at one mine")

	x.do(ask("s", "q"))
	w.pass(2 * time.Minute)
	wants(t, "too late", r.recorded(), "0 call s at one timeout")

	x.do(ask("none", "q"))
	wants(t, "nobody answers", r.recorded(), "0 call none at one no_service")

	one := ask("s", "q")
	one.OneWay = true
	x.do(one)
	wants(t, "one way", r.recorded(), "0 call s at one")

	z := s.connect(0)
	z.do(ask("s", "q"))
	z.gone(false)
	wants(t, "the caller leaves", r.recorded(), "0 call s at one gone")

	x.trace = core.ParseTrace(unrecordedParent, "")
	x.do(ask("s", "q"))
	y.do(reply(y.asked(), "a"))
	wants(t, "as its connection is not recorded", r.recorded(), "")
	x.trace = core.Trace{}

	x.do(ask("s", "q"))
	y.gone(false)
	w.pump()
	wants(t, "the answerer leaves", r.recorded(), "0 call s at one gone")
}

// What a handler does is within its call.
func TestTracedHandlers(t *testing.T) {
	w, r := traced(t, true)
	s := w.site(core.Endpoint{Name: "one"})
	x := s.connect(0)
	var in core.Invocation
	how := func() error { return nil }
	w.engine.Handle("s", func(_ context.Context, c core.Invocation) (core.Payload, error) {
		in = c
		return core.Payload{}, how()
	})
	for _, tt := range []struct {
		name, want string
		how        func() error
	}{
		{"answered", "0 call s at one; 1 answer s within 0", func() error { return nil }},
		{"failed", "0 call s at one mine; 1 answer s within 0 mine", func() error { return core.Failure{Code: "mine"} }},
		{"an error", "0 call s at one internal; 1 answer s within 0 internal", func() error { return context.Canceled }},
		{"a panic", "0 call s at one internal; 1 answer s within 0 internal", func() error { panic("x") }},
		{"an end", "0 call s at one internal; 1 answer s within 0 internal", func() error { runtime.Goexit(); return nil }},
	} {
		how = tt.how
		x.do(ask("s", "q"))
		w.engine.drainHandlers()
		w.pump()
		spans := r.begun
		wants(t, tt.name, r.recorded(), tt.want)
		if !in.Recorded || in.Trace != spans[1].trace {
			t.Errorf("%s: the handler got %+v", tt.name, in)
		}
		one := ask("s", "q")
		one.OneWay = true
		x.do(one)
		w.engine.drainHandlers()
		w.pump()
		wants(t, tt.name+", one way", r.recorded(), tt.want)
	}
	how = func() error { return nil }
	_, _ = w.engine.Call(t.Context(), s.Endpoint, b("s"), text("q"))
	wants(t, "of the program", r.recorded(), "0 call s at one; 1 answer s within 0")
	_, _ = w.engine.Call(t.Context(), s.Endpoint, b("none"), text("q"))
	wants(t, "of the program, in vain", r.recorded(), "0 call none at one no_service")
}
