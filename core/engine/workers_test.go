package engine

import (
	"slices"
	"sync"
	"testing"

	"github.com/polywire/polywire/core"
)

// loopLink is a link whose Later waits until the test runs it.
type loopLink struct {
	*link
	later []func()
}

func (l *loopLink) Later(f func()) { l.later = append(l.later, f) }

// turn runs what was left for later.
func (l *loopLink) turn() {
	later := l.later
	l.later = nil
	for _, f := range later {
		f()
	}
}

// One worker does all the tasks that a turn of the loop has brought, and goes.
func TestWorkersTakeTasksTogether(t *testing.T) {
	var order []uint64
	w := workers{do: func(t task) { order = append(order, t.in.Connection) }}
	l := new(loopLink)
	for round := range uint64(2) {
		for i := range uint64(4) {
			w.add(l, task{in: core.Invocation{Connection: 4*round + i}})
		}
		if n := len(l.later); n != 1 {
			t.Fatalf("round %d: %d workers are sent, want 1", round, n)
		}
		// The worker that was sent is this goroutine; the one that it sends for in case
		// that it blocks is not needed.
		l.later = nil
		w.work(l)
		l.turn()
		if w.coming {
			t.Errorf("round %d: a worker is coming, and there is no task", round)
		}
	}
	if want := []uint64{0, 1, 2, 3, 4, 5, 6, 7}; !slices.Equal(order, want) {
		t.Errorf("done in the order %v", order)
	}
}

// A task does not wait for those that block, however many they are.
func TestWorkersPassBlockedOnes(t *testing.T) {
	const blocked = 16
	release, free := make(chan struct{}), make(chan struct{})
	var done sync.WaitGroup
	w := workers{do: func(t task) {
		if t.in.OneWay {
			close(free)
			return
		}
		defer done.Done()
		<-release
	}}
	l := new(link)
	done.Add(blocked)
	for range blocked {
		w.add(l, task{})
	}
	w.add(l, task{in: core.Invocation{OneWay: true}})
	<-free
	close(release)
	done.Wait()
}

// A queue that is never empty takes little more room than what was ever in it.
func TestWorkersQueueKeepsItsSize(t *testing.T) {
	var w workers
	const waiting = 100
	for i := range uint64(10_000) {
		w.put(task{in: core.Invocation{Connection: i}})
		if i < waiting {
			continue
		}
		if got, ok := w.take(); !ok || got.in.Connection != i-waiting {
			t.Fatalf("took %d, %v, want %d", got.in.Connection, ok, i-waiting)
		}
	}
	if n := cap(w.queue); n > 4*waiting {
		t.Errorf("%d tasks take the room of %d", waiting, n)
	}
}
