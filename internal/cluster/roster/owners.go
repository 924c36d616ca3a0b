package roster

import "github.com/polywire/polywire/core"

// Holding is a channel that another node has.
type Holding struct {
	Node  core.NodeID
	Claim core.Claim
	// Key is comparable, and tells a holding from an earlier or later one of the same channel.
	Key any
}

// Owners are the channels of other nodes that the engine knows: of nodes that can be reached. All
// its methods are called with Roster.Tell held.
type Owners struct {
	// Static after construction, but for cluster, which is static after Start.
	holdings func(core.NodeID) []Holding
	cluster  core.Cluster

	told map[string]Holding   // by channel
	away map[core.NodeID]bool // who is gone, and still has channels
}

// NewOwners returns owners of which the engine knows none. holdings returns what a node has now, in
// the order in which it got it.
func NewOwners(holdings func(core.NodeID) []Holding) *Owners {
	return &Owners{holdings: holdings, told: make(map[string]Holding), away: make(map[core.NodeID]bool)}
}

// Start says which engine is told. It is called once, before all other methods.
func (o *Owners) Start(c core.Cluster) { o.cluster = c }

// Owned says that a node has got a channel.
func (o *Owners) Owned(h Holding) {
	if !o.away[h.Node] {
		o.tell(h)
	}
}

func (o *Owners) tell(h Holding) {
	o.told[h.Claim.Channel] = h
	o.cluster.Owned(h.Node, h.Claim)
}

// Freed says that a node has a channel no longer.
func (o *Owners) Freed(h Holding) {
	if t, ok := o.told[h.Claim.Channel]; ok && t.Node == h.Node && t.Key == h.Key {
		delete(o.told, h.Claim.Channel)
		o.cluster.Freed(h.Node, h.Claim.Channel)
	}
	if o.away[h.Node] && len(o.holdings(h.Node)) == 0 {
		delete(o.away, h.Node)
	}
}

// Heard says that a node can be reached, and Gone that it can be no longer, of which the engine is
// told by the roster.
func (o *Owners) Heard(n core.NodeID) {
	if !o.away[n] {
		return
	}
	delete(o.away, n)
	for _, h := range o.holdings(n) {
		o.tell(h)
	}
}

// Gone is the opposite of Heard.
func (o *Owners) Gone(n core.NodeID) {
	if len(o.holdings(n)) > 0 {
		o.away[n] = true
	}
	for channel, h := range o.told {
		if h.Node == n {
			delete(o.told, channel)
		}
	}
}
