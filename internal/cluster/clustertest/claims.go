package clustertest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// testClaims: a channel has one owner, whom all know, also those who come later.
func testClaims(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b", "c")
	a, b := all[0], all[1]
	a.gets(t, "ready")
	// An engine within the nodes may need a majority of them: c is away only meanwhile.
	all[2].leave()
	a.gets(t, "x", "", "m", "n/o")
	a.owns(t, "x", Owner{"", " m n/o"})
	b.owns(t, "x", Owner{a.ID, " m n/o"})
	if !a.Holds() {
		t.Error("a does not hold what it has got")
	}
	for channel, want := range map[string]core.Code{"x": core.Taken, "x/y": core.NotOwner, "x/": core.NotOwner} {
		if f := b.claims(t, channel); f.Code != want {
			t.Errorf("b claims %q: %v, want %s", channel, f, want)
		}
	}
	b.gets(t, "xy", "s")
	b.gets(t, "p/q/r")
	for channel, want := range map[string]core.Code{"p": core.NotOwner, "p/q": core.NotOwner, "p/q/r": core.Taken, "p/q/r/s/t": core.NotOwner} {
		if f := a.claims(t, channel); f.Code != want {
			t.Errorf("a claims %q: %v, want %s", channel, f, want)
		}
	}
	for _, channel := range []string{"p/q/", "p/q/rs", "", "Ünï code", "a.b.*.>", "=", "$x"} {
		if f := a.claims(t, channel, "s"); f.Failed() {
			t.Errorf("a claims %q: %v", channel, f)
		}
		b.owns(t, channel, Owner{a.ID, "s"})
	}
	c := w.node(t, "c")
	for _, channel := range []string{"x", "p/q/", "p/q/rs", "", "Ünï code", "a.b.*.>", "=", "$x"} {
		services := "s"
		if channel == "x" {
			services = " m n/o"
		}
		c.owns(t, channel, Owner{a.ID, services})
	}
	c.owns(t, "p/q/r", Owner{b.ID, ""})
	c.owns(t, "xy", Owner{b.ID, "s"})

	a.releases("x")
	b.frees(t, "x")
	c.frees(t, "x")
	b.gets(t, "x/y")
	a.owns(t, "x/y", Owner{b.ID, ""})
	// A claim of a node comes after its release.
	b.releases("x/y")
	b.gets(t, "x/y", "other")
	a.owns(t, "x/y", Owner{b.ID, "other"})
	b.releases("x/y")
	b.gets(t, "x")
	a.owns(t, "x", Owner{b.ID, ""})
}

// testClaimsAtOnce: of nodes that claim a channel at once, exactly one gets it.
func testClaimsAtOnce(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b", "c")
	for i, m := range all {
		m.gets(t, fmt.Sprint("ready/", i))
	}
	for round := range 30 {
		channel := fmt.Sprint("race/", round%3)
		atOnce(t, all, func(int) string { return channel }, core.Taken)
	}
}

// testNestedClaims: of nodes that claim channels at once that lie in one another, exactly one
// gets its own.
func testNestedClaims(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b", "c")
	for i, m := range all {
		m.gets(t, fmt.Sprint("ready/", i))
	}
	names := []string{"r", "r/s", "r/s/t"}
	for round := range 30 {
		atOnce(t, all, func(i int) string { return names[(i+round)%3] }, core.NotOwner)
	}
}

// atOnce lets all claim at once, and the one that got its channel release it.
func atOnce(t *testing.T, all []*member, channel func(i int) string, refused core.Code) {
	t.Helper()
	outcomes := make([]core.Failure, len(all))
	var claiming sync.WaitGroup
	for i, m := range all {
		claiming.Go(func() { outcomes[i] = m.claims(t, channel(i)) })
	}
	claiming.Wait()
	winner := -1
	for i, f := range outcomes {
		switch {
		case !f.Failed() && winner >= 0:
			t.Fatalf("%s and %s got %q and %q", all[winner].name, all[i].name, channel(winner), channel(i))
		case !f.Failed():
			winner = i
		case f.Code != refused:
			t.Errorf("%s claims %q: %v, want %s", all[i].name, channel(i), f, refused)
		}
	}
	if winner < 0 {
		t.Fatalf("nobody got %q: %v", channel(0), outcomes)
	}
	for i, m := range all {
		if i != winner {
			m.owns(t, channel(winner), Owner{By: all[winner].ID})
		}
	}
	all[winner].releases(channel(winner))
	for _, m := range all {
		m.frees(t, channel(winner))
	}
}

// testClaimOrder: all nodes are told of channels in one order, their own included.
func testClaimOrder(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b", "c")
	const each = 40
	var claiming sync.WaitGroup
	for _, m := range all {
		m.gets(t, "ready/"+m.name)
		for i := range each {
			claiming.Go(func() { m.gets(t, fmt.Sprintf("order/%s/%d", m.name, i)) })
		}
	}
	claiming.Wait()
	count := len(all) * (each + 1)
	for _, m := range all {
		coretest.Eventually(t, m.name+" is told of all channels", func() bool { return len(m.given()) >= count })
		if !slices.Equal(m.given(), all[0].given()) {
			t.Errorf("%s and a are told in different orders:\n%v\n%v", m.name, m.given(), all[0].given())
		}
	}
}

// testGrantFails: a channel that its node does not take is free again.
func testGrantFails(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b", "c")
	a, b := all[0], all[1]
	a.gets(t, "ready")
	want := core.Failure{Code: "left", Text: "the client has left"}
	c := core.Claim{Channel: "x"}
	if f := a.Claim(t.Context(), c, a.Grant(c, want)); f != want {
		t.Errorf("the claim ends with %v, want %v", f, want)
	}
	a.gets(t, "x/y")
	b.owns(t, "x/y", Owner{By: a.ID})
	a.releases("x/y")
	b.frees(t, "x/y")
	b.gets(t, "x")
	a.owns(t, "x", Owner{By: b.ID})
}

// testClaimsOfTheDead: the channels of a node that was killed are free, and others get them.
func testClaimsOfTheDead(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b", "c")
	a, b, c := all[0], all[1], all[2]
	for i := range 5 {
		a.gets(t, fmt.Sprint("x/", i))
	}
	b.gets(t, "mine")
	for i := range 5 {
		b.owns(t, fmt.Sprint("x/", i), Owner{By: a.ID})
		c.owns(t, fmt.Sprint("x/", i), Owner{By: a.ID})
	}
	began := time.Now()
	a.kill()
	for i := range 5 {
		b.frees(t, fmt.Sprint("x/", i))
		c.frees(t, fmt.Sprint("x/", i))
	}
	t.Logf("the channels are free after %v", time.Since(began))
	b.gets(t, "x/0")
	c.gets(t, "x/1/y")
	b.owns(t, "x/1/y", Owner{By: c.ID})
	c.owns(t, "x/0", Owner{By: b.ID})
	t.Logf("others have them after %v", time.Since(began))
	b.owns(t, "mine", Owner{})
}

// testClaimsOfTheLeaving: the channels of a node that leaves are free at once.
func testClaimsOfTheLeaving(t *testing.T, w *world) {
	all := w.nodes(t, "a", "b", "c")
	a, b := all[0], all[1]
	a.gets(t, "x")
	b.gets(t, "y")
	b.owns(t, "x", Owner{By: a.ID})
	a.leave()
	b.frees(t, "x")
	b.gets(t, "x/z")
	if lost := a.losses(); len(lost) > 0 {
		t.Errorf("who leaves is told that it has lost %q", lost)
	}
}

// cuttable returns nodes of which the first can be cut off, or skips the test.
func cuttable(t *testing.T, w *world, names ...string) []*member {
	t.Helper()
	all := w.nodes(t, names...)
	if all[0].Cut == nil {
		t.Skip("the nodes of this engine cannot be cut off")
	}
	return all
}

// testAwayShortly: after the engine was away all is as before.
func testAwayShortly(t *testing.T, w *world) {
	all := cuttable(t, w, "a", "b")
	a, b := all[0], all[1]
	i := pattern("away/#", "")
	w.hears(t, a, b, i, "away/x")
	w.hears(t, b, a, i, "away/y")
	a.serves(true, "s")
	b.serves(true, "s")
	a.knows(t, b, "s")
	b.knows(t, a, "s")
	a.gets(t, "mine")
	b.gets(t, "yours")
	a.owns(t, "yours", Owner{By: b.ID})
	b.owns(t, "mine", Owner{By: a.ID})

	a.Cut()
	// What changes meanwhile is told when the engine is back.
	a.serves(true, "t")
	a.serves(false, "s")
	other := pattern("other/#", "")
	other.On = true
	a.Hear([]core.Interest{other})
	coretest.Eventually(t, "who is cut off cannot ask", func() bool {
		return a.Ask(b.ID, core.Question{Call: core.NewCallID(), Service: []byte("s"), Timeout: time.Minute}).Failed()
	})
	a.Publish([]byte("away/lost"), text("x"), nil)
	a.Restore()

	w.synced(t, a, b)
	w.synced(t, b, a)
	b.knows(t, a, "t")
	a.knows(t, b, "s")
	w.hears(t, a, b, pattern("more/#", ""), "more/x")
	for _, topic := range []string{"away/x", "other/x"} {
		before := len(a.got(topic))
		b.Publish([]byte(topic), text("again"), nil)
		w.synced(t, b, a)
		if got := a.got(topic)[before:]; len(got) != 1 {
			t.Errorf("on %q came %d messages after the engine was away", topic, len(got))
		}
	}
	if got := b.got("away/lost"); len(got) > 1 {
		t.Errorf("a message came %d times", len(got))
	}
	a.owns(t, "mine", Owner{})
	a.owns(t, "yours", Owner{By: b.ID})
	b.owns(t, "mine", Owner{By: a.ID})
	if lost := a.losses(); len(lost) > 0 {
		t.Errorf("a has lost %q", lost)
	}
	a.gets(t, "new")
	b.owns(t, "new", Owner{By: a.ID})
	b.releases("yours")
	a.frees(t, "yours")
}

// testAwayLong: who is cut off for longer than its lease loses its channels, on its own side
// and for the others, and can claim again later.
func testAwayLong(t *testing.T, w *world) {
	all := cuttable(t, w, "a", "b")
	a, b := all[0], all[1]
	a.gets(t, "x", "s")
	a.gets(t, "y")
	b.gets(t, "z")
	b.owns(t, "x", Owner{a.ID, "s"})
	a.serves(true, "s")
	b.knows(t, a, "s")
	a.Cut()
	coretest.Eventually(t, "a loses its channels", func() bool { return slices.Equal(a.losses(), []string{"x", "y"}) })
	coretest.Eventually(t, "b sees that a is gone", func() bool { return b.goneTimes(a.ID) > 0 })
	if f := a.claims(t, "w"); f.Code != core.Unreachable {
		t.Errorf("who is cut off claims: %v", f)
	}
	b.gets(t, "x")
	if a.Holds() {
		t.Error("a holds what another node has got")
	}
	a.Restore()
	w.synced(t, a, b)
	b.knows(t, a, "s")
	a.owns(t, "x", Owner{By: b.ID})
	a.owns(t, "z", Owner{By: b.ID})
	a.gets(t, "y")
	if !a.Holds() {
		t.Error("a does not hold what it has got again")
	}
	b.owns(t, "y", Owner{By: a.ID})
	a.gets(t, "w")
	if f := a.claims(t, "x"); f.Code != core.Taken {
		t.Errorf("a claims what b has: %v", f)
	}
}
