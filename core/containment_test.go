package core

import (
	"slices"
	"strings"
	"testing"
)

// Patterns overlap if there is a topic that both match: all short ones are tried.
func TestPatternsOverlap(t *testing.T) {
	topics := paths([]string{"a", "b", "", "$a"}, 4)
	patterns := paths([]string{"a", "b", "", "$a", "+", "#"}, 3)
	patterns = append(patterns, "+/+/+/+", "a/+/b/#")
	matched := make(map[string]map[string]bool)
	for _, p := range patterns {
		matched[p] = make(map[string]bool)
		for _, topic := range topics {
			if MatchPattern(p, []byte(topic)) {
				matched[p][topic] = true
			}
		}
	}
	for _, p := range patterns {
		for _, q := range patterns {
			want := false
			for topic := range matched[p] {
				want = want || matched[q][topic]
			}
			if got := PatternsOverlap(p, q); got != want && !MatchesNothing(p) && !MatchesNothing(q) {
				t.Errorf("%q and %q: %v, want %v", p, q, got, want)
			}
		}
	}
}

// paths returns all topics of one to most of these levels.
func paths(levels []string, most int) (all []string) {
	last := [][]string{nil}
	for range most {
		var longer [][]string
		for _, path := range last {
			for _, level := range levels {
				longer = append(longer, append(slices.Clip(path), level))
			}
		}
		for _, path := range longer {
			all = append(all, strings.Join(path, "/"))
		}
		last = longer
	}
	return all
}
