package config

import (
	"fmt"

	"github.com/agnivade/levenshtein"
)

// suggest returns `; did you mean "x"?` with the candidate nearest to word, or
// nothing if none is near.
func suggest(word string, candidates []string) string {
	best, distance := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		if d := levenshtein.ComputeDistance(word, c); d < distance {
			best, distance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
