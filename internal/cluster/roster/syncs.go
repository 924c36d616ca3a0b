package roster

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/polywire/polywire/core"
)

const (
	// syncAgain is after which time who has not answered is asked again.
	syncAgain = 250 * time.Millisecond
	// maxSyncs bounds the syncs of others that wait.
	maxSyncs = 256
)

// Syncs ask the other nodes whether they have got everything up to a point, and answer others that
// ask it. Any goroutine.
type Syncs struct {
	// Static after construction.
	nodes  *Roster
	places chan struct{} // one for each sync of others that waits

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]*waitingSync
}

// waitingSync is guarded by Syncs.mu.
type waitingSync struct {
	nodes []core.NodeID // who has not answered
	done  chan struct{}
}

// NewSyncs returns the syncs between the nodes of a roster.
func NewSyncs(nodes *Roster) *Syncs {
	return &Syncs{nodes: nodes, places: make(chan struct{}, maxSyncs), waiting: make(map[uint64]*waitingSync)}
}

// Wait asks all nodes that can be reached, again and again, until each has answered the number with
// which it was asked, or is gone. lost returns why no answer can come any more; nil as long as one
// can.
func (s *Syncs) Wait(ctx context.Context, ask func(to core.NodeID, id uint64), lost func() error) error {
	id, w := s.begin()
	defer s.end(id)
	again := time.NewTicker(syncAgain)
	defer again.Stop()
	for {
		for _, to := range s.left(w) {
			if s.nodes.Known(to) {
				ask(to, id)
			} else {
				s.Answered(id, to)
			}
		}
		select {
		case <-w.done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("waiting for the nodes %v: %w", s.left(w), ctx.Err())
		case <-again.C:
			if err := lost(); err != nil {
				return err
			}
		}
	}
}

func (s *Syncs) begin() (id uint64, w *waitingSync) {
	w = &waitingSync{nodes: s.nodes.All(), done: make(chan struct{})}
	if len(w.nodes) == 0 {
		close(w.done)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.waiting[s.last] = w
	return s.last, w
}

func (s *Syncs) end(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, id)
}

// left returns who has not answered.
func (s *Syncs) left(w *waitingSync) []core.NodeID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(w.nodes)
}

// Answered notes that a node has answered.
func (s *Syncs) Answered(id uint64, by core.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.waiting[id]
	if w == nil {
		return
	}
	i := slices.Index(w.nodes, by)
	if i < 0 {
		return
	}
	if w.nodes = slices.Delete(w.nodes, i, i+1); len(w.nodes) == 0 {
		close(w.done)
	}
}

// Answer answers a sync of another node: at once if there is what it asks for, else as soon as await
// says so, which waits until its context ends. If that takes long, or too many wait already, there
// is no answer, and the other node asks again. What waits runs in running until ctx ends.
func (s *Syncs) Answer(ctx context.Context, running *sync.WaitGroup, there bool, await func(context.Context) bool, answer func()) {
	if there {
		answer()
		return
	}
	select {
	case s.places <- struct{}{}:
	default:
		return
	}
	running.Go(func() {
		defer func() { <-s.places }()
		ctx, cancel := context.WithTimeout(ctx, syncAgain)
		defer cancel()
		if await(ctx) {
			answer()
		}
	})
}
