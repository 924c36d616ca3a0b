package engine

import (
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/sessions"
)

// lockWatch is a core.Access that allows all, and looks whether the engine holds its lock.
type lockWatch struct{ w *world }

func (a lockWatch) May(*core.Identity, core.Right, []byte, bool) bool {
	a.w.outside("Access.May")
	return true
}

// Nobody else's code runs under the engine's lock: it may be slow, panic, or come back to
// the engine.
func TestNoForeignCodeUnderTheLock(t *testing.T) {
	w := newWorld(t, 2)
	w.strict = true
	s := w.site(core.Endpoint{Access: lockWatch{w}, Sessions: sessions.NewMemory(), TopicPrefix: "in/"})
	other := w.site(core.Endpoint{Access: lockWatch{w}})
	x, y, z := s.connect(0), s.connect(1), other.connect(0)
	for _, c := range []core.Command{
		sub("c/t"), subAs("c/t", 3), subPattern("c/#"), subPattern("+/t"), sub("$serve/s/t"), share("s/u"), own("c", "c/m"),
		pub("c/t", "m"), pubAsOwner("c", "c/t"),
	} {
		wants(t, c.Verb.String(), x.do(c)[:4], "done")
	}
	wants(t, "into a channel of another", y.do(pub("c/t", "m")), "done publish c/t")
	wants(t, "from outside", z.do(pub("in/c/t", "m")), "done publish in/c/t")
	x.said()
	for _, service := range []string{"s/t", "s/u", "c/m", "nobody"} {
		y.do(ask(service, "q"))
	}
	w.pass(defaultTimeout * 2)
	y.do(ask("c/m", "q"))
	x.do(core.Command{Verb: core.Withdraw, Exclusive: true, Channel: b("c")}, unsub("c/t"), core.Command{Verb: core.UnsubscribeAll})
	for _, l := range []*link{x, y, z} {
		l.gone(false)
	}
	w.pump()
	wantEmpty(t, w.engine)
}
