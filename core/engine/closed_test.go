package engine

import (
	"testing"

	"github.com/polywire/polywire/core"
)

// The last connections that have ended are remembered, the last one first, and no more of them than may be.
func TestClosed(t *testing.T) {
	w := newWorld(t, 1)
	if all := w.engine.Closed(); len(all) != 0 {
		t.Errorf("at first there are %d", len(all))
	}
	s := w.site(core.Endpoint{Name: "e", Protocol: "p"})
	var last uint64
	for n := range maxClosed + 5 {
		x := s.connect(0)
		last = x.id
		x.peer.Gone(core.ReasonSlow)
		all := w.engine.Closed()
		if len(all) != min(n+1, maxClosed) {
			t.Fatalf("of %d there are %d", n+1, len(all))
		}
		if one := all[0]; one.ID != last || one.Endpoint != "e" || one.Protocol != "p" || one.Reason != core.ReasonSlow || one.Closed.IsZero() {
			t.Fatalf("the last one is %+v", one)
		}
	}
	for i, one := range w.engine.Closed() {
		if one.ID != last-uint64(i) {
			t.Fatalf("%d is number %d", one.ID, i)
		}
	}
}
