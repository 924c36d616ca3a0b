package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

func TestSubscribeAndPublish(t *testing.T) {
	w := newWorld(t, 2)
	s := w.site(core.Endpoint{})
	x, y := s.connect(0), s.connect(1)

	wants(t, "subscribe", x.do(core.Command{Verb: core.Subscribe, Topic: b("a/b"), As: 3, Ref: b("1")}), "done subscribe a/b@3 #1")
	wants(t, "the same again", x.do(subAs("a/b", 3)), "done subscribe a/b@3")
	wants(t, "another way to write it", x.do(subAs("a/b", 4)), "done subscribe a/b@4")
	wants(t, "on another loop", y.do(subAs("a/b", 3)), "done subscribe a/b@3")
	wants(t, "publish", x.do(core.Command{Verb: core.Publish, Topic: b("a/b"), Payload: text("m"), Headers: b("{}"), Ref: b("2")}),
		"done publish a/b #2; message a/b@3 =m headers {}; message a/b@4 =m headers {}")
	wants(t, "the other hears", y.said(), "message a/b@3 =m headers {}")

	wants(t, "not to self", x.do(core.Command{Verb: core.Publish, Topic: b("a/b"), NotToSelf: true}), "done publish a/b")
	wants(t, "the other hears", y.said(), "message a/b@3")

	wants(t, "unsubscribe", x.do(core.Command{Verb: core.Unsubscribe, Topic: b("a/b"), As: 3}), "done unsubscribe a/b@3")
	wants(t, "publish", x.do(pub("a/b", "m")), "done publish a/b; message a/b@4 =m")
	wants(t, "what is not subscribed", x.do(core.Command{Verb: core.Unsubscribe, Topic: b("zzz")}), "done unsubscribe zzz")
	wants(t, "all", x.do(core.Command{Verb: core.UnsubscribeAll}), "done unsubscribe_all")
	y.said()
	wants(t, "publish", x.do(pub("a/b", "m")), "done publish a/b")
	wants(t, "the other hears", y.said(), "message a/b@3 =m")
	y.gone(false)
	wants(t, "nobody hears", x.do(pub("a/b", "m")), "done publish a/b unheard")
	if got := s.Stats.Published.Load(); got != 5 {
		t.Errorf("counted %d publishes, want 5", got)
	}
	wantEmpty(t, w.engine)
}

// A connection hears a message once, however many of its patterns match, and the
// outlet is asked once for each As.
func TestOverlappingPatterns(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x := s.connect(0)
	for _, p := range []string{"a/+", "a/#", "#", "a/b", "+/+x", "/+"} {
		x.do(subPattern(p))
	}
	before := s.delivers.Load()
	wants(t, "publish", x.do(pub("a/b", "m")), "done publish a/b; message a/b =m")
	if n := s.delivers.Load() - before; n != 1 {
		t.Errorf("%d deliveries, want 1", n)
	}
	wants(t, "named plus is another pattern", x.do(core.Command{Verb: core.Unsubscribe, Topic: b("+/+y"), Pattern: true}), "done unsubscribe +/+y")
	if n := w.engine.Topics(); n != 6 {
		t.Errorf("%d topics, want 6", n)
	}
	x.do(core.Command{Verb: core.UnsubscribeAll})
	wantEmpty(t, w.engine)
}

func TestPatternsThatAreNone(t *testing.T) {
	w := newWorld(t, 1)
	x := w.site(core.Endpoint{}).connect(0)
	x.do(subPattern("a/b"), sub("c/+"), subPattern("d/#/e"))
	wants(t, "a pattern without wildcards is a topic", x.do(pub("a/b", "1")), "done publish a/b; message a/b =1")
	wants(t, "and the same subscription", x.do(core.Command{Verb: core.Unsubscribe, Topic: b("a/b")}, pub("a/b", "2")),
		"done unsubscribe a/b; done publish a/b unheard")
	wants(t, "a topic with a wildcard's name", x.do(pub("c/x", "3"), pub("c/+", "4")),
		"done publish c/x unheard; done publish c/+; message c/+ =4")
	wants(t, "# before the end", x.do(pub("d/x/e", "5"), pub("d/#/e", "6")), "done publish d/x/e unheard; done publish d/#/e unheard")
	if n := w.engine.Topics(); n != 2 {
		t.Errorf("%d topics, want 2: a pattern that matches nothing is a subscription too", n)
	}
	x.do(core.Command{Verb: core.Unsubscribe, Topic: b("d/#/e"), Pattern: true}, core.Command{Verb: core.Unsubscribe, Topic: b("c/+")})
	wantEmpty(t, w.engine)
}

func TestManySubscriptions(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y := s.connect(0), s.connect(0)
	const n = 3 * indexFrom
	for i := range n {
		x.do(sub(fmt.Sprint("t/", i)))
		x.do(sub(fmt.Sprint("t/", i)))
		y.do(sub(fmt.Sprint("t/", i)))
	}
	if got := w.engine.Topics(); got != n {
		t.Errorf("%d topics, want %d", got, n)
	}
	for i := range n {
		topic := fmt.Sprint("t/", (i*7)%n)
		x.do(core.Command{Verb: core.Unsubscribe, Topic: b(topic)})
		wants(t, "after unsubscribing", x.do(pub(topic, "m")), "done publish "+topic)
		y.said()
		if i < n-1 {
			other := fmt.Sprint("t/", (i*7+7)%n)
			wants(t, "still subscribed", x.do(pub(other, "m")), "done publish "+other+"; message "+other+" =m")
		}
	}
	y.gone(false)
	wantEmpty(t, w.engine)
}

func TestSubscriptionBound(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x := s.connect(0)
	x.quiet = true
	for i := range maxSubscriptions {
		x.peer.Do(sub(fmt.Sprint(i)))
	}
	x.quiet = false
	wants(t, "one more", x.do(sub("more")), "failed subscribe more overloaded")
	wants(t, "one that is there", x.do(sub("7")), "done subscribe 7")
	wantCount(t, &s.Stats.Refused, core.ReasonOverload, 1)
	x.gone(false)
	wantEmpty(t, w.engine)
}

func TestReserved(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x := s.connect(0)
	for _, c := range []struct {
		command core.Command
		want    string
	}{
		{pub("$request/x", "m"), "failed publish $request/x denied"},
		{pub("$serve/x", "m"), "failed publish $serve/x denied"},
		{sub("$reply/1"), "failed subscribe $reply/1 denied"},
		{subPattern("$call/#"), "failed subscribe $call/# denied"},
		{core.Command{Verb: core.Offer, Exclusive: true, Channel: b("$serve/x")}, "failed offer denied"},
		{core.Command{Verb: core.Offer, Services: [][]byte{b("$serve/x")}}, "failed offer denied"},
	} {
		wants(t, "reserved", x.do(c.command), c.want)
	}
	wantCount(t, &s.Stats.Refused, core.ReasonReserved, 6)
	wants(t, "other $ topics may be heard", x.do(subPattern("$sys/#")), "done subscribe $sys/#")
	wants(t, "other $ topics are anybody's", x.do(pub("$other", "m")), "done publish $other unheard")
	wants(t, "also of what others call the system", x.do(pub("$sys/x", "m")), "done publish $sys/x; message $sys/x =m")
	wants(t, "and may be owned", x.do(own("$sys", "$sys/m")), "done offer")
	if f := w.engine.Publisher(s.Endpoint).Publish(b("$request/x"), text("m")); f.Code != core.Denied {
		t.Errorf("publisher: %v", f)
	}
	wantCount(t, &s.Stats.Refused, core.ReasonReserved, 7)
}

func TestSizes(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x := s.connect(0)
	long, deep := strings.Repeat("a", maxAddress), strings.Repeat("/", maxLevels-1)
	for _, name := range []string{long, deep} {
		for _, verb := range []core.Verb{core.Subscribe, core.Publish} {
			if got := x.do(core.Command{Verb: verb, Topic: b(name)}); !strings.HasPrefix(got, "done") {
				t.Errorf("%v of the largest allowed: %.60s", verb, got)
			}
		}
	}
	for name, reason := range map[string]core.Reason{long + "a": core.ReasonTooLarge, deep + "/": core.ReasonTooDeep} {
		for _, c := range []core.Command{
			{Verb: core.Subscribe, Topic: b(name)},
			{Verb: core.Subscribe, Topic: b(name), Pattern: true},
			{Verb: core.Publish, Topic: b(name)},
			{Verb: core.Call, Topic: b(name)},
			{Verb: core.Offer, Services: [][]byte{b(name)}},
			{Verb: core.Offer, Exclusive: true, Channel: b(name)},
		} {
			before := s.Stats.Refused[reason].Load()
			if got := x.do(c); !strings.HasPrefix(got, "failed") || !strings.HasSuffix(got, " invalid") {
				t.Errorf("%v: %.60s", c.Verb, got)
			}
			wantCount(t, &s.Stats.Refused, reason, before+1)
		}
	}
}

func TestTopicPrefix(t *testing.T) {
	w := newWorld(t, 2)
	open, tenant := w.site(core.Endpoint{}), w.site(core.Endpoint{TopicPrefix: "t+/"})
	o, x, y := open.connect(0), tenant.connect(0), tenant.connect(1)
	x.do(sub("a"), subPattern("#"))
	y.do(subPattern("+/b"))

	wants(t, "inside", x.do(pub("a", "1")), "done publish a; message a =1")
	wants(t, "from outside", o.do(pub("t+/a", "2")), "done publish t+/a")
	wants(t, "heard inside", x.said(), "message a =2")
	wants(t, "what lies outside", o.do(pub("a", "3"), pub("tx/a", "3")), "done publish a unheard; done publish tx/a unheard")
	wants(t, "a topic that is the prefix", o.do(pub("t+/", "4")), "done publish t+/ unheard")
	wants(t, "$ is what the client sees first", o.do(pub("t+/$a/b", "5")), "done publish t+/$a/b unheard")
	wants(t, "patterns", o.do(pub("t+/c/b", "6")), "done publish t+/c/b")
	wants(t, "heard inside", x.said()+"|"+y.said(), "message c/b =6|message c/b =6")
	o.do(subPattern("#"))
	wants(t, "outside hears all of it", y.do(pub("z", "7")), "done publish z")
	wants(t, "outside hears all of it", o.said(), "message t+/z =7")
	if f := w.engine.Publisher(tenant.Endpoint).Publish(b("a"), text("8")); f.Failed() {
		t.Error(f)
	}
	w.pump()
	wants(t, "publisher", o.said(), "message t+/a =8")
	for _, l := range []*link{o, x, y} {
		l.gone(false)
	}
	wantEmpty(t, w.engine)
}

// Messages of one publisher arrive in their order, under every As and on every loop.
func TestOrder(t *testing.T) {
	w := newWorld(t, 2)
	s, other := w.site(core.Endpoint{}), w.site(core.Endpoint{})
	hearers := []*link{s.connect(0), s.connect(1), other.connect(1)}
	for _, l := range hearers {
		l.do(sub("a/b"), subPattern("a/+"))
	}
	from := other.connect(0)
	var want []string
	for i := range 50 {
		from.message(pub("a/b", fmt.Sprint(i)))
		want = append(want, fmt.Sprint("message a/b =", i))
	}
	w.pump()
	for i, l := range hearers {
		wants(t, fmt.Sprint("hearer ", i), strings.TrimPrefix(l.said(), "done subscribe a/b; done subscribe a/+; "), strings.Join(want, "; "))
	}
}

func TestPublishAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("sync.Pool drops what it is given under the race detector")
	}
	for _, prefix := range []string{"", "tenant/"} {
		w := newWorld(t, 2)
		s := &silent{w.site(core.Endpoint{TopicPrefix: prefix})}
		for i := range 100 {
			l := &link{site: s.site, loop: w.loops[i%2], quiet: true}
			l.peer = w.engine.Connect(silentLink{l, s})
			l.peer.Do(subAs("a/b", uint32(i%3)))
			l.peer.Do(subPattern("a/+"))
			if i == 0 {
				l.peer.Do(core.Command{Verb: core.Offer, Exclusive: true, Channel: b("elsewhere")})
			}
		}
		l := &link{site: s.site, loop: w.loops[0], quiet: true}
		l.peer = w.engine.Connect(silentLink{l, s})
		c := pub("a/b", "m")
		if n := testing.AllocsPerRun(100, func() { l.peer.Do(c) }); n != 0 {
			t.Errorf("prefix %q: a publish allocates %v times", prefix, n)
		}
		if s.delivers.Load() == 0 {
			t.Error("nothing was delivered")
		}
	}
}

// silent is a site that delivers to nobody, without allocating.
type silent struct{ *site }

func (s *silent) Deliver(core.Event, []core.Audience, core.Link) { s.delivers.Add(1) }

// silentLink is a link whose outlet is silent.
type silentLink struct {
	*link
	outlet *silent
}

func (l silentLink) Outlet() core.Outlet { return l.outlet }

func (l silentLink) Tell(core.Event) {}
