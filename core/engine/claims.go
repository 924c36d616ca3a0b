package engine

import "math/rand/v2"

// claims are the names that owners have, channels and services, in the order of
// their bytes: so what lies below a channel is one piece of them, and whether somebody
// else has something in it is found without looking at each of them. They are a treap
// whose nodes know whose the names in them are. Guarded by Engine.mu.
type claims struct{ root *claim }

// claim is one name, and the root of a part of the treap.
type claim struct {
	name        string
	holder      owner  // whose the name is
	all         owner  // whose all names of the part are
	rank        uint64 // random; those further down are not above it
	left, right *claim
}

// several stands in a claim for more than one owner. It is only compared.
var several owner = new(peer)

// both returns whose two things are together, of which nil is nobody's.
func both(a, b owner) owner {
	switch {
	case a == nil || a == b:
		return b
	case b == nil:
		return a
	}
	return several
}

// set says whose a name is; nil forgets it.
func (t *claims) set(name string, holder owner) {
	if holder == nil {
		t.root = t.root.without(name)
	} else {
		t.root = t.root.with(name, holder)
	}
}

// below returns whose the names below a channel are: nil if there are none.
func (t *claims) below(channel string) owner {
	// '0' is the character behind the slash.
	return t.root.between(channel+"/", channel+"0")
}

// eachBelow calls f with the names below a channel, in order, that somebody has. f must not
// change the claims.
func (t *claims) eachBelow(channel string, f func(name string)) {
	t.root.each(channel+"/", channel+"0", f)
}

// each calls f with the names from first up to end, end not included.
func (c *claim) each(first, end string, f func(name string)) {
	if c == nil {
		return
	}
	if c.name >= first {
		c.left.each(first, end, f)
		if c.name < end {
			f(c.name)
		}
	}
	if c.name < end {
		c.right.each(first, end, f)
	}
}

func (c *claim) whole() owner {
	if c == nil {
		return nil
	}
	return c.all
}

// summed brings all up to date with the parts of c, and returns c.
func (c *claim) summed() *claim {
	c.all = both(c.holder, both(c.left.whole(), c.right.whole()))
	return c
}

// with returns the part with a claim added or changed.
func (c *claim) with(name string, holder owner) *claim {
	switch {
	case c == nil:
		return &claim{name: name, holder: holder, all: holder, rank: rand.Uint64()}
	case name < c.name:
		c.left = c.left.with(name, holder)
		if l := c.left; l.rank > c.rank {
			c.left, l.right = l.right, c
			c.summed()
			c = l
		}
	case name > c.name:
		c.right = c.right.with(name, holder)
		if r := c.right; r.rank > c.rank {
			c.right, r.left = r.left, c
			c.summed()
			c = r
		}
	default:
		c.holder = holder
	}
	return c.summed()
}

// without returns the part without a claim.
func (c *claim) without(name string) *claim {
	switch {
	case c == nil:
		return nil
	case name < c.name:
		c.left = c.left.without(name)
	case name > c.name:
		c.right = c.right.without(name)
	default:
		return joined(c.left, c.right)
	}
	return c.summed()
}

// joined returns one part of two, all of the first before the second.
func joined(a, b *claim) *claim {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.rank > b.rank:
		a.right = joined(a.right, b)
		return a.summed()
	}
	b.left = joined(a, b.left)
	return b.summed()
}

// between returns whose the names from first up to end are, end not included.
func (c *claim) between(first, end string) owner {
	for c != nil {
		switch {
		case c.name < first:
			c = c.right
		case c.name >= end:
			c = c.left
		default:
			return both(c.holder, both(c.left.from(first), c.right.upTo(end)))
		}
	}
	return nil
}

// from returns whose the names from first on are.
func (c *claim) from(first string) (all owner) {
	for c != nil {
		if c.name < first {
			c = c.right
			continue
		}
		all = both(all, both(c.holder, c.right.whole()))
		c = c.left
	}
	return all
}

// upTo returns whose the names before end are.
func (c *claim) upTo(end string) (all owner) {
	for c != nil {
		if c.name >= end {
			c = c.left
			continue
		}
		all = both(all, both(c.holder, c.left.whole()))
		c = c.right
	}
	return all
}
