package assembly

import (
	"context"
	"time"

	"github.com/polywire/polywire/core"
)

// nobodyService is a service that nobody offers. That there is none is an answer which each node gives at once.
const nobodyService = core.CallTopic + "$nobody"

const (
	// measureEvery is how often it is measured how far the other nodes are.
	measureEvery = 10 * time.Second
	// measureTimeout is how long one has to answer.
	measureTimeout = 5 * time.Second
)

// measure measures how far the other nodes are, until ctx ends. n may be nil.
func (n *nodes) measure(ctx context.Context) {
	if n == nil {
		return
	}
	again := time.NewTicker(measureEvery)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			n.measureOnce(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// measureOnce asks one node after the other. One that is gone meanwhile is not measured.
func (n *nodes) measureOnce(ctx context.Context) {
	for _, id := range n.ids() {
		asking, cancel := context.WithTimeout(ctx, measureTimeout)
		began := time.Now()
		_, f := n.engine.AskNode(asking, id, []byte(nobodyService), core.Payload{})
		took := time.Since(began)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if f.Code != core.Gone {
			n.stats.RoundTrips.Observe(took, f.Code == core.NoService)
		}
	}
}

// ids returns the nodes that can be reached.
func (n *nodes) ids() []core.NodeID {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]core.NodeID, 0, len(n.joined))
	for id := range n.joined {
		all = append(all, id)
	}
	return all
}
