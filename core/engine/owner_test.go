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
	if n := len(w.engine.services["c/m"].offers); n != 1 {
		t.Errorf("%d offers of a service that was named twice", n)
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
		{x, own("c", "c/new", "c/a"), "failed offer taken"},
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
