package engine

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/timers"
	"github.com/polywire/polywire/internal/sessions"
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
	wantCount(t, &s.Stats.CallsFailed, core.ReasonAnswerer, 1)

	wants(t, "nobody answers", x.do(ask("nobody", "q")), "failed call nobody@7 #r no_service")
	wantCount(t, &s.Stats.CallsFailed, core.ReasonNoService, 1)
	if got := s.Stats.Calls.Load(); got != 2 {
		t.Errorf("counted %d calls, want 2", got)
	}
	y.gone(false)
	wantEmpty(t, w.engine)
}

// Whoever was not asked, or names no call that waits for him, ends no call: not by a
// command, not by a topic, not with an answer and not with a failure.
func TestForgedReplies(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y, thief := s.connect(0), s.connect(0), s.connect(0)
	y.do(share("s", "other"))
	thief.do(share("thief"))
	ended := ask("other", "q")
	x.do(ended)
	past := y.asked()
	y.do(reply(past, "a"))
	x.do(ask("thief", "q"), ask("s", "q"))
	asked, thiefs := y.asked(), thief.asked()

	elsewhere := newWorld(t, 1)
	far := elsewhere.site(core.Endpoint{}).connect(0)
	far.message(share("s"), ask("s", "q"))
	elsewhere.pump()
	guessed := asked
	guessed[15] ^= 1
	for _, l := range []*link{x, y, thief} {
		l.said()
	}
	for _, c := range []struct {
		name string
		by   *link
		id   core.CallID
	}{
		{"asked of another", thief, asked},
		{"asked of another, by its caller", x, asked},
		{"asked of the thief, by the answerer", y, thiefs},
		{"ended", y, past},
		{"one bit off", y, guessed},
		{"of another node", y, far.asked()},
		{"none", y, core.CallID{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := s.Stats.Refused[core.ReasonNotAsked].Load()
			text := string(c.id.Append(nil))
			wants(t, "told", c.by.do(
				reply(c.id, "forged"),
				core.Command{Verb: core.Reply, Call: c.id, Failure: core.Failure{Code: "forged"}},
				pub("$reply/"+text, "forged"),
				pub("$error/"+text, "forged"),
			), "failed reply invalid; failed reply invalid; failed publish $reply/"+text+" invalid; failed publish $error/"+text+" invalid")
			wantCount(t, &s.Stats.Refused, core.ReasonNotAsked, before+4)
			wants(t, "the caller is told nothing", x.said(), "")
			if n := w.engine.Calls(); n != 2 {
				t.Errorf("%d calls wait, want 2", n)
			}
		})
	}
	wants(t, "no id is read out of what is none", y.do(pub("$reply/x", "a")), "failed publish $reply/x invalid")
	y.do(reply(asked, "a"))
	wants(t, "the right answer", x.said(), "answer s@7 #r =a")
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
	s := w.site(core.Endpoint{Limits: core.NewLiveLimits(core.Limits{Calls: 100})})
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
	found := w.engine.targetOf(b("s"), b("s"))
	y.gone(false)
	c := ask("s", "q")
	if r := x.peer.(*peer).askOwner(&c, b("s"), found, false, nil); r != refusedGone {
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
		{"beyond one round of the wheel", 0, 5 * time.Minute, 5 * time.Minute},
		{"beyond what is allowed", 0, 1 << 62, maxTimeout},
		{"shorter than a tick", 0, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 1)
			s := w.site(core.Endpoint{Limits: core.NewLiveLimits(core.Limits{CallTimeout: c.endpoint})})
			x, y := s.connect(0), s.connect(0)
			y.do(share("s"))
			w.pass(33 * time.Millisecond)
			command := ask("s", "q")
			command.Timeout = c.command
			wants(t, "taken", x.do(command), "done call s@7 #r")
			w.pass(c.deadline - time.Nanosecond)
			wants(t, "not before the time", x.said(), "")
			w.pass(timers.Tick + time.Nanosecond)
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

// TestCallsOutliveAStandstill: an answer that came while the process stood still is heard.
func TestCallsOutliveAStandstill(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y := s.connect(0), s.connect(0)
	y.do(share("s"))
	wants(t, "taken", x.do(ask("s", "q")), "done call s@7 #r")
	w.stand(time.Hour)
	w.pump()
	wants(t, "after an hour", x.said(), "")
	y.do(reply(y.asked(), "a"))
	wants(t, "the answer", x.said(), `answer s@7 #r =a`)
	wants(t, "another", x.do(ask("s", "q")), "done call s@7 #r")
	w.pass(defaultTimeout - time.Second)
	wants(t, "not before the time", x.said(), "")
	w.pass(time.Second + timers.Tick)
	wants(t, "in time", x.said(), "failed call s@7 #r timeout")
	y.gone(false)
	x.gone(false)
	wantEmpty(t, w.engine)
}

func TestCallBounds(t *testing.T) {
	w := newWorld(t, 1)
	s, free := w.site(core.Endpoint{Limits: core.NewLiveLimits(core.Limits{Calls: 2})}), w.site(core.Endpoint{Limits: core.NewLiveLimits(core.Limits{Calls: 2 * maxAsked})})
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

// With CallsAtOnce messages behind a full number of calls wait, in their order.
func TestCallsAtOnce(t *testing.T) {
	for _, c := range []struct {
		limit int
		first string // what the answerer hears before it answers
		rest  string // what it hears then
	}{
		{1, "message before =m; request s =1", "request s =2"},
		{2, "message before =m; request s =1; request s =2", "message behind =m"},
		{3, "message before =m; request s =1; request s =2; message behind =m", ""},
		{0, "message before =m; request s =1; request s =2; message behind =m", ""},
	} {
		w := newWorld(t, 2)
		s := w.site(core.Endpoint{CallsAtOnce: c.limit})
		x, y := s.connect(0), w.site(core.Endpoint{}).connect(1)
		y.do(share("s"), sub("before"), sub("behind"))
		y.said()
		for _, command := range []core.Command{pub("before", "m"), ask("s", "1"), ask("s", "2"), pub("behind", "m")} {
			x.message(command)
		}
		w.pump()
		first := y.heard[1].Call
		wants(t, "at once", y.said(), c.first)
		wants(t, "then", y.do(reply(first, "a")), "done reply"+strings.TrimSuffix("; "+c.rest, "; "))
	}
}

// However a call ends, what waits behind it goes on; what is no call of its own does not wait.
func TestCallsAtOnceGoOn(t *testing.T) {
	store := sessions.NewMemory()
	for _, c := range []struct {
		name   string
		end    func(w *world, x, y *link)
		told   string
		behind string
	}{
		{"answered", func(_ *world, _, y *link) { y.do(reply(y.asked(), "a")) }, "answer s@7 #r =a", "done call s@7 #r"},
		{"failed", func(_ *world, _, y *link) {
			y.do(core.Command{Verb: core.Reply, Call: y.asked(), Failure: core.Failure{Code: "mine"}})
		}, "failed call s@7 #r mine", "done call s@7 #r"},
		{"timeout", func(w *world, _, _ *link) { w.pass(2 * defaultTimeout) }, "failed call s@7 #r timeout", "done call s@7 #r"},
		{"answerer gone", func(w *world, _, y *link) { y.gone(false); w.pump() }, "failed call s@7 #r gone", "failed call s@7 #r no_service"},
		{"shutdown", func(w *world, _, _ *link) { w.engine.Close(); w.pump() }, "failed call s@7 #r shutdown", "failed call s@7 #r shutdown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 1)
			x := w.site(core.Endpoint{CallsAtOnce: 1, Sessions: store}).connect(0)
			y := w.site(core.Endpoint{}).connect(0)
			y.do(share("s"))
			wants(t, "free", x.do(ask("nobody", "q"), pub("$call/r/s", "q"), core.Command{Verb: core.Call, Topic: b("s"), OneWay: true}),
				"failed call nobody@7 #r no_service; done publish $call/r/s; done call s")
			y.do(reply(y.heard[0].Call, "a"))
			x.said()
			wants(t, "taken, and one waits", x.do(ask("s", "q"), ask("s", "q")), "done call s@7 #r")
			c.end(w, x, y)
			wants(t, "outcome", x.said(), c.told+"; "+c.behind)
			x.gone(false)
			y.gone(false)
			wantEmpty(t, w.engine)
		})
	}
}

// A service whose answerers are slow is full by itself: for all who ask it, and for
// nobody who asks another of the same answerers.
func TestServiceBound(t *testing.T) {
	w := newWorld(t, 1)
	w.engine = newEngine(Options{MaxServiceCalls: 3}, w.clock)
	s, t1 := w.site(core.Endpoint{}), w.site(core.Endpoint{TopicPrefix: "s/"})
	x, other, y, z := s.connect(0), t1.connect(0), s.connect(0), s.connect(0)
	y.do(share("s/1", "s/2"))
	z.do(share("s/1"), own("o", "o/m"))
	y.said()
	z.said()
	x.do(ask("s/1", "q"), ask("s/1", "q"), ask("s/1", "q"))
	id := z.asked()
	x.said()
	wants(t, "one more", x.do(ask("s/1", "q")), "failed call s/1@7 #r overloaded")
	wants(t, "from elsewhere", other.do(ask("1", "q"), pub("$call/r/1", "q")),
		`failed call 1@7 #r overloaded; done publish $call/r/1; `+
			`message $error/r ={"code":"overloaded","text":"the service has too many unanswered calls"}`)
	wantCount(t, &s.Stats.CallsFailed, core.ReasonOverload, 1)
	wantCount(t, &t1.Stats.CallsFailed, core.ReasonOverload, 2)
	wants(t, "another service", x.do(ask("s/2", "q"), ask("o/m", "q")), "done call s/2@7 #r; done call o/m@7 #r")

	z.do(reply(id, "a"))
	x.said()
	wants(t, "room after an answer", x.do(ask("s/1", "q"), ask("s/1", "q")), "done call s/1@7 #r; failed call s/1@7 #r overloaded")
	x.gone(false)
	wants(t, "room after a caller left", other.do(ask("1", "q")), "done call 1@7 #r")
	w.pass(2 * defaultTimeout)
	other.said()
	wants(t, "room after time ran out", other.do(ask("1", "q"), ask("1", "q"), ask("1", "q")), "done call 1@7 #r; done call 1@7 #r; done call 1@7 #r")
	for _, l := range []*link{other, y, z} {
		l.gone(false)
	}
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

// A drain refuses further calls and ends when those under way have.
func TestDrain(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y := s.connect(0), s.connect(0)
	y.do(share("s"))
	x.do(ask("s", "q"))
	x.said()
	ended := make(chan error, 1)
	go func() { ended <- w.engine.Drain(t.Context()) }()
	for !w.engine.calls.isClosed() {
		runtime.Gosched()
	}
	wants(t, "no more calls", x.do(ask("s", "q")), "failed call s@7 #r shutdown")
	select {
	case err := <-ended:
		t.Fatalf("ended with a call under way: %v", err)
	default:
	}
	y.do(reply(y.asked(), "a"))
	wants(t, "the call ends as ever", x.said(), "answer s@7 #r =a")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// What does not end in time is told of, and left to Close.
func TestDrainInVain(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x := s.connect(0)
	x.do(share("s"), ask("s", "q"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.engine.Drain(ctx); !errors.Is(err, context.Canceled) || w.engine.Calls() != 1 {
		t.Errorf("%d calls, %v", w.engine.Calls(), err)
	}
}

// The engine's own goroutine ends calls, and is gone after Close.
func TestNewKeepsTime(t *testing.T) {
	w := newWorld(t, 1)
	w.engine = New(Options{})
	w.engine.Start()
	x := w.site(core.Endpoint{Limits: core.NewLiveLimits(core.Limits{CallTimeout: time.Nanosecond})}).connect(0)
	x.do(share("s"))
	x.do(ask("s", "q"))
	x.said()
	x.loop.await()
	w.pump()
	wants(t, "timeout", x.said(), "failed call s@7 #r timeout")
	w.engine.Close()
}

// A call between two connections costs no memory, once there was one like it.
func TestCallAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	x, q, answers := calling(t, 1000)
	c := ask("s", "q")
	if n := testing.AllocsPerRun(100, func() { x.peer.Do(c); q.pump() }); n != 0 {
		t.Errorf("a call and its answer allocate %v times", n)
	}
	if *answers != 101 {
		t.Errorf("%d answers to 101 calls", *answers)
	}
}

// Records of calls are used again, and nothing of one call shows in another.
func TestCallRecordsAreClean(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y := s.connect(0), s.connect(0)
	y.do(share("s", "other"), sub("$serve/topical"))
	y.said()
	for range 3 {
		for _, c := range []struct {
			command core.Command
			want    string
		}{
			{ask("s", "q"), "done call s@7 #r; answer s@7 #r =a"},
			{pub("$call/a-long-ref/topical", "q"), "done publish $call/a-long-ref/topical; message $reply/a-long-ref =a"},
			{core.Command{Verb: core.Call, Topic: b("other")}, "done call other; answer other =a"},
			{core.Command{Verb: core.Call, Topic: b("other"), Ref: b("")}, "done call other #; answer other # =a"},
		} {
			x.message(c.command)
			w.pump()
			ev := y.heard[0]
			id := ev.Call
			if ev.Kind == core.Message {
				id, _ = core.ParseCallID(b(y.requested()))
			}
			y.do(reply(id, "a"))
			wants(t, "outcome", x.said(), c.want)
		}
	}
}

// TestUnasked: a request that the answerer's format cannot write fails its call; nobody but
// the answerer can say so.
func TestUnasked(t *testing.T) {
	for name, offer := range map[string]core.Command{
		"native":   share("s"),
		"by topic": {Verb: core.Subscribe, Topic: []byte("$serve/s")},
	} {
		w := newWorld(t, 1)
		s := w.site(core.Endpoint{})
		x, y, other := s.connect(0), s.connect(0), s.connect(0)
		y.do(offer)
		x.do(ask("s", "q"))
		if len(y.heard) == 0 {
			t.Fatalf("%s: the answerer is not asked", name)
		}
		id := y.heard[len(y.heard)-1].PendingCall()
		x.said()
		other.peer.RequestUndeliverable(id, core.ReasonUnwritable)
		w.pump()
		wants(t, name+": somebody else cannot be asked", x.said(), "")
		y.peer.RequestUndeliverable(id, core.ReasonUnwritable)
		y.peer.RequestUndeliverable(id, core.ReasonUnwritable)
		w.pump()
		wants(t, name, x.said(), "failed call s@7 #r internal")
		if n, failed := w.engine.Calls(), s.Stats.CallsFailed[core.ReasonUnwritable].Load(); n != 0 || failed != 1 {
			t.Errorf("%s: %d calls wait, %d failed", name, n, failed)
		}
	}
}
