package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/polywire/polywire/core"
)

// wire joins worlds of one test: what a node says is done at the others before the call
// returns, so that everything happens in a known order.
type wire struct {
	nodes []*wiredNode

	mu       sync.Mutex // held while a channel is given
	channels map[string]*wiredNode
}

// wiredNode is core.Backplane.
type wiredNode struct {
	*world
	t    testing.TB
	wire *wire
	id   core.NodeID

	// Set by tests.
	askFails, claimFails core.Failure
	silent               bool                          // answers and cancels do not arrive
	claiming             atomic.Pointer[chan struct{}] // a claim says that it has come, and waits for another word

	granted atomic.Pointer[chan struct{}] // a claim that was granted does the same

	expired atomic.Bool // the lease is over, and nobody has noticed

	mu        sync.Mutex
	interest  map[core.Interest]bool
	services  map[string]bool
	published int
	cancelled []core.CallID
	asked     []core.CallID
	released  []string
}

func newWire(t testing.TB, nodes int) *wire {
	w := &wire{channels: make(map[string]*wiredNode)}
	for i := range nodes {
		n := &wiredNode{t: t, wire: w, id: core.NodeID(fmt.Sprint("node", i)), interest: make(map[core.Interest]bool), services: make(map[string]bool)}
		n.world = newWorldOf(t, 1, n)
		w.nodes = append(w.nodes, n)
	}
	return w
}

// announce lets every node announce, and everything happen that follows.
func (w *wire) announce() {
	for _, n := range w.nodes {
		n.engine.Announce()
	}
	w.pump()
}

func (w *wire) pump() {
	for range w.nodes {
		for _, n := range w.nodes {
			n.pump()
		}
	}
}

func (n *wiredNode) others(f func(*wiredNode)) {
	for _, other := range n.wire.nodes {
		if other != n {
			f(other)
		}
	}
}

func (n *wiredNode) of(id core.NodeID) (found *wiredNode) {
	n.others(func(other *wiredNode) {
		if other.id == id {
			found = other
		}
	})
	return found
}

func (n *wiredNode) Start(core.Cluster) {}
func (n *wiredNode) Close()             {}

func (n *wiredNode) Hear(all []core.Interest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, i := range all {
		on := i.On
		i.On = false
		if n.interest[i] == on {
			n.t.Errorf("%s: interest in %q changes to %v, which it was", n.id, i.Name, on)
		}
		if n.interest[i] = on; !on {
			delete(n.interest, i)
		}
	}
}

func (n *wiredNode) Serve(all []core.Service) {
	n.mu.Lock()
	for _, s := range all {
		if n.services[s.Name] == s.On {
			n.t.Errorf("%s: service %q changes to %v, which it was", n.id, s.Name, s.On)
		}
		if n.services[s.Name] = s.On; !s.On {
			delete(n.services, s.Name)
		}
	}
	n.mu.Unlock()
	n.others(func(other *wiredNode) { other.engine.Served(n.id, all) })
}

// hears reports whether the interest of the node says that it hears a topic.
func (n *wiredNode) hears(topic []byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range n.interest {
		if i.Pattern && hasPrefix(topic, i.Prefix) && core.MatchPattern(i.Name, topic[len(i.Prefix):]) || !i.Pattern && i.Name == string(topic) {
			return true
		}
	}
	return false
}

func (n *wiredNode) Publish(topic []byte, p core.Payload, headers []byte) {
	n.outside("Backplane.Publish")
	n.mu.Lock()
	n.published++
	n.mu.Unlock()
	n.others(func(other *wiredNode) {
		if other.hears(topic) {
			other.engine.Published(topic, p, headers)
		}
	})
}

func (n *wiredNode) Ask(to core.NodeID, q core.Question) core.Failure {
	n.outside("Backplane.Ask")
	if n.askFails.Failed() {
		return n.askFails
	}
	n.mu.Lock()
	n.asked = append(n.asked, q.Call)
	n.mu.Unlock()
	if other := n.of(to); other != nil {
		other.engine.Asked(n.id, q)
	}
	return core.Failure{}
}

func (n *wiredNode) Answer(to core.NodeID, id core.CallID, o core.Outcome) {
	n.outside("Backplane.Answer")
	if other := n.of(to); other != nil && !n.silent {
		other.engine.Answered(n.id, id, o)
	}
}

func (n *wiredNode) Cancel(to core.NodeID, id core.CallID) {
	n.outside("Backplane.Cancel")
	n.mu.Lock()
	n.cancelled = append(n.cancelled, id)
	n.mu.Unlock()
	if other := n.of(to); other != nil && !n.silent {
		other.engine.Cancelled(n.id, id)
	}
}

func (n *wiredNode) Claim(ctx context.Context, c core.Claim, grant func() core.Failure) core.Failure {
	n.outside("Backplane.Claim")
	if claiming := n.claiming.Load(); claiming != nil {
		*claiming <- struct{}{}
		select {
		case <-*claiming:
		case <-ctx.Done():
			return core.Failure{Code: core.Unreachable}
		}
	}
	if n.claimFails.Failed() {
		return n.claimFails
	}
	w := n.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range w.channels {
		switch {
		case name == c.Channel:
			return core.Failure{Code: core.Taken}
		case strings.HasPrefix(name, c.Channel+"/"), strings.HasPrefix(c.Channel, name+"/"):
			return core.Failure{Code: core.NotOwner}
		}
	}
	if f := grant(); f.Failed() {
		return f
	}
	if granted := n.granted.Load(); granted != nil {
		*granted <- struct{}{}
		<-*granted
	}
	w.channels[c.Channel] = n
	n.others(func(other *wiredNode) { other.engine.Owned(n.id, c) })
	return core.Failure{}
}

func (n *wiredNode) Release(channel string) {
	n.outside("Backplane.Release")
	w := n.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	n.released = append(n.released, channel)
	if w.channels[channel] != n {
		n.t.Errorf("%s releases %q, which it has not", n.id, channel)
		return
	}
	delete(w.channels, channel)
	n.others(func(other *wiredNode) { other.engine.Freed(n.id, channel) })
}

func (n *wiredNode) Holds() bool { return !n.expired.Load() }

// lose takes a channel from the node that has it.
func (w *wire) lose(channel string) {
	w.take(channel).engine.Lost(channel)
	w.pump()
}

// take frees a channel without a word to the node that has it, which it returns.
func (w *wire) take(channel string) *wiredNode {
	w.mu.Lock()
	n := w.channels[channel]
	delete(w.channels, channel)
	w.mu.Unlock()
	n.others(func(other *wiredNode) { other.engine.Freed(n.id, channel) })
	return n
}
