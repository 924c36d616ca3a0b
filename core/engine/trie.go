package engine

import (
	"bytes"
	"strings"
)

// trie finds the patterns that match a topic: core.MatchPattern made fast. A node is
// reached on one way only, so a match looks at no node twice, and never at those of
// patterns whose earlier levels do not fit. All is guarded by Engine.mu.
type trie struct {
	// prefix is what the topics that are matched here have before them. Static.
	prefix string
	// patterns has every pattern by its text, also those that match nothing.
	patterns map[string]*address
	root     node
}

// node is a sequence of levels with which patterns begin. Wildcards that match the
// same are the same level, whatever their names.
type node struct {
	parent *node
	level  string // its key in parent.literal

	literal map[string]*node // a level of this very text
	plus    *node            // a level that is not empty
	any     *node            // any level: an empty level of a pattern
	ends    []*address       // patterns that end here
	rest    []*address       // patterns that have # as the next level, and end
}

// place is where a pattern is in its trie: an index into the ends or the rest of a
// node. A pattern that matches nothing has no node.
type place struct {
	trie  *trie
	node  *node
	rest  bool
	index int
}

// list returns the list of addresses that p points into.
func (p *place) list() *[]*address {
	if p.rest {
		return &p.node.rest
	}
	return &p.node.ends
}

func newTrie(prefix string) *trie {
	return &trie{prefix: prefix, patterns: make(map[string]*address)}
}

// add returns the address of a pattern that has a wildcard, made if need be.
func (t *trie) add(pattern string) *address {
	if a := t.patterns[pattern]; a != nil {
		return a
	}
	a := &address{name: pattern, place: &place{trie: t}}
	t.patterns[pattern] = a
	if matchesNothing(pattern) {
		return a
	}
	n := &t.root
	for level := range strings.SplitSeq(pattern, "/") {
		if level != "" && level[0] == '#' {
			a.place.rest = true
			break
		}
		n = n.child(level)
	}
	a.place.node = n
	list := a.place.list()
	a.place.index = len(*list)
	*list = append(*list, a)
	return a
}

// matchesNothing reports whether pattern has a # before its end.
func matchesNothing(pattern string) bool {
	for {
		level, rest, more := strings.Cut(pattern, "/")
		if level != "" && level[0] == '#' {
			return more
		}
		if !more {
			return false
		}
		pattern = rest
	}
}

// child returns the node of the next level of a pattern, made if need be.
func (n *node) child(level string) *node {
	made := func(at **node) *node {
		if *at == nil {
			*at = &node{parent: n}
		}
		return *at
	}
	switch {
	case level == "":
		return made(&n.any)
	case level[0] == '+':
		return made(&n.plus)
	}
	c := n.literal[level]
	if c == nil {
		// A copy, so that the node does not keep the whole pattern.
		c = &node{parent: n, level: strings.Clone(level)}
		if n.literal == nil {
			n.literal = make(map[string]*node)
		}
		n.literal[c.level] = c
	}
	return c
}

// remove takes a pattern out, with the nodes that nobody else needs.
func (t *trie) remove(a *address) {
	delete(t.patterns, a.name)
	n := a.place.node
	if n == nil {
		return
	}
	list := a.place.list()
	last := len(*list) - 1
	moved := (*list)[last]
	(*list)[a.place.index] = moved
	moved.place.index = a.place.index
	(*list)[last] = nil
	*list = (*list)[:last]
	if last == 0 {
		*list = nil
	}
	for n != &t.root && n.empty() {
		n = n.unlink()
	}
}

func (n *node) empty() bool {
	return len(n.ends) == 0 && len(n.rest) == 0 && n.plus == nil && n.any == nil && len(n.literal) == 0
}

// unlink takes n out of its parent, which it returns.
func (n *node) unlink() *node {
	p := n.parent
	switch n {
	case p.any:
		p.any = nil
	case p.plus:
		p.plus = nil
	default:
		delete(p.literal, n.level)
		if len(p.literal) == 0 {
			p.literal = nil
		}
	}
	return p
}

// match appends the audiences of all patterns that match topic, which is without the
// prefix.
func (t *trie) match(topic []byte, hits []*audience) []*audience {
	if len(topic) == 0 {
		return hits
	}
	return t.root.match(topic, topic[0] != '$', hits)
}

// match appends what matches below n. wild is false where wildcards do not count.
func (n *node) match(topic []byte, wild bool, hits []*audience) []*audience {
	if wild {
		hits = collect(hits, n.rest)
	}
	level, rest, more := bytes.Cut(topic, []byte{'/'})
	if c := n.literal[string(level)]; c != nil {
		hits = c.enter(rest, more, hits)
	}
	if n.plus != nil && wild && len(level) > 0 {
		hits = n.plus.enter(rest, more, hits)
	}
	if n.any != nil {
		hits = n.any.enter(rest, more, hits)
	}
	return hits
}

// enter appends what matches from n on, whose own level matched.
func (n *node) enter(rest []byte, more bool, hits []*audience) []*audience {
	if more {
		return n.match(rest, true, hits)
	}
	return collect(hits, n.ends)
}

func collect(hits []*audience, list []*address) []*audience {
	for _, a := range list {
		hits = append(hits, a.audiences...)
	}
	return hits
}
