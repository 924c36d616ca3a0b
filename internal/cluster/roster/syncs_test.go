package roster

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// known returns a roster in which these nodes are.
func known(t *testing.T, nodes ...core.NodeID) *Roster {
	t.Helper()
	r := New(Options{
		ID: "n-self-0", Name: "self", Stats: new(core.ClusterStats), Logger: slog.New(slog.DiscardHandler),
		Fits: func(string) bool { return true }, Heard: func(core.NodeID) {}, Gone: func(core.NodeID) {},
	})
	r.Start(goneCluster{})
	for _, n := range nodes {
		r.Notice((&notice{Type: noticeHello, Node: n, Name: string(n)}).encode())
	}
	return r
}

type goneCluster struct{ core.Cluster }

func (goneCluster) Joined(core.NodeID) {}
func (goneCluster) Gone(core.NodeID)   {}

// A sync ends when each node has answered it, or is gone; nodes are asked until then.
func TestSyncs(t *testing.T) {
	r := known(t, "a", "b", "c")
	s := NewSyncs(r)
	fine := func() error { return nil }
	asked := map[core.NodeID]int{}
	err := s.Wait(t.Context(), func(to core.NodeID, id uint64) {
		s.Answered(id+1, to)
		s.Answered(id, "stranger")
		switch asked[to]++; to {
		case "a":
			s.Answered(id, to)
			s.Answered(id, to)
		case "b":
			if asked[to] == 2 {
				s.Answered(id, to)
			}
		case "c":
			r.Notice((&notice{Type: noticeBye, Node: to}).encode())
		}
	}, fine)
	if err != nil || asked["a"] != 1 || asked["b"] != 2 || asked["c"] != 1 {
		t.Errorf("%v after %v", err, asked)
	}
	never := func(core.NodeID, uint64) {}
	lost := errors.New("lost")
	if err := s.Wait(t.Context(), never, func() error { return lost }); !errors.Is(err, lost) {
		t.Errorf("without a connection: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Wait(ctx, never, fine); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := NewSyncs(known(t)).Wait(ctx, never, fine); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("without nodes: %v", err)
	}
	if len(s.waiting) > 0 {
		t.Errorf("%d syncs are left", len(s.waiting))
	}
}

// A sync of another node is answered when there is what it asks for, and not at all if too many
// wait.
func TestSyncsAnswer(t *testing.T) {
	s := NewSyncs(known(t))
	var running sync.WaitGroup
	answers := make(chan string, 2*maxSyncs)
	answer := func() { answers <- "yes" }
	s.Answer(t.Context(), &running, true, nil, answer)
	coretest.Receive(t, "the answer at once", answers)
	s.Answer(t.Context(), &running, false, func(context.Context) bool { return true }, answer)
	coretest.Receive(t, "the answer later", answers)
	running.Wait()
	s.Answer(t.Context(), &running, false, func(context.Context) bool { return false }, answer)
	running.Wait()
	for range maxSyncs {
		s.places <- struct{}{}
	}
	s.Answer(t.Context(), &running, false, func(context.Context) bool { return true }, answer)
	running.Wait()
	if n := len(answers); n > 0 {
		t.Errorf("%d answers, want none", n)
	}
}
