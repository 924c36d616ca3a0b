package engine

import (
	"bytes"
	"slices"
	"strings"
)

// channel is a name that one connection owns, with the services below it, which that
// connection alone answers. Their addresses are not written out: a long channel with many
// services would fill the memory.
type channel struct {
	// Static after construction.
	owner    *peer
	name     string
	as       uint32
	names    names // of the services, below the channel
	services []service
}

// service returns the service of whose address this is what follows the channel, which is
// nothing, or a slash and a name; nil if there is none.
func (c *channel) service(behind []byte) *service {
	name := bytes.TrimPrefix(behind, []byte("/"))
	if len(name) == 0 && len(behind) > 0 {
		return nil // the empty name is that of the channel itself
	}
	if i, found := c.names.find(name); found {
		return &c.services[i]
	}
	return nil
}

// weight is the memory that the channel takes for its names, in bytes.
func (c *channel) weight() int { return len(c.name) + len(c.names.text) }

// names are many names in little memory, in the order of their bytes. Not changed once made.
type names struct {
	text string
	ends []uint32 // of each name in text
}

// newNames returns the names of a list, in which some may come twice.
func newNames(list [][]byte) names {
	list = slices.Clone(list)
	slices.SortFunc(list, bytes.Compare)
	list = slices.CompactFunc(list, bytes.Equal)
	size := 0
	for _, name := range list {
		size += len(name)
	}
	var text strings.Builder
	text.Grow(size)
	n := names{ends: make([]uint32, 0, len(list))}
	for _, name := range list {
		text.Write(name)
		n.ends = append(n.ends, uint32(text.Len()))
	}
	n.text = text.String()
	return n
}

// size returns how many names there are.
func (n names) size() int { return len(n.ends) }

// at returns the name at i.
func (n names) at(i int) string {
	from := uint32(0)
	if i > 0 {
		from = n.ends[i-1]
	}
	return n.text[from:n.ends[i]]
}

// find returns where a name is.
func (n names) find(name []byte) (i int, found bool) {
	low, high := 0, n.size()
	for low < high {
		middle := int(uint(low+high) / 2)
		if n.at(middle) < string(name) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, low < n.size() && n.at(low) == string(name)
}
