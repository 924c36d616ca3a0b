package config

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// suggest returns `; did you mean "x"?` with the candidate nearest to word, or "" if none is near.
// Of several it prefers one with the same first letter.
func suggest(word string, candidates []string) string {
	best, distance := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		d := levenshtein.ComputeDistance(word, c)
		if d < distance || d == distance && best != "" && word != "" && strings.HasPrefix(c, word[:1]) && !strings.HasPrefix(best, word[:1]) {
			best, distance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return suggestion(best)
}

func suggestion(of string) string { return fmt.Sprintf("; did you mean %q?", of) }
