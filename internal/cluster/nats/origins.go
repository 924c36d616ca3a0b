package nats

import (
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// origins know the newest connection by which each node has published. What comes by an older one is
// late: a server that stood still passes on what it had got when it goes on, and by then the node has
// published by another connection. So could this node hear itself: NoEcho is about one connection. Owned
// by the goroutine that handles topics.
type origins struct {
	// Static.
	subjects subjects
	own      core.NodeID

	newest map[core.NodeID]uint64
	last   string // which is not late
}

func newOrigins(s subjects, own core.NodeID) *origins {
	return &origins{subjects: s, own: own, newest: make(map[core.NodeID]uint64)}
}

// late reports whether the origin of a message is late, or this node. One that is none never is.
func (o *origins) late(origin string) bool {
	if origin == "" || origin == o.last {
		return false
	}
	node, n, ok := o.subjects.originOf(origin)
	if !ok {
		return false
	}
	if node == o.own || n < o.newest[node] {
		return true
	}
	if len(o.newest) >= roster.MaxNodes {
		clear(o.newest) // of strangers, or of nodes that ended long since
	}
	o.newest[node], o.last = n, origin
	return false
}
