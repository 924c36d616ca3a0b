package engine

import (
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

// Who does not read fast enough is not asked: another one answers, or the call fails before
// it was taken.
func TestSlowAnswerer(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y, z := s.connect(0), s.connect(0), s.connect(0)
	y.do(share("s"))
	z.do(share("s"))
	y.said()
	z.said()
	big := strings.Repeat("x", 100)
	y.room = 50
	for range 4 {
		wants(t, "the other one is asked", x.do(ask("s", big)), "done call s@7 #r")
		z.said()
	}
	wants(t, "not this one", y.said(), "")
	z.room = 50
	wants(t, "nobody", x.do(ask("s", big)), "failed call s@7 #r overloaded")
	once := ask("s", big)
	once.OneWay = true
	wants(t, "nobody, one-way", x.do(once), "failed call s@7 #r overloaded")
	wants(t, "by topic", x.do(pub("$call/1/s", big)), `done publish $call/1/s; message $error/1 ={"code":"overloaded","text":"the answerer does not read as fast as it is asked"}`)
	wantCount(t, &s.Stats.CallsFailed, core.ReasonOverload, 3)
	wants(t, "small ones go on", x.do(ask("s", "q")), "done call s@7 #r")

	// It found out later.
	y.room, z.room = 0, 0
	z.gone(false)
	x.said()
	x.do(ask("s", "q"))
	y.heard = y.heard[len(y.heard)-1:]
	y.peer.RequestUndeliverable(y.asked(), core.ReasonOverload)
	w.pump()
	wants(t, "told later", x.said(), "failed call s@7 #r overloaded")
	wantCount(t, &s.Stats.CallsFailed, core.ReasonOverload, 4)
}
