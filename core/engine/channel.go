package engine

import (
	"bytes"
	"slices"
	"strings"
)

// channel is a name that somebody owns, with the services below it, which that owner alone
// answers. Their addresses are not written out: a long channel with many
// services would fill the memory.
type channel struct {
	// Static after construction.
	owner    owner
	name     string
	as       uint32
	names    names     // of the services, below the channel
	services []service // made when it is added to the engine
}

// find returns which of the services has an address of which this is what follows the
// channel: nothing, or a slash and a name.
func (c *channel) find(behind []byte) (i int, found bool) {
	name := bytes.TrimPrefix(behind, []byte("/"))
	if len(name) == 0 && len(behind) > 0 {
		return 0, false // the empty name is that of the channel itself
	}
	return c.names.find(name)
}

// title returns the name of a service.
func (c *channel) title(i int) title {
	if name := c.names.at(i); name != "" {
		return title{channel: c.name, name: name, below: true}
	}
	return title{name: c.name}
}

// title is the whole address of a service. Its parts belong to who answers the service:
// calls are kept with it, and a client could have much memory with copies.
type title struct {
	channel string
	name    string
	below   bool // the address is channel/name, and else name alone
}

func (t title) appendTo(dst []byte) []byte {
	if t.below {
		dst = append(append(dst, t.channel...), '/')
	}
	return append(dst, t.name...)
}

// is reports whether t is prefix and name put together.
func (t title) is(prefix string, name []byte) bool {
	if t.size() != len(prefix)+len(name) {
		return false
	}
	for i := range t.size() {
		var other byte
		if i < len(prefix) {
			other = prefix[i]
		} else {
			other = name[i-len(prefix)]
		}
		if t.at(i) != other {
			return false
		}
	}
	return true
}

func (t title) size() int {
	if t.below {
		return len(t.channel) + 1 + len(t.name)
	}
	return len(t.name)
}

func (t title) at(i int) byte {
	switch {
	case !t.below:
		return t.name[i]
	case i < len(t.channel):
		return t.channel[i]
	case i == len(t.channel):
		return '/'
	}
	return t.name[i-len(t.channel)-1]
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
	return sortedNames(slices.CompactFunc(list, bytes.Equal))
}

// sortedNames returns the names of a list that is sorted, and in which none comes twice.
func sortedNames[S []byte | string](list []S) names {
	size := 0
	for _, name := range list {
		size += len(name)
	}
	var text strings.Builder
	text.Grow(size)
	n := names{ends: make([]uint32, 0, len(list))}
	for _, name := range list {
		text.WriteString(string(name))
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
