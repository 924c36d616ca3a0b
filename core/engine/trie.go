package engine

import (
	"bytes"
	"strings"
)

// trie finds the patterns that match a topic: core.MatchPattern made fast. Patterns that
// match the same are one: one way through the nodes and one address, whatever the names of
// their wildcards. A match looks at no node twice, and never at those of patterns whose
// earlier levels do not fit. All is guarded by Engine.mu.
type trie struct {
	// prefix is what the topics that are matched here have before them. Static.
	prefix  string
	size    int // addresses
	root    trieNode
	nothing trieNode // the end of all patterns that match nothing; no match comes here
	long    longLevels
}

// trieNode is a sequence of levels with which patterns begin.
type trieNode struct {
	parent *trieNode
	level  string // its key in parent.literal, as longLevels keep it

	literal map[string]*trieNode // a level of this very text
	plus    *trieNode            // a level that is not empty
	any     *trieNode            // any level: an empty level of a pattern
	end     *address             // the pattern that ends here, or nil
	rest    *address             // the pattern that has # as the next level and ends, or nil
}

// place is where a pattern is in its trie: the end or the rest of a node.
type place struct {
	trie *trie
	node *trieNode
	rest bool
}

// address returns where the address of the place is kept.
func (p place) address() **address {
	if p.rest {
		return &p.node.rest
	}
	return &p.node.end
}

// matchesNothing reports whether it is the place of the patterns that match nothing.
func (p place) matchesNothing() bool { return p.node == &p.trie.nothing }

func newTrie(prefix string) *trie { return &trie{prefix: prefix} }

// find returns the address of a pattern, or nil.
func (t *trie) find(pattern string) *address {
	p, found := t.place(pattern, t.childIfAny)
	if !found {
		return nil
	}
	return *p.address()
}

// add returns the address of a canonical pattern that has a wildcard, made if need be.
func (t *trie) add(pattern string) *address {
	p, _ := t.place(pattern, t.child)
	at := p.address()
	if *at == nil {
		*at = &address{name: pattern, place: &p}
		t.size++
	}
	return *at
}

// place goes the way of a pattern, down to children that child returns. It reports false
// if that returned none.
func (t *trie) place(pattern string, child func(*trieNode, string) *trieNode) (place, bool) {
	if matchesNothing(pattern) {
		return place{trie: t, node: &t.nothing}, true
	}
	n := &t.root
	for level := range strings.SplitSeq(pattern, "/") {
		if level != "" && level[0] == '#' {
			return place{trie: t, node: n, rest: true}, true
		}
		if n = child(n, level); n == nil {
			return place{}, false
		}
	}
	return place{trie: t, node: n}, true
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

// childIfAny returns the node of the next level of a pattern, or nil.
func (t *trie) childIfAny(n *trieNode, level string) *trieNode {
	switch {
	case level == "":
		return n.any
	case level[0] == '+':
		return n.plus
	}
	return n.literal[t.long.find(level)]
}

// child returns the node of the next level of a pattern, made if need be.
func (t *trie) child(n *trieNode, level string) *trieNode {
	if c := t.childIfAny(n, level); c != nil {
		return c
	}
	c := &trieNode{parent: n}
	switch {
	case level == "":
		n.any = c
	case level[0] == '+':
		n.plus = c
	default:
		c.level = t.long.keep(level)
		if n.literal == nil {
			n.literal = make(map[string]*trieNode)
		}
		n.literal[c.level] = c
	}
	return c
}

// remove takes a pattern out, with the nodes that nobody else needs.
func (t *trie) remove(a *address) {
	*a.place.address() = nil
	t.size--
	for n := a.place.node; n.parent != nil && n.empty(); {
		n = t.unlink(n)
	}
}

func (n *trieNode) empty() bool {
	return n.end == nil && n.rest == nil && n.plus == nil && n.any == nil && len(n.literal) == 0
}

// unlink takes n out of its parent, which it returns.
func (t *trie) unlink(n *trieNode) *trieNode {
	p := n.parent
	switch n {
	case p.any:
		p.any = nil
	case p.plus:
		p.plus = nil
	default:
		delete(p.literal, n.level)
		t.long.drop(n.level)
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
	wild := topic[0] != '$'
	if len(topic) > longLevel {
		topic = t.long.abridge(topic)
	}
	return t.root.match(topic, wild, hits)
}

// match appends what matches below n. wild is false where wildcards do not count.
func (n *trieNode) match(topic []byte, wild bool, hits []*audience) []*audience {
	if wild {
		hits = n.rest.appendTo(hits)
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
func (n *trieNode) enter(rest []byte, more bool, hits []*audience) []*audience {
	if more {
		return n.match(rest, true, hits)
	}
	return n.end.appendTo(hits)
}

// appendTo appends the audiences of an address; none of nil.
func (a *address) appendTo(hits []*audience) []*audience {
	if a == nil {
		return hits
	}
	return append(hits, a.audiences...)
}

// each calls f with the addresses of n and of the nodes below it, nil where there is none, until it returns false, and
// reports whether it did not. The caller holds the engine's lock, which f may give up meanwhile: a node that is taken out
// then is empty, and the way on goes through its parents.
func (n *trieNode) each(f func(*address) bool) bool {
	if !f(n.end) || !f(n.rest) {
		return false
	}
	for _, c := range []*trieNode{n.plus, n.any} {
		if c != nil && !c.each(f) {
			return false
		}
	}
	for _, c := range n.literal {
		if !c.each(f) {
			return false
		}
	}
	return true
}
