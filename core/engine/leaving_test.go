package engine

import (
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/sessions"
)

// A connection that is about to close owns nothing from then on: also not by a command of
// its last message, or by one that was off the loop meanwhile. It hears on until it is gone.
func TestLeaving(t *testing.T) {
	w := newWorld(t, 1)
	g := newGuard()
	s := w.site(core.Endpoint{Sessions: sessions.NewMemory(), MaxSessionConnections: 1})
	judged := w.site(core.Endpoint{Authorizer: g})
	x, y, z := s.connect(0), s.connect(0), judged.connect(0)
	x.do(own("c", "c/m"), share("s"), sub("t"))
	key := x.open()
	wants(t, "the session is full", y.elsewhere(restore(key)), "failed restore_session #r session_full")

	x.peer.Leaving()
	wants(t, "the channel is free", y.do(own("c", "c/m")), "done offer")
	wants(t, "and the service", y.do(ask("s", "q")), "failed call s@7 #r no_service")
	wants(t, "and the place in the session", y.elsewhere(restore(key)), "session_opened restore_session #r")
	wants(t, "nothing more is carried out", x.do(own("d")), "")
	y.do(pub("t", "m"))
	wants(t, "it hears on", x.said(), "message t =m")

	z.message(own("d"))
	<-g.asked
	z.peer.Leaving()
	g.say <- core.Allow
	z.loop.await()
	w.pump()
	wants(t, "what was off the loop", z.said(), "failed offer gone")
	wants(t, "it owns nothing", y.do(own("d")), "done offer")
	wantCount(t, &judged.Stats.Refused, core.ReasonGone, 1)
	for _, l := range []*link{x, y, z} {
		l.gone(false)
	}
	wantEmpty(t, w.engine)
}
