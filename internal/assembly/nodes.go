package assembly

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/engine"
	"github.com/polywire/polywire/internal/admin"
)

// adminService is the service by which a node asks another one for its admin server. No client can offer it, or call it
// by topic.
const adminService = core.CallTopic + "$admin"

const (
	// maxAnswering bounds the questions of other nodes that are answered at once.
	maxAnswering = 16
	// answerTimeout bounds how long one takes.
	answerTimeout = 10 * time.Second
)

// nodes are the other nodes of the cluster, as the admin server asks them. Any goroutine.
type nodes struct {
	// Static after construction.
	engine    *engine.Engine
	backplane backplane
	answers   *background
	answering chan struct{} // holds an element for each question that is answered

	// Atomic. What answers the others; nil until somebody does.
	answer atomic.Pointer[func(ctx context.Context, question []byte) []byte]

	// Guarded by mu.
	mu     sync.Mutex
	joined map[core.NodeID]time.Time
}

var _ admin.Nodes = (*nodes)(nil)

// newNodes returns the nodes of a cluster; nil if the broker is alone.
func newNodes(e *engine.Engine, c *cluster, answers *background) *nodes {
	if c == nil {
		return nil
	}
	return &nodes{engine: e, backplane: c.backplane, answers: answers, answering: make(chan struct{}, maxAnswering), joined: make(map[core.NodeID]time.Time)}
}

// Self is the id of this node.
func (n *nodes) Self() core.NodeID { return n.backplane.ID() }

// Others returns the nodes that can be reached, by their ids.
func (n *nodes) Others() []admin.NodeInfo {
	n.mu.Lock()
	all := make([]admin.NodeInfo, 0, len(n.joined))
	for id, since := range n.joined {
		all = append(all, admin.NodeInfo{ID: id, Joined: since})
	}
	n.mu.Unlock()
	for i := range all {
		all[i].NodeHoldings = n.engine.NodeHoldings(all[i].ID)
	}
	slices.SortFunc(all, func(a, b admin.NodeInfo) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Ask asks another node.
func (n *nodes) Ask(ctx context.Context, id core.NodeID, question []byte) ([]byte, error) {
	answer, f := n.engine.AskNode(ctx, id, []byte(adminService), core.Payload{Kind: core.JSON, Data: question})
	if f.Failed() {
		return nil, fmt.Errorf("asking node %s: %w", id, f)
	}
	return answer.Data, nil
}

func (n *nodes) joins(id core.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.joined[id] = time.Now()
}

func (n *nodes) gone(id core.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.joined, id)
}

// asked answers a question of another node, on a goroutine of its own. It reports false if it is none: if it is a call,
// or if somebody asks who is no node. It does not block.
func (n *nodes) asked(from core.NodeID, q core.Question) bool {
	if string(q.Service) != adminService || !n.knows(from) {
		return false
	}
	answer := n.answer.Load()
	if answer == nil {
		return false
	}
	refuse := func(code core.Code, text string) {
		n.backplane.Answer(from, q.Call, core.Outcome{Failure: core.Failure{Code: code, Text: text}})
	}
	select {
	case n.answering <- struct{}{}:
	default:
		refuse(core.Overloaded, "the node answers as many questions as it can")
		return true
	}
	question := q.Payload.Clone()
	n.answers.run(func() {
		defer func() { <-n.answering }()
		ctx, cancel := context.WithTimeout(n.answers.ctx, answerTimeout)
		defer cancel()
		n.backplane.Answer(from, q.Call, core.Outcome{Answer: core.Payload{Kind: core.JSON, Data: (*answer)(ctx, question.Data)}})
	})
	return true
}

func (n *nodes) knows(id core.NodeID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.joined[id]
	return ok
}

// Nodes returns the nodes of the cluster; nil if the broker is alone.
func (p *Parts) Nodes() admin.Nodes {
	if p.nodes == nil {
		return nil // and no nil *nodes
	}
	return p.nodes
}

// AnswerNodes makes answer answer what the admin servers of other nodes ask. It is called once.
func (p *Parts) AnswerNodes(answer func(ctx context.Context, question []byte) []byte) {
	if p.nodes != nil {
		p.nodes.answer.Store(&answer)
	}
}
