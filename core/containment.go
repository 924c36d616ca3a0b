package core

import "strings"

// maxFillings bounds the number of ways to fill in a template whose claims are lists.
// Beyond it, nothing is allowed and everything is denied.
const maxFillings = 4096

// Contains reports whether the template, filled in for by, matches every topic that
// pattern matches. It checks the pattern of a subscription.
func (t *Template) Contains(by *Identity, pattern string) bool {
	if !HasWildcard(pattern) {
		return t.Match(by, []byte(pattern))
	}
	asked := levelsOf(pattern)
	found := false
	t.fill(by, func(own []level) bool {
		found = contains(own, asked)
		return !found
	})
	return found
}

// Overlaps reports whether a topic is possible that both pattern and the template, filled in
// for by, match.
func (t *Template) Overlaps(by *Identity, pattern string) bool {
	if !HasWildcard(pattern) {
		return t.Match(by, []byte(pattern))
	}
	asked := levelsOf(pattern)
	found := false
	complete := t.fill(by, func(own []level) bool {
		found = overlap(own, asked)
		return !found
	})
	return found || !complete
}

// PatternsOverlap reports whether a topic is possible that both patterns match.
func PatternsOverlap(a, b string) bool {
	switch {
	case !HasWildcard(a):
		return MatchPattern(b, []byte(a))
	case !HasWildcard(b):
		return MatchPattern(a, []byte(b))
	}
	return overlap(levelsOf(a), levelsOf(b))
}

// level is one level of a pattern.
type level struct {
	kind partKind
	text string // of a literal
}

// wild reports whether a pattern with l as its first level matches no topic that
// begins with $.
func (l level) wild() bool { return l.kind == oneLevel || l.kind == allRest }

// dollar reports whether a pattern with l as its first level matches only topics that
// begin with $.
func (l level) dollar() bool { return l.kind == literal && strings.HasPrefix(l.text, "$") }

// levelsOf returns the levels of a client's pattern, which has a wildcard. A pattern with #
// before the end matches nothing; it is treated as if it ended there.
func levelsOf(pattern string) []level {
	var levels []level
	for text := range strings.SplitSeq(pattern, "/") {
		switch {
		case text == "":
			levels = append(levels, level{kind: anyLevel})
		case text[0] == '+':
			levels = append(levels, level{kind: oneLevel})
		case text[0] == '#':
			return append(levels, level{kind: allRest})
		default:
			levels = append(levels, level{text: text})
		}
	}
	return levels
}

// fill calls f with the levels of the template for each way to fill it in for by, until f
// returns false. complete reports whether there were at most maxFillings ways.
func (t *Template) fill(by *Identity, f func([]level) bool) (complete bool) {
	n := 0
	var from func(parts []part, before []level) (more bool)
	from = func(parts []part, before []level) bool {
		for i, p := range parts {
			if p.kind != claim {
				before = extend(before, p)
				continue
			}
			values, ok := by.value(p.text).([]any)
			if !ok {
				values = []any{by.value(p.text)}
			}
			for _, v := range values {
				text := valueText(v)
				if text != "" && !from(parts[i+1:], extend(append([]level(nil), before...), part{text: text})) {
					return false
				}
			}
			return true
		}
		if n++; n > maxFillings {
			return false
		}
		return before[0].dollar() && !t.literalStart() || f(before)
	}
	from(t.parts, []level{{}})
	return n <= maxFillings
}

// extend adds a part that is not a claim to the levels. The last level is still open.
func extend(levels []level, p part) []level {
	last := len(levels) - 1
	if p.kind != literal {
		levels[last].kind = p.kind
		return levels
	}
	for i, text := range strings.Split(p.text, "/") {
		if i > 0 {
			levels = append(levels, level{})
			last++
		}
		levels[last].text += text
	}
	return levels
}

// contains reports whether own matches all that asked matches.
func contains(own, asked []level) bool {
	if own[0].wild() && (asked[0].dollar() || asked[0].kind == anyLevel) {
		return false
	}
	for i, o := range own {
		switch {
		case i == len(asked):
			return false
		case o.kind == allRest:
			return true
		case asked[i].kind == allRest, asked[i].kind == anyLevel:
			return false
		case o.kind == literal && asked[i] != o:
			return false
		}
	}
	return len(own) == len(asked)
}

// overlap reports whether a topic is possible that both own and asked match.
func overlap(own, asked []level) bool {
	if own[0].wild() && asked[0].dollar() || own[0].dollar() && asked[0].wild() {
		return false
	}
	for i, o := range own {
		if i == len(asked) {
			return false
		}
		a := asked[i]
		switch {
		case o.kind == allRest, a.kind == allRest:
			return true
		case o.kind == literal && a.kind == literal && o.text != a.text:
			return false
		case o.kind == literal && a.kind == oneLevel && o.text == "":
			return false
		}
	}
	return len(own) == len(asked)
}
