package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// own offers a channel with services below it, which are written as whole addresses.
func own(channel string, services ...string) core.Command {
	c := core.Command{Verb: core.Offer, Exclusive: true, Channel: b(channel)}
	for _, s := range services {
		below, found := strings.CutPrefix(s, channel)
		if !found || below != "" && below[0] != '/' {
			panic(s + " is not below " + channel)
		}
		c.Services = append(c.Services, b(strings.TrimPrefix(below, "/")))
	}
	return c
}

func share(services ...string) core.Command {
	c := core.Command{Verb: core.Offer}
	for _, s := range services {
		c.Services = append(c.Services, b(s))
	}
	return c
}

func pubAsOwner(channel, topic string) core.Command {
	return core.Command{Verb: core.Publish, AsOwner: true, Channel: b(channel), Topic: b(topic)}
}

func TestOwnership(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y := s.connect(0), s.connect(0)
	wants(t, "nobody owns it", x.do(pubAsOwner("c", "c/t")), "failed publish c/t not_owner")
	wants(t, "and anybody may publish", y.do(pub("c/t", "m")), "done publish c/t unheard")
	wants(t, "own", x.do(own("c", "c/m", "c/m")), "done offer")
	if n := len(w.engine.channels.get("c").services); n != 1 {
		t.Errorf("%d services of which one was named twice", n)
	}
	wants(t, "twice by itself", x.do(own("c", "c/n")), "failed offer taken")
	wants(t, "by another", y.do(own("c")), "failed offer taken")
	wants(t, "nothing changed", x.do(core.Command{Verb: core.Call, Topic: b("c/n")}), "failed call c/n no_service")

	for _, c := range []struct {
		link *link
		do   core.Command
		want string
	}{
		{x, pubAsOwner("c", "c/t"), "done publish c/t unheard"},
		{x, pub("c/t", "m"), "done publish c/t unheard"},
		{y, pubAsOwner("c", "c/t"), "failed publish c/t not_owner"},
		{y, pub("c/t", "m"), "failed publish c/t not_owner"},
		{y, pub("c", "m"), "failed publish c not_owner"},
		{y, pub("c/t/u", "m"), "failed publish c/t/u not_owner"},
		{y, pub("cc/t", "m"), "done publish cc/t unheard"},
		{y, pub("", "m"), "done publish unheard"},
		{x, pubAsOwner("c/t", "c/t"), "failed publish c/t not_owner"},
	} {
		wants(t, "publish", c.link.do(c.do), c.want)
	}
	if f := w.engine.Publisher(s.Endpoint).Publish(b("c/t"), text("m")); f.Code != core.NotOwner {
		t.Errorf("publisher: %v", f)
	}
	wantCount(t, &s.Stats.Refused, core.ReasonTaken, 2)
	wantCount(t, &s.Stats.Refused, core.ReasonNotOwner, 7)

	x.gone(false)
	wants(t, "the owner left", y.do(own("c", "c/m"), own("", "/m")), "done offer; done offer")
	wants(t, "the empty channel", y.do(pubAsOwner("", "x")), "done publish x unheard")
	wants(t, "withdraw", y.do(core.Command{Verb: core.Withdraw, Exclusive: true, Channel: b("c")}), "done withdraw")
	wants(t, "what is not owned", y.do(core.Command{Verb: core.Withdraw, Exclusive: true, Channel: b("c")}), "done withdraw")
	wants(t, "the service went too", y.do(share("c/m")), "done offer")
	wants(t, "withdraw", y.do(core.Command{Verb: core.Withdraw, Services: [][]byte{b("c/m"), b("c/m"), b("no")}}), "done withdraw")
	y.gone(false)
	wantEmpty(t, w.engine)
}

func TestTakenServices(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y := s.connect(0), s.connect(0)
	for _, c := range []struct {
		link *link
		do   core.Command
		want string
	}{
		{x, share("c/a", "b"), "done offer"},
		{y, share("c/a"), "done offer"},
		{x, own("c", "c/new", "c/a"), "failed offer not_owner"},
		{y, own("d", "d/new"), "done offer"},
		{x, share("free", "d/new"), "failed offer taken"},
		{x, own("d", "d/other"), "failed offer taken"},
		{y, own("free", "free", "free/d"), "done offer"},
		{x, share("c/a"), "done offer"},
	} {
		wants(t, fmt.Sprintf("%q", c.do.Services), c.link.do(c.do), c.want)
	}
	wantCount(t, &s.Stats.Refused, core.ReasonTaken, 3)
	x.gone(false)
	y.gone(false)
	wantEmpty(t, w.engine)
}

func TestOwnershipUnderPrefix(t *testing.T) {
	w := newWorld(t, 1)
	open, tenant := w.site(core.Endpoint{}), w.site(core.Endpoint{TopicPrefix: "t/"})
	o, x := open.connect(0), tenant.connect(0)
	x.do(own("c"), own("", "/m"))
	wants(t, "outside is another channel", o.do(pub("c/t", "m")), "done publish c/t unheard")
	wants(t, "the same from outside", o.do(pub("t/c/t", "m")), "failed publish t/c/t not_owner")
	wants(t, "the same from outside", o.do(own("t/c")), "failed offer taken")
	wants(t, "inside", x.do(pubAsOwner("c", "c/t")), "done publish c/t unheard")
}

// Who owns a channel owns all below it: nobody else has a channel or a service there, or a
// channel above it, whoever came first, and however the name is put together.
func TestOwnershipNests(t *testing.T) {
	type claim struct {
		prefix string
		do     core.Command
	}
	channel := func(prefix, name string) claim { return claim{prefix, own(name)} }
	service := func(prefix, name string) claim { return claim{prefix, share(name)} }
	byTopic := func(prefix, name string) claim { return claim{prefix, sub("$serve/" + name)} }
	for _, c := range []struct {
		name  string
		a, b  claim
		clash bool
	}{
		{"below", channel("", "news"), channel("", "news/today"), true},
		{"far below", channel("", "news"), channel("", "news/a/b/c/d"), true},
		{"an empty level", channel("", "news"), channel("", "news/"), true},
		{"two empty levels", channel("", "news/"), channel("", "news//"), true},
		{"under a prefix", channel("", "news"), channel("news/", "today"), true},
		{"under a prefix that ends within a level", channel("", "news/today"), channel("news/to", "day/late"), true},
		{"a prefix without slash", channel("", "news"), channel("news", "/today"), true},
		{"two prefixes", channel("a/", "b"), channel("a/b/", "c"), true},
		{"the empty channel", channel("", ""), channel("", "/news"), true},
		{"the empty channel of a prefix", channel("t/", ""), channel("", "t//x"), true},
		{"a service below", channel("", "news"), service("", "news/today"), true},
		{"a service of the same name", channel("", "news"), service("", "news"), true},
		{"a service under a prefix", channel("", "news"), service("news/", "today"), true},
		{"a service by topic", channel("", "news"), byTopic("", "news/today"), true},
		{"a service by topic, far below", channel("", "news"), byTopic("", "news/a/b/c"), true},
		{"a service by topic under a prefix", channel("", "news"), byTopic("news/", "today"), true},

		{"a name that begins alike", channel("", "news"), channel("", "newspaper/today"), false},
		{"a sibling", channel("", "news/a"), channel("", "news/b"), false},
		{"characters beside the slash", channel("", "news"), channel("", "news.today"), false},
		{"characters behind the slash", channel("", "news"), channel("", "news0"), false},
		{"a service above", channel("", "news/today"), service("", "news"), false},
		{"a service beside", channel("", "news/today"), service("", "news/tomorrow"), false},
		{"the empty channel has not all", channel("", ""), channel("", "news"), false},
		{"a prefix of one's own", channel("a/", "news"), channel("b/", "news/today"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, order := range [][2]claim{{c.a, c.b}, {c.b, c.a}} {
				w := newWorld(t, 1)
				connect := func(c claim) *link { return w.site(core.Endpoint{TopicPrefix: c.prefix}).connect(0) }
				first, second := connect(order[0]), connect(order[1])
				first.do(order[0].do)
				heard := second.do(order[1].do)
				if refused := strings.HasSuffix(heard, "not_owner"); refused != c.clash {
					t.Errorf("%q after %q: %s", order[1].do.Services, order[0].do.Services, heard)
				}
				if c.clash {
					wantCount(t, &second.site.Stats.Refused, core.ReasonTaken, 1)
				}
				// One connection may have both, and what was refused has left nothing.
				second.gone(false)
				again := w.site(core.Endpoint{TopicPrefix: order[1].prefix})
				own := &link{id: w.ids.Add(1), site: again, loop: w.loops[0]}
				own.peer = w.engine.Connect(own)
				first.gone(false)
				if heard := own.do(order[1].do); strings.HasPrefix(heard, "failed") {
					t.Errorf("when the other is gone: %s", heard)
				}
				own.gone(false)
				wantEmpty(t, w.engine)
			}
		})
	}
}

// One connection may own channels within its own.
func TestOwnershipNestsForOthersOnly(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y := s.connect(0), s.connect(0)
	for _, c := range []core.Command{own("c/a"), own("c", "c/m"), own("c/b", "c/b/m"), share("c/a/s"), own("c/a/b")} {
		wants(t, "within its own", x.do(c), "done offer")
	}
	wants(t, "another", y.do(own("c/z")), "failed offer not_owner")
	x.do(core.Command{Verb: core.Withdraw, Exclusive: true, Channel: b("c")})
	wants(t, "the ones within are left", y.do(own("c")), "failed offer not_owner")
	wants(t, "room beside them", y.do(own("c/z")), "done offer")
	for _, channel := range []string{"c/a", "c/b", "c/a/b"} {
		x.do(core.Command{Verb: core.Withdraw, Exclusive: true, Channel: b(channel)})
	}
	wants(t, "a service is left", y.do(own("c")), "failed offer not_owner")
	x.do(core.Command{Verb: core.Withdraw, Services: [][]byte{b("c/a/s")}})
	wants(t, "nothing is left", y.do(own("c")), "done offer")
	wants(t, "a topic elsewhere as the owner of this", y.do(pubAsOwner("c", "d/t")), "done publish d/t unheard")
	x.do(own("d"))
	wants(t, "unless somebody owns it", y.do(pubAsOwner("c", "d/t")), "failed publish d/t not_owner")
	x.gone(false)
	y.gone(false)
	wantEmpty(t, w.engine)
}

func TestOfferBound(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x := s.connect(0)
	c := own("c")
	for i := range maxOffers - 1 {
		c.Services = append(c.Services, b(fmt.Sprint(i)))
	}
	wants(t, "as many as allowed", x.do(c), "done offer")
	wants(t, "one more", x.do(own("d")), "failed offer overloaded")
	wantCount(t, &s.Stats.Refused, core.ReasonOverload, 1)
	x.do(core.Command{Verb: core.Withdraw, Exclusive: true, Channel: b("c")})
	wants(t, "room again", x.do(share("a"), own("d")), "done offer; done offer")
	x.gone(false)
	wantEmpty(t, w.engine)
}

// TestVastOffer: what a short message names under a long channel is refused before
// anybody looks at it, and costs no more than the message.
func TestVastOffer(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{Access: rules{"x serve c"}})
	x := s.connect(0)
	c := core.Command{Verb: core.Offer, Exclusive: true, Channel: b(strings.Repeat("c", 60_000))}
	size := len(c.Channel)
	for i := range 10_000 {
		c.Services = append(c.Services, b(fmt.Sprint(i)))
		size += len(`"0000",`)
	}
	coretest.Frugal(t, size, func() { wants(t, "own", x.do(c), "failed offer overloaded") })
	if s.Stats.Refused[core.ReasonOverload].Load() == 0 {
		t.Error("it is not counted")
	}
}

// TestManyServices: a channel with very many services costs no more than the message that
// registers it, and each of them is found.
func TestManyServices(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	c := core.Command{Verb: core.Offer, Exclusive: true, Channel: b("n")}
	size := len(c.Channel)
	for i := range maxOffers - 1 {
		c.Services = append(c.Services, fmt.Appendf(nil, "%x", i))
		size += len(c.Services[i]) + len(`"",`)
	}
	var x *link
	coretest.Frugal(t, size, func() {
		if x != nil {
			x.gone(false)
		}
		x = s.connect(0)
		wants(t, "own", x.do(c), "done offer")
	})
	for _, name := range []string{"0", "a", "ff", "fffe"} {
		got := x.do(core.Command{Verb: core.Call, Topic: b("n/" + name), OneWay: true})
		if !strings.Contains(got, "request n/"+name) {
			t.Errorf("call of %s: %s", name, got)
		}
	}
	for _, name := range []string{"n", "n/", "n/g", "n/ffff", "n/0/1", "nx/0"} {
		wants(t, "no service", x.do(core.Command{Verb: core.Call, Topic: b(name), OneWay: true}), "failed call "+name+" no_service")
	}
	x.gone(false)
	wantEmpty(t, w.engine)
}

// The services of a channel are those that were named, whatever they are called and
// wherever they lie; what one connection has elsewhere is in the way of nothing.
func TestServicesOfChannels(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x := s.connect(0)
	wants(t, "own", x.do(own("c", "c", "c/b/m", "c/b", "c//", "c//n"), own("d/e", "d/e/f")), "done offer; done offer")
	for _, c := range []struct {
		do   core.Command
		want string
	}{
		{own("c/b", "c/b/m"), "failed offer taken"},
		{own("c/b", "c/b/n"), "done offer"},
		{own("d", "d/e/f"), "failed offer taken"},
		{own("d", "d/e/g"), "done offer"},
		{share("c/b/m"), "failed offer taken"},
		{share("c/b/o"), "done offer"},
		{own("c/b/o", "c/b/o"), "failed offer taken"},
		{core.Command{Verb: core.Withdraw, Exclusive: true, Channel: b("c")}, "done withdraw"},
		{own("c", "c/b/n"), "failed offer taken"},
		{own("c", "c/b/m"), "done offer"},
	} {
		wants(t, fmt.Sprintf("%q of %q", c.do.Services, c.do.Channel), x.do(c.do), c.want)
	}
	for name, found := range map[string]bool{"c/b/m": true, "c/b/n": true, "c/b/o": true, "d/e/f": true, "d/e/g": true, "c": false, "c/": false, "c//n": false, "d": false} {
		got := x.do(core.Command{Verb: core.Call, Topic: b(name), OneWay: true})
		if found != strings.Contains(got, "request "+name) {
			t.Errorf("call of %s: %s", name, got)
		}
	}
	x.gone(false)
	wantEmpty(t, w.engine)
}

// A title is the address that it is written as, wherever a prefix ends in it.
func TestTitle(t *testing.T) {
	for _, c := range []struct {
		title title
		whole string
	}{
		{title{channel: "c/d", name: "m/n", below: true}, "c/d/m/n"},
		{title{channel: "", name: "m", below: true}, "/m"},
		{title{channel: "c", name: "/", below: true}, "c//"},
		{title{name: "c/m"}, "c/m"},
		{title{}, ""},
	} {
		if got := string(c.title.appendTo(nil)); got != c.whole {
			t.Errorf("%+v is %q, want %q", c.title, got, c.whole)
		}
		for i := range len(c.whole) + 1 {
			if !c.title.is(c.whole[:i], b(c.whole[i:])) {
				t.Errorf("%q is not %q and %q", c.whole, c.whole[:i], c.whole[i:])
			}
		}
		for _, other := range []string{c.whole + "x", "x" + c.whole, strings.Replace(c.whole, "m", "n", 1) + "/", "c.m"} {
			if c.title.is("", b(other)) {
				t.Errorf("%q is %q", c.whole, other)
			}
		}
	}
}
