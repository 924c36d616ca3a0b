package bridge

import (
	"context"
	"slices"
	"testing"

	"github.com/polywire/polywire/core/coretest"
)

// What the old server has said waits while the bridge is held, and what is posted comes before what waits.
func TestLoopIsHeld(t *testing.T) {
	l := newLoop(nil)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go l.run(ctx, func() {})
	var done []int // owned by the loop
	held, handled := make(chan struct{}), make(chan struct{})
	together := 0
	go func() {
		defer close(handled)
		i := -1
		l.times(3, func(f func()) { together++; f() }, func() {
			i++
			done = append(done, i)
			if i == 1 {
				l.held++
				close(held)
			}
			number := 10 + i
			l.post(func() { done = append(done, number) })
		})
	}()
	coretest.Receive(t, "it is held", held)
	for range 10 {
		// Each runs on the loop, while the third event waits.
		ran := make(chan bool)
		l.post(func() { ran <- slices.Contains(done, 2) })
		if coretest.Receive(t, "what is posted", ran) {
			t.Fatal("an event is handled while the bridge is held")
		}
	}
	l.post(func() { l.held-- })
	coretest.Receive(t, "all are handled", handled)
	stop()
	coretest.Receive(t, "the loop has ended", l.ended)
	if want := []int{0, 10, 1, 11, 2}; !slices.Equal(done[:5], want) {
		t.Errorf("%v ran, want %v and then perhaps 12", done, want)
	}
	if together != 2 {
		t.Errorf("%d times together, want 2: before and after it was held", together)
	}
}

// The end of a loop is the end of what waits for it, and nothing runs on it later.
func TestLoopEnds(t *testing.T) {
	l := newLoop(nil)
	ctx, stop := context.WithCancel(t.Context())
	go l.run(ctx, func() {})
	once := func(f func()) { f() }
	held, returned := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(returned)
		l.times(2, once, func() {
			if l.held++; l.held > 1 {
				t.Error("an event is handled after the end")
			}
			close(held)
		})
	}()
	coretest.Receive(t, "it is held", held)
	stop()
	coretest.Receive(t, "who waits returns", returned)
	coretest.Receive(t, "the loop has ended", l.ended)
	l.held = 0
	l.times(1, once, func() { t.Error("an event is handled after the end") })
}
