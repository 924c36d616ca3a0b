package engine

import (
	"context"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/sessions"
)

// named returns a handler that answers with its name.
func named(name string) core.Handler {
	return func(context.Context, core.Invocation) (core.Payload, error) { return text(name), nil }
}

// answered calls a service and returns what the caller hears in the end.
func (l *link) answered(service string) string {
	l.message(ask(service, "q"))
	l.site.w.engine.drainHandlers()
	l.site.w.pump()
	_, end, _ := strings.Cut(l.said(), "; ")
	return end
}

func TestHandlerOrder(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{TopicPrefix: "t/"})
	x, y := s.connect(0), s.connect(0)
	y.do(share("a/b", "offered", "fall/offered"))
	y.said()
	e := w.engine
	e.Handle("a/#", named("a/#"))
	e.Handle("a/+", named("a/+"))
	e.Handle("a/b", named("a/b"))
	e.Handle("t/a/x", named("with the prefix"))
	e.Configure([]Service{
		{Match: "fall/+", Handler: named("fall/+")},
		{Match: "fall/b", Handler: named("fall/b")},
		{Match: "a/b", Handler: named("fallback for a/b")},
	})
	for _, c := range []struct{ service, want string }{
		{"a/b", "answer a/b@7 #r =a/b"},
		{"a/x", "answer a/x@7 #r =a/#"},
		{"a/x/y", "answer a/x/y@7 #r =a/#"},
		{"fall/b", "answer fall/b@7 #r =fall/b"},
		{"fall/x", "answer fall/x@7 #r =fall/+"},
		{"a", ""},
	} {
		got := x.answered(c.service)
		if c.want == "" {
			got, c.want = x.do(ask(c.service, "q")), "failed call "+c.service+"@7 #r no_service"
		}
		wants(t, c.service, got, c.want)
	}
	wants(t, "an offer goes before a fallback", x.do(ask("fall/offered", "q")), "done call fall/offered@7 #r")
	wants(t, "an offer goes before a fallback", y.said(), "request fall/offered =q")

	e.Otherwise(named("otherwise"))
	for _, service := range []string{"a", "", "$x", "fall/x/y"} {
		want := "answer " + service + "@7 #r =otherwise"
		if service == "" {
			want = "answer@7 #r =otherwise"
		}
		wants(t, "otherwise", x.answered(service), want)
	}
	wants(t, "an offer goes before that", x.do(ask("offered", "q")), "done call offered@7 #r")

	e.Handle("a/#", named("again"))
	wants(t, "replaced, in its place", x.answered("a/x"), "answer a/x@7 #r =again")
	e.Handle("a/#", nil)
	e.Handle("never", nil)
	wants(t, "ended", x.answered("a/x"), "answer a/x@7 #r =a/+")
	e.Handle("a/b", nil)
	e.Configure([]Service{{Match: "fall/+", Handler: named("fall/+")}})
	e.Otherwise(nil)
	wants(t, "ended", x.answered("a/b"), "answer a/b@7 #r =a/+")
	wants(t, "ended", x.answered("fall/b"), "answer fall/b@7 #r =fall/+")
	wants(t, "ended", x.do(ask("a", "q")), "failed call a@7 #r no_service")
}

// What is configured is replaced as a whole, and what a program registered stays.
func TestConfigure(t *testing.T) {
	w := newWorld(t, 1)
	x := w.site(core.Endpoint{}).connect(0)
	e := w.engine
	e.Handle("mine", named("mine"))
	asks := func(what string, want map[string]string) {
		t.Helper()
		for service, answer := range want {
			if answer == "" {
				wants(t, what, x.do(ask(service, "q")), "failed call "+service+"@7 #r no_service")
				continue
			}
			wants(t, what, x.answered(service), "answer "+service+"@7 #r ="+answer)
		}
	}
	e.Configure([]Service{
		{Match: "mine", Handler: named("configured"), First: true},
		{Match: "a", Handler: named("a"), First: true},
		{Match: "+", Handler: named("+"), First: true},
		{Match: "b/+", Handler: named("b/+")},
	})
	asks("at first", map[string]string{"mine": "mine", "a": "a", "x": "+", "b/x": "b/+"})
	e.Configure([]Service{{Match: "b/+", Handler: named("other b/+")}, {Match: "mine", Handler: named("configured"), First: true}})
	asks("then", map[string]string{"mine": "mine", "a": "", "x": "", "b/x": "other b/+"})
	e.Handle("mine", nil)
	asks("the program lets go", map[string]string{"mine": "configured"})
	e.Configure(nil)
	asks("nothing is configured", map[string]string{"mine": "", "b/x": ""})
}

// Calls that run count for the bound of a service that is configured again.
func TestConfigureKeepsPlaces(t *testing.T) {
	w := newWorld(t, 1)
	x := w.site(core.Endpoint{}).connect(0)
	free := make(chan struct{})
	service := Service{Match: "slow", AtOnce: 1, Handler: func(context.Context, core.Invocation) (core.Payload, error) {
		<-free
		return text("done"), nil
	}}
	w.engine.Configure([]Service{service})
	x.do(ask("slow", "q"))
	w.engine.Configure([]Service{service})
	wants(t, "the same", x.do(ask("slow", "q")), "failed call slow@7 #r overloaded")
	service.AtOnce = 2
	w.engine.Configure([]Service{service})
	wants(t, "more at once", x.do(ask("slow", "q")), "done call slow@7 #r")
	close(free)
	w.engine.drainHandlers()
}

// The first interceptor is outermost, on the way down and on the way up; handlers
// registered earlier and later are inside.
func TestInterceptors(t *testing.T) {
	w := newWorld(t, 1)
	x, y := w.site(core.Endpoint{}).connect(0), w.site(core.Endpoint{}).connect(0)
	e := w.engine
	around := func(name string) core.Interceptor {
		return func(next core.Handler) core.Handler {
			return func(ctx context.Context, c core.Invocation) (core.Payload, error) {
				c.Payload = text(string(c.Payload.Data) + " " + name)
				answer, err := next(ctx, c)
				return text(string(answer.Data) + " " + name), err
			}
		}
	}
	echo := func(_ context.Context, c core.Invocation) (core.Payload, error) {
		return text(string(c.Payload.Data) + " |"), nil
	}
	e.Handle("before", echo)
	e.Use(around("one"))
	e.Handle("between/+", echo)
	e.Use(around("two"))
	e.Configure([]Service{{Match: "after", Handler: echo}})
	e.Otherwise(echo)
	for _, service := range []string{"before", "between/x", "after", "else"} {
		wants(t, service, x.answered(service), "answer "+service+"@7 #r =q one two | two one")
	}
	y.do(share("offered"))
	y.said()
	x.do(ask("offered", "q"))
	wants(t, "not around connections", y.said(), "request offered =q")

	e.Use(func(next core.Handler) core.Handler {
		return func(ctx context.Context, c core.Invocation) (core.Payload, error) {
			if c.Service == "forbidden" {
				return core.Payload{}, core.Failure{Code: core.Denied}
			}
			return next(ctx, c)
		}
	})
	wants(t, "an interceptor may answer itself", x.answered("forbidden"), "failed call forbidden@7 #r denied")
	wants(t, "or not", x.answered("else"), "answer else@7 #r =q one two | two one")
}

// A handler is told who asks.
func TestInvocation(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{Name: "web", Protocol: "wsify", TopicPrefix: "t/", Sessions: sessions.NewMemory()})
	x := s.connect(0)
	seen := make(chan core.Invocation, 1)
	w.engine.Handle("a/+", func(_ context.Context, c core.Invocation) (core.Payload, error) {
		seen <- c
		return core.Payload{}, nil
	})
	for _, oneWay := range []bool{false, true} {
		c := ask("a/b", "q")
		c.OneWay = oneWay
		x.message(c)
		got := <-seen
		got.Caller = nil
		if string(got.Payload.Data) != "q" || got.Payload.Kind != core.Text {
			t.Errorf("payload %v %q", got.Payload.Kind, got.Payload.Data)
		}
		got.Payload = core.Payload{}
		want := core.Invocation{Service: "a/b", OneWay: oneWay, Endpoint: "web", Protocol: "wsify", Connection: x.id}
		if got.Session != "" || got.Service != want.Service || got.OneWay != oneWay || got.Endpoint != want.Endpoint ||
			got.Protocol != want.Protocol || got.Connection != want.Connection {
			t.Errorf("invocation %+v, want %+v", got, want)
		}
		w.engine.drainHandlers()
		w.pump()
		x.said()
	}
	key := x.open()
	x.message(ask("a/b", "q"))
	if got := <-seen; got.Session != key {
		t.Errorf("session %q, want %q", got.Session, key)
	}
}
