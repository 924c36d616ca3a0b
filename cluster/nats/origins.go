package nats

import (
	"github.com/polywire/polywire/cluster/roster"
	"github.com/polywire/polywire/core"
)

// origins know the newest connection by which each node has published. What comes by an older one is
// late: a server that stood still passes on what it had got when it goes on, and by then the node has
// published by another server. Owned by the goroutine that handles topics.
type origins struct {
	subjects subjects // static
	newest   map[core.NodeID]uint64
	last     string // which is not late
}

func newOrigins(s subjects) *origins {
	return &origins{subjects: s, newest: make(map[core.NodeID]uint64)}
}

// late reports whether the origin of a message is late. One that is none never is.
func (o *origins) late(origin string) bool {
	if origin == "" || origin == o.last {
		return false
	}
	node, n, ok := o.subjects.originOf(origin)
	if !ok {
		return false
	}
	if n < o.newest[node] {
		return true
	}
	if len(o.newest) >= roster.MaxNodes {
		clear(o.newest) // of strangers, or of nodes that ended long since
	}
	o.newest[node], o.last = n, origin
	return false
}
