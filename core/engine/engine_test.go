package engine

import (
	"testing"

	"github.com/polywire/polywire/core"
)

// The record of an endpoint lives as long as it has connections, and the trie of a prefix
// as long as an endpoint with the prefix.
func TestEndpointsAreForgotten(t *testing.T) {
	w := newWorld(t, 2)
	one, two := w.site(core.Endpoint{TopicPrefix: "t/"}), w.site(core.Endpoint{TopicPrefix: "t/"})
	counts := func(what string, endpoints, tries int) {
		t.Helper()
		if e := w.engine; len(e.endpoints) != endpoints || len(e.tries) != tries {
			t.Errorf("%s: %d endpoints and %d tries, want %d and %d", what, len(e.endpoints), len(e.tries), endpoints, tries)
		}
	}
	a, b, c := one.connect(0), one.connect(1), two.connect(0)
	counts("all are there", 2, 1)
	b.do(subPattern("x/+"))
	c.do(subPattern("x/#"))
	a.gone(true)
	b.gone(true)
	counts("two left", 1, 1)
	a = one.connect(0)
	a.do(subPattern("x/+"))
	a.said()
	c.said()
	wants(t, "one is back and hears", c.do(pub("x/y", "1")), "done publish x/y; message x/y =1")
	wants(t, "one is back and hears", a.said(), "message x/y =1")
	a.gone(true)
	c.gone(true)
	counts("all left", 0, 0)
	wantEmpty(t, w.engine)
}
