package claims

import (
	"cmp"
	"slices"

	"github.com/polywire/polywire/core"
)

// Entry is a channel that a node has, as the register says. It is not changed.
type Entry struct {
	Channel string
	// Node and Lease say who has the channel, and until when: as long as the lease lasts.
	Node  core.NodeID
	Lease string
	// Claim is a number that the node has given this claim.
	Claim uint64
	// Rev is its place in the order in which the register gives channels.
	Rev uint64
	// Services are sorted, each once.
	Services []string
}

// Same reports whether two entries are of one claim, which may have been registered twice.
func (e *Entry) Same(other *Entry) bool {
	return e.Channel == other.Channel && e.Node == other.Node && e.Lease == other.Lease && e.Claim == other.Claim
}

// InOrder sorts entries by the order in which the channels were given, and returns them.
func InOrder(all []*Entry) []*Entry {
	slices.SortFunc(all, func(a, b *Entry) int { return cmp.Or(cmp.Compare(a.Rev, b.Rev), cmp.Compare(a.Channel, b.Channel)) })
	return all
}

// Change says that a channel begins or ceases to belong to somebody.
type Change struct {
	*Entry
	Owned bool
}

// Difference returns what has changed from one list of entries to another one, in the order in which
// the channels were given, those that are free now before the others. same reports whether two
// entries of a channel are one.
func Difference(from, to []*Entry, same func(a, b *Entry) bool) (changes []Change) {
	for _, e := range missing(from, to, same) {
		changes = append(changes, Change{e, false})
	}
	for _, e := range missing(to, from, same) {
		changes = append(changes, Change{e, true})
	}
	return changes
}

// missing returns the entries of all that in has not.
func missing(all, in []*Entry, same func(a, b *Entry) bool) (list []*Entry) {
	byChannel := make(map[string]*Entry, len(in))
	for _, e := range in {
		byChannel[e.Channel] = e
	}
	for _, e := range all {
		if other := byChannel[e.Channel]; other == nil || !same(e, other) {
			list = append(list, e)
		}
	}
	return InOrder(list)
}
