package bridge

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// published is a side of the engine that keeps what is published.
type published struct {
	core.Peer
	texts []string
	then  func(text string)
}

func (p *published) Do(c core.Command) {
	p.texts = append(p.texts, string(c.Payload.Data))
	if p.then != nil {
		p.then(string(c.Payload.Data))
	}
}

// hearing returns a connection of a bridge to an old server, and what it publishes. Somebody else waits for room
// while crowded is set.
func hearing(t *testing.T, crowded *bool) (*server, *published) {
	p := new(published)
	b := &Bridge{loop: newLoop(nil), peer: p, ctx: t.Context(), o: Options{
		Endpoint: &core.Endpoint{Name: "old", Stats: new(core.Stats)},
		Leads:    func() bool { return true },
		Crowded:  func() bool { return *crowded },
		Room:     func(context.Context) error { *crowded = false; return nil },
		Together: func(f func()) { f() },
	}}
	return &server{bridge: b, topic: "t"}, p
}

// hear has a connection hear messages with the numbers from one to another.
func (s *server) hear(from, to int) (all []string) {
	for i := range to {
		text := fmt.Sprint(i)
		if all = append(all, text); i >= from {
			s.heard(core.Event{Kind: core.Message, Payload: core.Payload{Kind: core.Text, Data: []byte(text)}})
		}
	}
	return all
}

// What is heard is published at once if there is room; else the rest waits for it, in order.
func TestLullWaitsForRoom(t *testing.T) {
	crowded := false
	s, p := hearing(t, &crowded)
	const n = 3 * batchEvents
	want := s.hear(0, 2*batchEvents)
	if !slices.Equal(p.texts, want) {
		t.Errorf("%d messages are published as soon as a batch is full, want %d", len(p.texts), len(want))
	}
	want = s.hear(2*batchEvents, 2*batchEvents+1)
	if s.lull() != nil || !slices.Equal(p.texts, want) {
		t.Errorf("%d messages are published without waiting, want %d", len(p.texts), len(want))
	}
	crowded = true
	rest := s.hear(2*batchEvents+1, n)
	wait := s.lull()
	if wait == nil || !slices.Equal(p.texts, want) {
		t.Fatalf("%d messages are published while others wait for room", len(p.texts)-len(want))
	}
	if wait(); !slices.Equal(p.texts, rest) {
		t.Errorf("%q is published, want %q", p.texts, rest)
	}
	if s.lull() != nil {
		t.Error("something waits when all is published")
	}
}

// When the bridge is held in a batch, the rest waits for the release, and nothing is published twice or lost.
func TestBatchIsHeld(t *testing.T) {
	crowded := false
	s, p := hearing(t, &crowded)
	l := s.bridge.loop
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go l.run(ctx, func() {})
	p.then = func(text string) {
		if text == "1" {
			l.held++
		}
	}
	s.hear(0, 5)
	wait := s.lull()
	if wait == nil || len(p.texts) != 2 {
		t.Fatalf("%q is published before it is held", p.texts)
	}
	want := s.hear(5, 5+batchEvents)
	done := make(chan struct{})
	go func() { defer close(done); wait() }()
	l.post(func() { l.held-- })
	coretest.Receive(t, "the rest is published", done)
	if !slices.Equal(p.texts, want) {
		t.Errorf("%q is published, want %q", p.texts, want)
	}
	// While something else runs on the bridge's loop, nobody waits for it here.
	l.turn.Lock()
	s.hear(0, 1)
	wait = s.lull()
	l.turn.Unlock()
	if wait == nil {
		t.Fatal("it has waited, or published beside what runs")
	}
	if wait(); len(p.texts) != len(want)+1 {
		t.Errorf("%d messages are published, want one more than %d", len(p.texts), len(want))
	}
}

// An event that makes the engine panic is not handled again; those behind it are, also when another connection has
// followed.
func TestBatchPanics(t *testing.T) {
	for name, crowds := range map[string]bool{"at once": false, "while it waits": true} {
		t.Run(name, func(t *testing.T) {
			crowded := crowds
			s, p := hearing(t, &crowded)
			p.then = func(text string) {
				if text == "1" {
					panic("a fault")
				}
			}
			want := s.hear(0, 5)
			func() {
				defer func() {
					if recover() == nil {
						t.Error("the panic is lost")
					}
				}()
				s.lull()()
			}()
			p.then, crowded = nil, false
			s.lull()
			if !slices.Equal(p.texts, want) {
				t.Errorf("%q is published, want %q", p.texts, want)
			}
		})
	}
}

// What is posted and panics ends nothing else.
func TestPostedPanics(t *testing.T) {
	faults := make(chan any, 10)
	l := newLoop(func(fault any) { faults <- fault })
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go l.run(ctx, func() {})
	ran := make(chan struct{})
	l.post(func() { panic("a fault") })
	l.post(func() { close(ran) })
	coretest.Receive(t, "what is posted next", ran)
	if got := coretest.Receive(t, "the panic", faults); got != "a fault" || len(faults) > 0 {
		t.Errorf("it is told as %v, and %d more", got, len(faults))
	}
}
