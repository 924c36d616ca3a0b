package engine

import "strings"

// defaultMaxPatterns bounds the patterns of one connection whose endpoint does not say
// how many. Each may be an audience of its own of one publish: that is what a connection
// can make others work for.
const defaultMaxPatterns = 512

// levelsOfOne is how deep a pattern may be to count as one: a publish goes down the levels
// of each that begins as its topic does, so that a deeper one counts once for as many.
const levelsOfOne = 16

// count is how many patterns k counts as.
func (k subscriptionKey) count() int { return 1 + strings.Count(k.name, "/")/levelsOfOne }

// patterns are those that one connection hears. Several that match the same are several
// subscriptions to the client, and one to the engine. Owned by the loop.
type patterns struct {
	byName      map[subscriptionKey]*patternSubscription
	byCanonical map[subscriptionKey]*patternSubscription
	counted     int // as how many they count
}

// patternSubscription is one that stands for all of a connection's which match the same.
type patternSubscription struct {
	subscription
	canonical subscriptionKey
	names     int // how many they are
}

// canonical returns the key of the pattern that stands for all which match the same.
func (k subscriptionKey) canonical() subscriptionKey {
	k.name = canonicalPattern(k.name)
	return k
}

// matchesNone is the pattern that stands for all which match nothing.
const matchesNone = "#/"

// canonicalPattern returns a pattern without the names of its wildcards.
func canonicalPattern(pattern string) string {
	levels := strings.Split(pattern, "/")
	for i, level := range levels {
		switch {
		case level == "":
		case level[0] == '+':
			levels[i] = "+"
		case level[0] == '#' && i < len(levels)-1:
			return matchesNone
		case level[0] == '#':
			levels[i] = "#"
		}
	}
	return strings.Join(levels, "/")
}

// size returns how many patterns there are.
func (ps *patterns) size() int {
	if ps == nil {
		return 0
	}
	return len(ps.byName)
}

// count is as how many they count.
func (ps *patterns) count() int {
	if ps == nil {
		return 0
	}
	return ps.counted
}

// has reports whether there is a pattern of this name.
func (ps *patterns) has(k subscriptionKey) bool { return ps != nil && ps.byName[k] != nil }

// addPattern makes a subscription to a pattern that is not there yet.
func (p *peer) addPattern(k subscriptionKey) {
	x := p.ensureRare()
	if x.patterns == nil {
		x.patterns = &patterns{byName: make(map[subscriptionKey]*patternSubscription), byCanonical: make(map[subscriptionKey]*patternSubscription)}
	}
	canonical := k.canonical()
	h := x.patterns.byCanonical[canonical]
	if h == nil {
		h = &patternSubscription{subscription: subscription{audience: p.engine.join(canonical, p.endpoint, p.link.Loop())}, canonical: canonical}
		h.audience.members.Add(p.link, &h.member)
		x.patterns.byCanonical[canonical] = h
	}
	h.names++
	x.patterns.byName[k] = h
	x.patterns.counted += k.count()
	p.weight += k.weight()
}

// removePattern ends a subscription to a pattern, if it is there.
func (p *peer) removePattern(k subscriptionKey) {
	if p.rare == nil || !p.rare.patterns.has(k) {
		return
	}
	ps := p.rare.patterns
	h := ps.byName[k]
	delete(ps.byName, k)
	ps.counted -= k.count()
	p.weight -= k.weight()
	if h.names--; h.names == 0 {
		delete(ps.byCanonical, h.canonical)
		p.engine.leave([]*subscription{&h.subscription})
	}
	if len(ps.byName) == 0 {
		p.rare.patterns = nil
	}
}

// takePatterns forgets all patterns and returns what they were to the engine.
func (p *peer) takePatterns() []*subscription {
	if p.rare == nil || p.rare.patterns == nil {
		return nil
	}
	var all []*subscription
	for _, h := range p.rare.patterns.byCanonical {
		all = append(all, &h.subscription)
	}
	p.rare.patterns = nil
	return all
}
