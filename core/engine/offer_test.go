package engine

import (
	"context"
	"testing"

	"github.com/polywire/polywire/core"
)

// oracle is a decider that asks elsewhere: off the loop, and before the engine.
type oracle struct {
	asked chan *pendingOffer
	say   chan refusal
}

func (d oracle) decide(p *peer, o *pendingOffer, decided func(refusal)) {
	p.offLoop(func(_ context.Context, resume func(func()) bool) {
		d.asked <- o
		r := <-d.say
		resume(func() {
			if !r.Failed() {
				r = p.take(o)
			}
			decided(r)
		})
	})
}

// says lets the oracle decide l's next offer, and returns what l heard.
func (d oracle) says(l *link, r refusal) string {
	<-d.asked
	d.say <- r
	return l.settled()
}

// An offer may be decided later: the connection is held meanwhile, what it sent behind the
// offer waits, and nobody owns what was not decided.
func TestOfferDecidedLater(t *testing.T) {
	w := newWorld(t, 1)
	d := oracle{make(chan *pendingOffer), make(chan refusal)}
	w.engine.decide = d.decide
	s := w.site(core.Endpoint{})
	x, y := s.connect(0), s.connect(0)

	offer := own("c", "c/m")
	offer.Ref = b("1")
	x.message(offer)
	x.direct(pubAsOwner("c", "c/t"))
	x.message(ask("c/m", "q"))
	wants(t, "not decided", x.said(), "")
	if x.held != 1 {
		t.Errorf("held %d times while an offer is decided", x.held)
	}
	wants(t, "nobody owns it", y.do(pub("c/t", "m")), "done publish c/t unheard")
	wants(t, "decided, and what came behind", d.says(x, refusal{}), "done offer #1; done publish c/t unheard; done call c/m@7 #r; request c/m =q")
	wants(t, "somebody owns it", y.do(pub("c/t", "m")), "failed publish c/t not_owner")

	y.message(own("d"))
	wants(t, "refused elsewhere", d.says(y, refusedTaken), "failed offer taken")
	y.message(own("c"))
	wants(t, "refused here", d.says(y, refusal{}), "failed offer taken")
	y.message(sub("$serve/s"))
	wants(t, "refused, by topic", d.says(y, refusedWithin), "failed subscribe $serve/s not_owner")
	wantCount(t, &s.Stats.Refused, core.ReasonTaken, 3)
	wants(t, "nobody offers it", x.do(ask("s", "q")), "failed call s@7 #r no_service")
	y.message(sub("$serve/s"))
	wants(t, "by topic", d.says(y, refusal{}), "done subscribe $serve/s")
	wants(t, "it is offered", x.do(ask("s", "q")), "done call s@7 #r")

	y.gone(false)
	x.gone(false)
	w.pump()
	wantEmpty(t, w.engine)
}

// What is decided for a connection that is leaving, or gone, is not taken.
func TestOfferDecidedTooLate(t *testing.T) {
	w := newWorld(t, 1)
	d := oracle{make(chan *pendingOffer), make(chan refusal)}
	w.engine.decide = d.decide
	s := w.site(core.Endpoint{})
	x, y, z := s.connect(0), s.connect(0), s.connect(0)

	x.message(own("c"))
	y.message(share("s"))
	for range 2 {
		<-d.asked
	}
	x.peer.Leaving()
	y.gone(false)
	for range 2 {
		d.say <- refusal{}
	}
	for x.heard == nil {
		x.loop.await()
		w.pump()
	}
	wants(t, "leaving", x.said(), "failed offer gone")
	wants(t, "gone", y.said(), "")
	x.gone(false)
	z.message(own("c"))
	wants(t, "it is free", d.says(z, refusal{}), "done offer")
	wants(t, "nobody offers the other", z.do(ask("s", "q")), "failed call s@7 #r no_service")
	z.gone(false)
	w.pump()
	wantEmpty(t, w.engine)
}
