package engine

import "strings"

const (
	// maxWeight bounds the memory, in bytes, of the addresses that one connection has
	// subscribed to, and of those that it offers: without it a client could have all of
	// the memory with a few long names.
	maxWeight = 32 << 20
	// levelWeight is what a level of a pattern takes in a trie, about.
	levelWeight = 512
)

// weight is the memory that a subscription may take for its address.
func (k subscriptionKey) weight() int {
	if !k.pattern {
		return len(k.name)
	}
	return len(k.name) + levelWeight*(1+strings.Count(k.name, "/"))
}

// weightOf is the memory that an offer of services may take for their names.
func weightOf(services []string) (n int) {
	for _, s := range services {
		n += len(s)
	}
	return n
}
