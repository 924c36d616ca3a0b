package engine

import (
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// Counts follow what connections subscribe to, own and offer, until they are gone.
func TestCounts(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	wants := func(what string, want Counts) {
		t.Helper()
		if got := w.engine.Counts(); got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	wants("at first", Counts{})
	a, b := s.connect(0), s.connect(0)
	a.do(sub("t"), subPattern("t/#"), subPattern("u/+"), own("c", "c/x", "c/y"), share("s"))
	b.do(sub("t"), subPattern("t/#"), share("s"), own("c/below"))
	wants("with two connections", Counts{Patterns: 2, Channels: 1, Services: 3})
	a.gone(true)
	w.pump()
	wants("with one", Counts{Patterns: 1, Services: 1})
	b.gone(true)
	w.pump()
	wants("with none", Counts{})
}

// All calls are measured while they are few, and of many some, failed ones too.
func TestCallTimes(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	x, y := s.connect(0), s.connect(0)
	y.do(share("s"))
	count := func(d *core.Durations) (n uint64) {
		for _, c := range d.Read().Counts {
			n += c
		}
		return n
	}
	wants := func(what string, ok, failed uint64) {
		t.Helper()
		times := &s.Stats.CallTimes
		if count(&times.OK) != ok || count(&times.Failed) != failed {
			t.Errorf("%s: %d ok and %d failed, want %d and %d", what, count(&times.OK), count(&times.Failed), ok, failed)
		}
	}
	asks := func() {
		t.Helper()
		x.do(ask("s", "q"))
		id := y.asked()
		w.stand(3 * time.Second)
		y.do(reply(id, "a"))
	}
	asks()
	asks()
	wants("answered", 2, 0)
	if sum := s.Stats.CallTimes.OK.Read().Sum; sum != 6 {
		t.Errorf("they took %v s, want 6", sum)
	}
	w.stand(time.Second)
	x.do(ask("s", "q"))
	y.gone(true)
	w.pump()
	wants("one whose answerer leaves", 2, 1)
	z := s.connect(0)
	z.do(share("s"))
	w.stand(time.Second)
	for range 1 + 2*timedShare {
		x.do(ask("s", "q"))
		z.do(reply(z.asked(), "a"))
	}
	wants("many at once", 2+1+2, 1)
}
