package bridge

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
)

// Neighbours are the brokers at the other ends of bridges, those that lead from here and those that
// lead here. Two brokers whose bridges lead to each other would hear for ever what they have told: one
// of the bridges ends, since a bridge carries both ways. Any goroutine.
//
// A bridge shows the mark of its broker, and a server answers with its id, which is made of its own
// mark. So only a server that a bridge was pointed at could say that it is this broker, no client that asks
// for its id.
//
// The nodes of a cluster know each other's marks, so that a bridge which leads to its own cluster ends. Such
// a bridge may be connected before the two nodes know of each other: it ends when this one does.
type Neighbours struct {
	// Static.
	mark, id string

	// Guarded by mu.
	mu    sync.Mutex
	to    map[*server]string  // the ids of the brokers that bridges are connected to
	from  map[uint64]string   // those whose bridges are connected, by connection
	nodes map[string]struct{} // the ids of the other nodes of the cluster that can be reached
}

// NewNeighbours returns the neighbours of a broker that has none. mark is what nobody can guess, but for the
// nodes of its cluster.
func NewNeighbours(mark string) *Neighbours {
	return &Neighbours{
		mark: mark, id: idOf(mark),
		to: make(map[*server]string), from: make(map[uint64]string), nodes: make(map[string]struct{}),
	}
}

// idOf returns the id of the broker with a mark.
func idOf(mark string) string {
	sum := sha256.Sum256([]byte(mark))
	return hex.EncodeToString(sum[:16])
}

// Mark returns what bridges of this broker show.
func (n *Neighbours) Mark() string { return n.mark }

// Join is told that a bridge that shows mark wants to connect here, and returns the id of this broker.
// The error says why it must not.
func (n *Neighbours) Join(conn uint64, mark string) (answer string, err error) {
	id := idOf(mark)
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.nodes[id]; ok || mark == n.mark {
		return "", errItself
	}
	for s, other := range n.to {
		if other == id {
			return "", fmt.Errorf("a bridge comes from the broker that the bridge %s leads to: one carries both ways, so remove one of the two and give the other its topics", s.bridge.o.Endpoint.Name)
		}
	}
	n.from[conn] = id
	return n.id, nil
}

// Leave is told that a connection of Join has ended.
func (n *Neighbours) Leave(conn uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.from, conn)
}

// errItself is why a bridge that leads to its own broker or cluster is refused, or ends.
var errItself = errors.New("a bridge of this broker, or of another node of its cluster, leads to the broker itself: its url must be that of the old server")

// errMutual is why a bridge ends when both brokers have connected at once, and none could refuse the other.
var errMutual = errors.New("a bridge of the broker there leads here: one carries both ways, so remove one of the two and give the other its topics")

// reached is told whom a bridge is about to be connected to. The error says why it must not.
func (n *Neighbours) reached(s *server, id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.nodes[id]; ok {
		return errItself
	}
	for _, other := range n.from {
		// The broker there has let this bridge in before it knew whom its own has reached, as this one has:
		// it sees the same, with the ids the other way round.
		if other == id && n.id > id {
			return errMutual
		}
	}
	n.to[s] = id
	return nil
}

// allowed returns why a bridge of reached must not be connected, which a node that has joined since then may
// have brought up; nil if it may.
func (n *Neighbours) allowed(s *server) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.nodes[n.to[s]]; ok {
		return errItself
	}
	return nil
}

// left is told that a bridge is not connected any more.
func (n *Neighbours) left(s *server) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.to, s)
}

// NodeJoined is told the mark of another node of the cluster, which can be reached from now on.
func (n *Neighbours) NodeJoined(mark string) {
	id := idOf(mark)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[id] = struct{}{}
	for s, other := range n.to {
		if other == id {
			s.leave(errItself)
		}
	}
}

// NodeGone is told that a node of NodeJoined cannot be reached any more.
func (n *Neighbours) NodeGone(mark string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.nodes, idOf(mark))
}
