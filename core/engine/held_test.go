package engine

import (
	"context"
	"strings"
	"testing"
	"unsafe"

	"github.com/polywire/polywire/core"
)

func askWithRef(service, ref string, oneWay bool) core.Command {
	c := ask(service, "q")
	c.Ref, c.OneWay = b(ref), oneWay
	return c
}

// The ref of a call is kept until the call ends, so it may not be long; that of a one-way
// call is not kept.
func TestLongRefs(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y := s.connect(0), s.connect(0)
	y.do(share("s"))
	longest, longer := strings.Repeat("r", maxRef), strings.Repeat("r", maxRef+1)
	wants(t, "the longest", x.do(askWithRef("s", longest, false)), "done call s@7 #"+longest)
	wants(t, "a longer one", x.do(askWithRef("s", longer, false)), "failed call s@7 #"+longer+" invalid")
	wants(t, "of a service that nobody has", x.do(askWithRef("no", longer, false)), "failed call no@7 #"+longer+" invalid")
	wantCount(t, &s.Stats.Refused, core.ReasonTooLarge, 2)
	wants(t, "of a one-way call", x.do(askWithRef("s", longer, true)), "done call s@7 #"+longer)
	for _, c := range w.engine.calls.byID {
		if cap(c.words) > 2*maxRef {
			t.Errorf("a call keeps %d bytes", cap(c.words))
		}
	}
	y.gone(false)
	x.gone(false)
	wantEmpty(t, w.engine)
}

// A name of 64 KiB is kept once, by who offers it, not with each call.
func TestCallsKeepNoNames(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{TopicPrefix: "in/"})
	x, y := s.connect(0), s.connect(0)
	name := strings.Repeat("n", maxAddress)
	y.do(share(name))
	x.do(ask(name, "q"))
	kept := w.engine.services["in/"+name].name
	for _, c := range w.engine.calls.byID {
		if string(c.topic(new(scratch))) != name || unsafe.StringData(c.title.name) != unsafe.StringData(kept) {
			t.Error("the call has a name of its own")
		}
	}
	y.gone(false)

	z, channel := s.connect(0), name[:maxAddress-2]
	z.do(own(channel, channel+"/m"))
	x.do(ask(channel+"/m", "q"))
	for _, c := range w.engine.calls.byID {
		owned := w.engine.channels.get("in/" + channel)
		if string(c.topic(new(scratch))) != channel+"/m" || unsafe.StringData(c.title.channel) != unsafe.StringData(owned.name) {
			t.Error("the call has a name of its own")
		}
	}
	z.gone(false)
}

// What Go handlers hold is bounded: for all together, and for one connection, so that
// there is room for others. Everybody may have a little.
func TestHeldByHandlers(t *testing.T) {
	w := newWorld(t, 1)
	w.engine.calls.memory.budget = 8 << 20
	s := w.site(core.Endpoint{})
	release := make(chan struct{})
	w.engine.Handle("s", func(context.Context, core.Invocation) (core.Payload, error) {
		<-release
		return core.Payload{}, nil
	})
	give := func(l *link, size int, oneWay bool) string {
		c := ask("s", strings.Repeat("x", size))
		c.OneWay = oneWay
		said := l.do(c)
		return strings.TrimSuffix(said, " one-way")
	}
	const ok, refused = "done call s@7 #r", "failed call s@7 #r overloaded"
	greedy := s.connect(0)
	wants(t, "one", give(greedy, 600<<10, false), ok)
	wants(t, "more than its part", give(greedy, 600<<10, false), refused)
	wants(t, "one-way too", give(greedy, 600<<10, true), refused)
	wants(t, "what fits its part", give(greedy, 300<<10, true), ok)
	big := s.connect(0)
	wants(t, "one call may be as big as there is room", give(big, 5<<20, false), ok)
	other := s.connect(0)
	wants(t, "there is no room left", give(other, 3<<20, false), refused)
	wants(t, "a little is always possible", give(other, 60<<10, false), ok)
	wants(t, "but no more", give(other, 3<<20, false), refused)
	wantCount(t, &s.Stats.CallsFailed, core.ReasonOverload, 4)

	// Who leaves, and whose time is up, is held by the handlers still.
	big.gone(false)
	w.pass(2 * defaultTimeout)
	other.said()
	wants(t, "no room", give(other, 3<<20, false), refused)
	close(release)
	w.engine.drainHandlers()
	w.pump()
	other.said()
	wants(t, "all of it is free", give(other, 7<<20, false)[:len(ok)], ok)
	w.engine.drainHandlers()
	w.pump()
	if held := w.engine.calls.memory.held; held != 0 {
		t.Errorf("%d bytes are held by nobody", held)
	}
	for _, l := range []*link{greedy, other} {
		if l.peer.(*peer).party.calls.held != 0 {
			t.Errorf("%d bytes are held by nobody", l.peer.(*peer).party.calls.held)
		}
		l.gone(false)
	}
	wantEmpty(t, w.engine)
}
