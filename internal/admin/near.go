package admin

import (
	"cmp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"

	"github.com/polywire/polywire/core"
)

const (
	// maxNear is how many subscriptions are told that nearly match.
	maxNear = 10
	// maxSpelling bounds the letters in which a name may differ, and maxSpelled the length of names that are
	// compared letter by letter, in bytes.
	maxSpelling, maxSpelled = 3, 256
)

// nearness is how a subscription differs from a topic that it does not match.
type nearness struct {
	how      string // for programs
	why      string // for people
	distance int    // the smallest comes first
}

// wanted is a whole topic to which others are compared. Static after construction.
type wanted struct {
	topic, lower, bare, levelled string
}

func newWanted(topic string) *wanted {
	return &wanted{topic: topic, lower: strings.ToLower(topic), bare: bare(topic), levelled: levelled(topic)}
}

// bare returns a name without empty levels.
func bare(name string) string {
	name = strings.Trim(name, "/")
	for strings.Contains(name, "//") {
		name = strings.ReplaceAll(name, "//", "/")
	}
	return name
}

// levelled returns a name with slashes for what other systems have between levels.
func levelled(name string) string { return separators.Replace(name) }

var separators = strings.NewReplacer(".", "/", ":", "/", "\\", "/")

// near returns how a subscription differs from the topic, if it does so little that one was perhaps meant for the
// other. It takes time linear in the name, but for short ones.
func (w *wanted) near(i core.Interest) (n nearness, ok bool) {
	if i.Pattern {
		return w.nearPattern(i)
	}
	return w.nearName(i.Name)
}

// nearName compares another topic.
func (w *wanted) nearName(name string) (n nearness, ok bool) {
	switch {
	case name == w.topic:
		return n, false
	case strings.EqualFold(name, w.topic):
		return nearness{"case", "upper and lower case differ", 0}, true
	case bare(name) == w.bare:
		return nearness{"slash", "a slash at the beginning or end, or an empty level, makes it another topic", 0}, true
	case len(name) == len(w.topic) && levelled(name) == w.levelled:
		return nearness{"separator", "levels are separated by slashes", 0}, true
	case core.HasWildcard(name) && core.MatchPattern(name, []byte(w.topic)):
		return nearness{"wildcard", "it is subscribed to as a topic of this very name, not as a pattern: its format has no patterns, or the client has not asked for one", 1}, true
	case strings.Contains(name, "*") && globs(name, w.topic):
		return nearness{"wildcard", "* is no wildcard: + stands for one level, # at the end for one or more", 1}, true
	case oneMore(name, w.topic):
		return nearness{"level", "it has a level more", 2}, true
	case oneMore(w.topic, name):
		return nearness{"level", "it has a level less; a subscription to a topic does not include what is below it", 2}, true
	}
	return w.spelled(name)
}

// nearPattern compares a pattern that does not match.
func (w *wanted) nearPattern(i core.Interest) (n nearness, ok bool) {
	topic, within := strings.CutPrefix(w.topic, i.Prefix)
	if !within || core.MatchPattern(i.Name, []byte(topic)) {
		return n, false
	}
	lower, _ := strings.CutPrefix(w.lower, strings.ToLower(i.Prefix))
	begin, _, _ := strings.Cut(i.Name, "#")
	switch {
	case core.MatchesNothing(i.Name):
		if core.MatchPattern(begin+"#", []byte(topic)) {
			// The engine has one name for all of these, #/, which is near everything.
			return nearness{"wildcard", "# stands only at the end: with something behind it the pattern matches nothing", 4}, true
		}
		return n, false
	case core.MatchPattern(strings.ToLower(i.Name), []byte(lower)):
		return nearness{"case", "upper and lower case differ", 0}, true
	case core.MatchPattern(i.Name, []byte(bare(topic))), core.MatchPattern(bare(i.Name), []byte(topic)):
		return nearness{"slash", "a slash at the beginning or end, or an empty level, makes another topic", 0}, true
	case strings.HasPrefix(topic, "$") && core.MatchPattern(i.Name, []byte("-"+topic[1:])):
		return nearness{"wildcard", "a pattern that begins with a wildcard does not match topics that begin with $", 1}, true
	case core.MatchPattern(i.Name, []byte(topic+"/-")):
		return nearness{"level", "the pattern wants a level more: # stands for one or more levels, not for none", 2}, true
	case core.MatchPattern(i.Name+"/+", []byte(topic)):
		return nearness{"level", "the pattern has a level less: + stands for exactly one level, and # at the end for one or more", 2}, true
	}
	return newWanted(topic).spelled(filled(i.Name, topic))
}

// filled returns a pattern with the levels of a topic where it has wildcards; "" if it does not have as many levels.
func filled(pattern, topic string) string {
	levels, of := strings.Split(pattern, "/"), strings.Split(topic, "/")
	if len(levels) > len(of) || len(levels) < len(of) && !strings.HasPrefix(levels[len(levels)-1], "#") {
		return ""
	}
	for i, level := range levels {
		switch {
		case strings.HasPrefix(level, "#"):
			return strings.Join(append(levels[:i], of[i:]...), "/")
		case level == "", level[0] == '+':
			levels[i] = of[i]
		}
	}
	return strings.Join(levels, "/")
}

// globs reports whether a name matches a topic if a * in it is taken for a wildcard.
func globs(name, topic string) bool {
	levels := strings.Split(name, "/")
	for i, level := range levels {
		if strings.Trim(level, "*") == "" && level != "" {
			levels[i] = "+"
			if i == len(levels)-1 {
				levels[i] = "#"
			}
		}
	}
	return core.MatchPattern(strings.Join(levels, "/"), []byte(topic))
}

// oneMore reports whether longer is shorter with one level before or behind it.
func oneMore(longer, shorter string) bool {
	if rest, ok := strings.CutPrefix(longer, shorter+"/"); ok && !strings.Contains(rest, "/") {
		return true
	}
	rest, ok := strings.CutSuffix(longer, "/"+shorter)
	return ok && !strings.Contains(rest, "/")
}

// spelled compares letter by letter.
func (w *wanted) spelled(name string) (n nearness, ok bool) {
	most := min(maxSpelling, 1+len(w.topic)/6)
	if len(name) == 0 || max(len(name), len(w.topic)) > maxSpelled || max(len(name)-len(w.topic), len(w.topic)-len(name)) > most {
		return n, false
	}
	if d := levenshtein.ComputeDistance(name, w.topic); d > 0 && d <= most && 3*d <= len(w.topic) {
		return nearness{"spelling", "it is spelled differently", 2 + d}, true
	}
	return n, false
}

// found is a subscription that nearly matches.
type found struct {
	core.Interest
	nearness
}

// nearest keeps the nearest of many.
type nearest []found

func (l *nearest) add(i core.Interest, n nearness) {
	*l = append(*l, found{i, n})
	if len(*l) >= 2*maxNear {
		l.cut()
	}
}

// cut leaves the nearest, in order.
func (l *nearest) cut() {
	slices.SortFunc(*l, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.Prefix+a.Name, b.Prefix+b.Name))
	})
	*l = (*l)[:min(len(*l), maxNear)]
}
