package engine

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

// A trie means what core.MatchPattern means, whatever is added and removed.
func TestTrieIsMatchPattern(t *testing.T) {
	levels := []string{"", "", "a", "b", "$a", "+", "+x", "#", "#x", "a+", "c#", "$"}
	r := rand.New(rand.NewPCG(1, 2))
	name := func() string {
		parts := make([]string, 1+r.IntN(4))
		for i := range parts {
			parts[i] = levels[r.IntN(len(levels))]
		}
		return strings.Join(parts, "/")
	}
	var matched int
	for range 300 {
		tr := newTrie("")
		for range 1 + r.IntN(60) {
			p := name()
			if !core.HasWildcard(p) {
				continue
			}
			if a := tr.patterns[p]; a != nil && r.IntN(2) == 0 {
				tr.remove(a)
				continue
			}
			a := tr.add(p)
			a.audiences = []*audience{{address: a}}
		}
		for range 30 {
			topic := name()
			var want, got []string
			for p := range tr.patterns {
				if core.MatchPattern(p, []byte(topic)) {
					want = append(want, p)
				}
			}
			for _, aud := range tr.match([]byte(topic), nil) {
				got = append(got, aud.address.name)
			}
			slices.Sort(want)
			slices.Sort(got)
			matched += len(want)
			if !slices.Equal(got, want) {
				t.Fatalf("topic %q: got %q, want %q, of %d patterns", topic, got, want, len(tr.patterns))
			}
		}
		for _, a := range tr.patterns {
			tr.remove(a)
		}
		if !tr.root.empty() {
			t.Fatal("nodes are left without patterns")
		}
	}
	if matched < 1000 {
		t.Errorf("only %d matches: the test tests little", matched)
	}
}

// Patterns of nothing but wildcards make a match no larger than what exists.
func TestTrieVisitsNoNodeTwice(t *testing.T) {
	tr := newTrie("")
	deep := strings.Repeat("+/", maxLevels-1)
	for _, p := range []string{deep + "+", deep + "#", deep + "x", strings.Repeat("/", maxLevels-2) + "/+"} {
		a := tr.add(p)
		a.audiences = []*audience{{address: a}}
	}
	topic := []byte(strings.Repeat("a/", maxLevels-1) + "a")
	if got := len(tr.match(topic, nil)); got != 3 {
		t.Errorf("%d patterns match, want 3", got)
	}
	allocs := testing.AllocsPerRun(10, func() { tr.match(topic, make([]*audience, 0, 8)) })
	if allocs > 1 {
		t.Errorf("a match allocates %v times", allocs)
	}
}
