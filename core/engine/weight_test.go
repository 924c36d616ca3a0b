package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

// fill has x say commands with ever other long names until the first is refused as too
// many, and returns how many were not.
func fill(t *testing.T, x *link, say func(name string) core.Command) int {
	t.Helper()
	for i := range maxWeight {
		name := fmt.Sprintf("%s%06d", strings.Repeat("x", 65_000), i)
		if said := x.do(say(name)); strings.HasSuffix(said, " overloaded") {
			return i
		} else if !strings.HasPrefix(said, "done ") {
			t.Fatal(said)
		}
	}
	t.Fatal("there is no bound")
	return 0
}

// TestLongNames: a connection's names have a bound together, and what ends makes room.
func TestLongNames(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	const fits = maxWeight / 65_006
	tests := []struct {
		name      string
		say, undo func(name string) core.Command
	}{
		{"topics", sub, func(n string) core.Command { return core.Command{Verb: core.Unsubscribe, Topic: b(n)} }},
		{"all topics", sub, func(string) core.Command { return core.Command{Verb: core.UnsubscribeAll} }},
		{
			"channels", func(n string) core.Command { return own(n) },
			func(n string) core.Command { return core.Command{Verb: core.Withdraw, Exclusive: true, Channel: b(n)} },
		},
		{
			"services", func(n string) core.Command { return share(n) },
			func(n string) core.Command { return core.Command{Verb: core.Withdraw, Services: [][]byte{b(n)}} },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := s.connect(0)
			last := ""
			if n := fill(t, x, func(name string) core.Command { last = name; return tt.say(name) }); n != fits {
				t.Errorf("%d fit, want %d", n, fits)
			}
			first := fmt.Sprintf("%s%06d", strings.Repeat("x", 65_000), 0)
			x.do(tt.undo(first))
			if said := x.do(tt.say(last)); !strings.HasPrefix(said, "done ") {
				t.Error("there is no room again")
			}
			x.gone(false)
		})
	}
	wantEmpty(t, w.engine)
}

// TestDeepPatterns: a pattern weighs what its levels take.
func TestDeepPatterns(t *testing.T) {
	w := newWorld(t, 1)
	x := w.site(core.Endpoint{Limits: core.NewLiveLimits(core.Limits{Patterns: 1 << 17})}).connect(0)
	n := fill(t, x, func(name string) core.Command {
		return subPattern(strings.Repeat("a/", 200) + name[len(name)-6:] + "/+")
	})
	if n < 300 || n > 330 {
		t.Errorf("%d patterns fit", n)
	}
	x.gone(false)
	wantEmpty(t, w.engine)
}
