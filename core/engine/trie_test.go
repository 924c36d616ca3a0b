package engine

import (
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

// patternLevels are what random patterns and topics are made of.
var patternLevels = []string{
	"", "", "a", "b", "$a", "+", "+x", "+y", "#", "#x", "a+", "c#", "$",
	long("x"), long("y"), long("+"), long("#"), long("$"), nameOf(1), unknownLevel, unknownLevel[1:],
}

// long returns a level that is longer than those that a trie keeps as they are.
func long(start string) string { return start + strings.Repeat("-", longLevel) }

func randomName(r *rand.Rand) string {
	parts := make([]string, 1+r.IntN(4))
	for i := range parts {
		parts[i] = patternLevels[r.IntN(len(patternLevels))]
	}
	return strings.Join(parts, "/")
}

// A trie means what core.MatchPattern means, whatever is added and removed, and gives
// each address once. Patterns have an address together exactly if they are the same but
// for the names of wildcards, or match nothing.
func TestTrieIsMatchPattern(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var matched, shared int
	for range 300 {
		tr := newTrie("")
		names := map[string]*address{} // what was added, under every name
		for range 1 + r.IntN(60) {
			p := randomName(r)
			if !core.HasWildcard(p) {
				continue
			}
			a := tr.find(p)
			for other, same := range names {
				if alike := canonicalPattern(other) == canonicalPattern(p); alike != (same == a) {
					t.Fatalf("%q and %q have an address together: %v, want %v", p, other, same == a, alike)
				}
			}
			if a != nil && r.IntN(2) == 0 {
				tr.remove(a)
				maps.DeleteFunc(names, func(_ string, other *address) bool { return other == a })
				continue
			}
			if a != nil {
				shared++
			}
			a = tr.add(p)
			a.audiences = []*audience{{address: a}}
			names[p] = a
		}
		for range 30 {
			topic := randomName(r)
			want := map[*address]bool{}
			for p, a := range names {
				if core.MatchPattern(p, []byte(topic)) {
					want[a] = true
				}
			}
			got := map[*address]bool{}
			for _, aud := range tr.match([]byte(topic), nil) {
				if got[aud.address] {
					t.Fatalf("topic %q: an address twice", topic)
				}
				got[aud.address] = true
			}
			matched += len(want)
			if !maps.Equal(got, want) {
				t.Fatalf("topic %q: %d addresses, want %d, of %d patterns", topic, len(got), len(want), len(names))
			}
		}
		for _, a := range names {
			if *a.place.address() == a {
				tr.remove(a)
			}
		}
		if !tr.root.empty() || tr.size != 0 || tr.nothing.end != nil {
			t.Fatal("nodes are left without patterns")
		}
		if len(tr.long.byText) != 0 || len(tr.long.byName) != 0 {
			t.Fatal("names of long levels are left without patterns")
		}
	}
	if matched < 1000 || shared < 300 {
		t.Errorf("only %d matches, %d of them shared: the test tests little", matched, shared)
	}
}

// However long the levels of patterns and topics are, what is looked at again at each node is
// short.
func TestLongLevelsAreLookedAtOnce(t *testing.T) {
	tr := newTrie("")
	huge := strings.Repeat("x", 60_000)
	for _, p := range []string{"+/" + huge, "a/" + huge + "/#", "/" + huge + "/" + huge + "y", "+/" + huge + "/+"} {
		tr.add(p)
	}
	var look func(n *trieNode)
	look = func(n *trieNode) {
		for level, child := range n.literal {
			if len(level) > longLevel+1 {
				t.Errorf("a level of %d bytes is looked at", len(level))
			}
			look(child)
		}
		for _, child := range []*trieNode{n.plus, n.any} {
			if child != nil {
				look(child)
			}
		}
	}
	look(&tr.root)
	topic := []byte("a/" + huge + "/" + huge + "/b")
	if got, most := len(tr.long.abridge(topic)), 5+2*(longLevel+1); got > most {
		t.Errorf("a topic of %d bytes is matched as one of %d, want %d", len(topic), got, most)
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
