package roster

import (
	"fmt"
	"slices"
	"testing"

	"github.com/polywire/polywire/core"
)

// heardOwners keeps what the engine is told of owners.
type heardOwners struct {
	core.Cluster
	said []string
}

func (h *heardOwners) Owned(by core.NodeID, c core.Claim) {
	h.said = append(h.said, fmt.Sprint(by, " has ", c.Channel))
}

func (h *heardOwners) Freed(by core.NodeID, channel string) {
	h.said = append(h.said, fmt.Sprint(by, " frees ", channel))
}

// The engine knows the channels of the nodes that can be reached, and hears of each change once.
func TestOwners(t *testing.T) {
	now := map[core.NodeID][]Holding{}
	h := new(heardOwners)
	o := NewOwners(func(n core.NodeID) []Holding { return now[n] })
	o.Start(h)
	holding := func(n core.NodeID, channel string, key int) Holding {
		return Holding{Node: n, Claim: core.Claim{Channel: channel}, Key: key}
	}
	gets := func(one Holding) {
		now[one.Node] = append(now[one.Node], one)
		o.Owned(one)
	}
	frees := func(one Holding) {
		now[one.Node] = slices.DeleteFunc(now[one.Node], func(other Holding) bool {
			return other.Claim.Channel == one.Claim.Channel && other.Key == one.Key
		})
		o.Freed(one)
	}
	wants := func(what string, want ...string) {
		t.Helper()
		if !slices.Equal(h.said, want) {
			t.Errorf("%s: the engine hears %q, want %q", what, h.said, want)
		}
		h.said = nil
	}
	x1, y := holding("a", "x", 1), holding("a", "y", 1)
	gets(x1)
	gets(y)
	wants("two channels", "a has x", "a has y")
	o.Gone("a")
	frees(y)
	gets(holding("a", "z", 1))
	wants("a node that is gone")
	o.Heard("a")
	wants("it is back", "a has x", "a has z")
	o.Heard("a")
	wants("it is there")
	o.Freed(holding("a", "x", 2))
	o.Freed(holding("b", "x", 1))
	wants("another holding ends")
	frees(x1)
	wants("this one ends", "a frees x")
	o.Gone("a")
	frees(holding("a", "z", 1))
	gets(holding("a", "v", 1))
	wants("it has none when it comes back unheard", "a has v")
	o.Gone("never seen")
	gets(holding("never seen", "w", 1))
	wants("of a node without channels", "never seen has w")
}
