package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

func ask(service, payload string) core.Command {
	return core.Command{Verb: core.Call, Topic: b(service), Ref: b("r"), As: 7, Payload: text(payload)}
}

// asked returns the id of the last request that l heard.
func (l *link) asked() core.CallID {
	l.site.w.t.Helper()
	for _, ev := range slices.Backward(l.heard) {
		if ev.Kind == core.Request {
			return ev.Call
		}
	}
	l.site.w.t.Fatal("no request was heard")
	return core.CallID{}
}

func reply(id core.CallID, payload string) core.Command {
	return core.Command{Verb: core.Reply, Call: id, Payload: text(payload)}
}

func TestCall(t *testing.T) {
	w := newWorld(t, 2)
	s := w.site(core.Endpoint{TopicPrefix: "t/"})
	answerers := w.site(core.Endpoint{})
	x, y, z := s.connect(0), answerers.connect(1), answerers.connect(0)
	offered := share("t/echo")
	offered.As = 5
	y.do(offered)
	y.said()

	x.message(ask("echo", "q"))
	w.pump()
	taken := x.heard[0].Call
	wants(t, "taken", x.said(), "done call echo@7 #r")
	id := y.asked()
	wants(t, "asked", y.said(), "request t/echo@5 =q")
	if id != taken || id[6]>>4 != 4 || id[8]>>6 != 2 {
		t.Errorf("asked with id %x, taken with %x: want the same, a version 4 UUID", id, taken)
	}

	other := reply(id, "no")
	other.Topic = b("t/other")
	wants(t, "the wrong service", y.do(other), "failed reply t/other invalid")
	wants(t, "who was not asked", z.do(reply(id, "no")), "failed reply invalid")
	wants(t, "the caller itself", x.do(reply(id, "no")), "failed reply invalid")
	right := reply(id, "a")
	right.Topic = b("t/echo")
	wants(t, "the answer", y.do(right), "done reply t/echo")
	wants(t, "the answer", x.said(), "answer echo@7 #r =a")
	wants(t, "a second answer", y.do(reply(id, "a")), "failed reply invalid")
	wants(t, "a second answer", x.said(), "")
	wantCount(t, &answerers.Stats.Refused, core.ReasonNotAsked, 3)
	wantCount(t, &s.Stats.Refused, core.ReasonNotAsked, 1)

	x.do(ask("echo", "q"))
	x.said()
	y.do(core.Command{Verb: core.Reply, Call: y.asked(), Failure: core.Failure{Code: "mine", Text: "text"}})
	wants(t, "the answerer's failure", x.said(), "failed call echo@7 #r mine")
	wantCount(t, &s.Stats.CallsFailed, core.ReasonNormal, 1)

	wants(t, "nobody answers", x.do(ask("nobody", "q")), "failed call nobody@7 #r no_service")
	wantCount(t, &s.Stats.CallsFailed, core.ReasonNoService, 1)
	if got := s.Stats.Calls.Load(); got != 2 {
		t.Errorf("counted %d calls, want 2", got)
	}
	y.gone(false)
	wantEmpty(t, w.engine)
}

func TestCallItself(t *testing.T) {
	w := newWorld(t, 1)
	x := w.site(core.Endpoint{}).connect(0)
	x.do(own("c", "c/m"))
	x.said()
	x.message(ask("c/m", "q"))
	w.pump()
	id := x.asked()
	wants(t, "taken, then asked", x.said(), "done call c/m@7 #r; request c/m =q")
	wants(t, "answered", x.do(reply(id, "a")), "done reply; answer c/m@7 #r =a")

	x.do(ask("c/m", "q"))
	x.gone(false)
	wantEmpty(t, w.engine)
}

func TestOneWayCall(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y := s.connect(0), s.connect(0)
	y.do(share("s"))
	y.said()
	c := ask("s", "q")
	c.OneWay = true
	wants(t, "taken", x.do(c), "done call s@7 #r")
	id := y.asked()
	wants(t, "asked", y.said(), "request s =q one-way")
	wants(t, "not to be answered", y.do(reply(id, "a")), "failed reply invalid")
	wants(t, "not answered", x.said(), "")
	if n := w.engine.Calls(); n != 0 {
		t.Errorf("%d calls wait", n)
	}
}

func TestOffersTakeTurns(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{MaxCalls: 100})
	x := s.connect(0)
	counts := map[*link]int{}
	var answerers []*link
	for range 3 {
		y := s.connect(0)
		y.do(share("s"), share("s"))
		y.said()
		y.onTell = func(ev core.Event) { counts[y]++ }
		answerers = append(answerers, y)
	}
	for range 9 {
		x.do(ask("s", "q"))
	}
	for i, y := range answerers {
		if counts[y] != 3 {
			t.Errorf("answerer %d was asked %d times, want 3", i, counts[y])
		}
	}
}

func TestAnswererGone(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y := s.connect(0), s.connect(0)
	y.do(own("c", "c/m"))
	x.do(ask("c/m", "1"), ask("c/m", "2"))
	x.said()
	y.gone(false)
	w.pump()
	wants(t, "gone", x.said(), "failed call c/m@7 #r gone; failed call c/m@7 #r gone")
	wants(t, "nobody is left", x.do(ask("c/m", "3")), "failed call c/m@7 #r no_service")
	wantCount(t, &s.Stats.CallsFailed, core.ReasonGone, 2)
	wantEmpty(t, w.engine)
}

// An answerer that was found but has left by the time it is asked is not asked.
func TestAnswererLeavesBeforeItIsAsked(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y := s.connect(0), s.connect(0)
	y.do(share("s"))
	found := w.engine.answererOf("s")
	y.gone(false)
	if r := x.peer.(*peer).ask(ask("s", "q"), "s", found); r != refusedGone {
		t.Errorf("asked: %v", r)
	}
	wants(t, "nothing is told", x.said(), "")
	wantEmpty(t, w.engine)
}

func TestCallerGone(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y := s.connect(0), s.connect(0)
	y.do(share("s"))
	x.do(ask("s", "q"))
	id := y.asked()
	x.gone(false)
	if n := w.engine.Calls(); n != 0 {
		t.Errorf("%d calls wait", n)
	}
	y.said()
	wants(t, "a late answer", y.do(reply(id, "a")), "failed reply invalid")
	wantCount(t, &s.Stats.CallsFailed, core.ReasonGone, 1)
}

func TestCallTimeout(t *testing.T) {
	for _, c := range []struct {
		name                        string
		endpoint, command, deadline time.Duration
	}{
		{"the endpoint's", 5 * time.Second, 0, 5 * time.Second},
		{"the command's", 5 * time.Second, time.Second, time.Second},
		{"the default", 0, 0, defaultTimeout},
		{"a negative one", 5 * time.Second, -time.Second, 5 * time.Second},
		{"beyond one round of the wheel", 0, 3*wheelSlots*tick + time.Second, 3*wheelSlots*tick + time.Second},
		{"beyond what is allowed", 0, 1 << 62, maxTimeout},
		{"shorter than a tick", 0, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 1)
			s := w.site(core.Endpoint{CallTimeout: c.endpoint})
			x, y := s.connect(0), s.connect(0)
			y.do(share("s"))
			w.pass(33 * time.Millisecond)
			command := ask("s", "q")
			command.Timeout = c.command
			wants(t, "taken", x.do(command), "done call s@7 #r")
			w.pass(c.deadline - time.Nanosecond)
			wants(t, "not before the time", x.said(), "")
			w.pass(tick + time.Nanosecond)
			wants(t, "in time", x.said(), "failed call s@7 #r timeout")
			wantCount(t, &s.Stats.CallsFailed, core.ReasonTimeout, 1)
			id := y.asked()
			y.said()
			wants(t, "too late", y.do(reply(id, "a")), "failed reply invalid")
			wants(t, "too late", x.said(), "")
			y.gone(false)
			wantEmpty(t, w.engine)
		})
	}
}

func TestCallBounds(t *testing.T) {
	w := newWorld(t, 1)
	s, free := w.site(core.Endpoint{MaxCalls: 2}), w.site(core.Endpoint{MaxCalls: 2 * maxAsked})
	standard := w.site(core.Endpoint{})
	x, y, z, d := s.connect(0), s.connect(0), free.connect(0), standard.connect(0)
	y.do(share("s"))
	y.said()
	x.do(ask("s", "1"), ask("s", "2"))
	x.said()
	wants(t, "one more", x.do(ask("s", "3")), "failed call s@7 #r overloaded")
	wantCount(t, &s.Stats.CallsFailed, core.ReasonOverload, 1)
	y.do(reply(y.asked(), "a"))
	x.said()
	wants(t, "room again", x.do(ask("s", "4")), "done call s@7 #r")

	for range defaultMaxCalls {
		d.do(ask("s", "q"))
	}
	d.said()
	wants(t, "over the default", d.do(ask("s", "q")), "failed call s@7 #r overloaded")
	d.gone(false)

	y.quiet, z.quiet = true, true
	for range maxAsked - 2 {
		z.peer.Do(ask("s", "q"))
	}
	z.quiet = false
	wants(t, "the answerer has too many", z.do(ask("s", "q")), "failed call s@7 #r overloaded")
	if n := w.engine.Calls(); n != maxAsked {
		t.Errorf("%d calls wait, want %d", n, maxAsked)
	}
	y.gone(false)
	wantEmpty(t, w.engine)
}

func TestShutdown(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y := s.connect(0), s.connect(0)
	y.do(share("s"))
	x.do(ask("s", "q"))
	x.said()
	w.engine.Close()
	w.engine.Close()
	w.pump()
	wants(t, "ended", x.said(), "failed call s@7 #r shutdown")
	once := ask("s", "q")
	once.OneWay = true
	wants(t, "no more calls", x.do(ask("s", "q"), once), "failed call s@7 #r shutdown; failed call s@7 #r shutdown")
	wantCount(t, &s.Stats.CallsFailed, core.ReasonDrain, 3)
	wants(t, "all else goes on", x.do(pub("a", "m")), "done publish a unheard")
}

func TestHandler(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{TopicPrefix: "t/"})
	x, y := s.connect(0), s.connect(0)
	y.do(share("echo"))
	y.said()
	w.engine.Handle("t/echo", func(_ context.Context, service string, p core.Payload) (core.Payload, error) {
		return text(service + " " + string(p.Data)), nil
	})
	w.engine.Handle("t/failure", func(context.Context, string, core.Payload) (core.Payload, error) {
		return core.Payload{}, fmt.Errorf("wrapping: %w", core.Failure{Code: "mine"})
	})
	w.engine.Handle("t/error", func(context.Context, string, core.Payload) (core.Payload, error) {
		return core.Payload{}, errors.New("secret")
	})
	w.engine.Handle("t/panic", func(context.Context, string, core.Payload) (core.Payload, error) { panic("secret") })
	for service, want := range map[string]string{
		"echo":    "answer echo@7 #r =t/echo q",
		"failure": "failed call failure@7 #r mine",
		"error":   "failed call error@7 #r internal",
		"panic":   "failed call panic@7 #r internal",
	} {
		x.message(ask(service, "q"))
		wants(t, service, x.said(), "done call "+service+"@7 #r")
		x.loop.await()
		w.pump()
		wants(t, service, x.said(), want)
	}
	wants(t, "the handler comes first", y.said(), "")
	wantCount(t, &s.Stats.CallsFailed, core.ReasonInternal, 2)
	w.engine.Handle("t/echo", nil)
	x.do(ask("echo", "q"))
	wants(t, "then the offers", y.said(), "request echo =q")
}

// The ctx of a handler ends with the call, however it ends; of a one-way call it does
// not end when the caller leaves.
func TestHandlerContext(t *testing.T) {
	for _, c := range []struct {
		name   string
		oneWay bool
		end    func(w *world, x *link)
		want   string
	}{
		{"caller gone", false, func(_ *world, x *link) { x.gone(false) }, ""},
		{"timeout", false, func(w *world, _ *link) { w.pass(2 * defaultTimeout) }, "failed call s@7 #r timeout"},
		{"shutdown", false, func(w *world, _ *link) { w.engine.Close(); w.pump() }, "failed call s@7 #r shutdown"},
		{"one-way, caller gone, shutdown", true, func(w *world, x *link) { x.gone(false); w.engine.Close() }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 1)
			x := w.site(core.Endpoint{}).connect(0)
			ended := make(chan error)
			w.engine.Handle("s", func(ctx context.Context, _ string, _ core.Payload) (core.Payload, error) {
				<-ctx.Done()
				ended <- ctx.Err()
				return text("too late"), nil
			})
			command := ask("s", "q")
			command.OneWay = c.oneWay
			wants(t, "taken", x.do(command), "done call s@7 #r")
			c.end(w, x)
			wants(t, "end", x.said(), c.want)
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("ctx ended with %v", err)
			}
			w.engine.drainHandlers()
			w.pump()
			wants(t, "nothing follows", x.said(), "")
			wantEmpty(t, w.engine)
		})
	}
}

// A one-way call is carried out though its caller leaves, and ends when its time is up.
func TestOneWayHandlerContext(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	release, ended := make(chan struct{}), make(chan error)
	w.engine.Handle("patient", func(ctx context.Context, _ string, _ core.Payload) (core.Payload, error) {
		<-release
		ended <- ctx.Err()
		return core.Payload{}, nil
	})
	w.engine.Handle("late", func(ctx context.Context, _ string, _ core.Payload) (core.Payload, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return core.Payload{}, nil
	})
	x := s.connect(0)
	x.do(core.Command{Verb: core.Call, Topic: b("patient"), OneWay: true})
	x.gone(false)
	close(release)
	if err := <-ended; err != nil {
		t.Errorf("after its caller left: %v", err)
	}
	s.connect(0).do(core.Command{Verb: core.Call, Topic: b("late"), OneWay: true, Timeout: 1})
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after its time: %v", err)
	}
}

// drainHandlers waits until no handler runs.
func (e *Engine) drainHandlers() {
	for range maxHandlers {
		e.running <- struct{}{}
	}
	for range maxHandlers {
		<-e.running
	}
}

func TestHandlerBound(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x := s.connect(0)
	release := make(chan struct{})
	w.engine.Handle("s", func(context.Context, string, core.Payload) (core.Payload, error) {
		<-release
		return core.Payload{}, core.Failure{Code: core.Denied}
	})
	oneWay := ask("s", "q")
	oneWay.OneWay = true
	for range maxHandlers {
		x.do(oneWay)
	}
	x.said()
	wants(t, "one more", x.do(ask("s", "q"), oneWay), "failed call s@7 #r overloaded; failed call s@7 #r overloaded")
	wantCount(t, &s.Stats.CallsFailed, core.ReasonOverload, 2)
	close(release)
	w.engine.drainHandlers()
	w.pump()
	wants(t, "nothing is told of one-way calls", x.said(), "")
	wantCount(t, &s.Stats.CallsFailed, core.ReasonDenied, maxHandlers)
	wants(t, "room again", x.do(oneWay), "done call s@7 #r")
}

// The engine's own goroutine ends calls, and is gone after Close.
func TestNewKeepsTime(t *testing.T) {
	w := newWorld(t, 1)
	w.engine = New(Options{})
	x := w.site(core.Endpoint{CallTimeout: time.Nanosecond}).connect(0)
	x.do(share("s"))
	x.do(ask("s", "q"))
	x.said()
	x.loop.await()
	w.pump()
	wants(t, "timeout", x.said(), "failed call s@7 #r timeout")
	w.engine.Close()
}

func TestCallIDsDiffer(t *testing.T) {
	var g callIDs
	seen := map[core.CallID]bool{}
	for range 1000 {
		seen[g.next()] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different ids of 1000", len(seen))
	}
}
