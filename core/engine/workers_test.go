package engine

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
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
	var w workers
	w.init(func(t *task) { order = append(order, t.in.Connection) }, t.Context().Done())
	l := new(loopLink)
	for round := range uint64(2) {
		for i := range uint64(4) {
			w.add(l, &task{in: core.Invocation{Connection: 4*round + i}})
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
	var w workers
	w.init(func(t *task) {
		if t.in.OneWay {
			close(free)
			return
		}
		defer done.Done()
		<-release
	}, t.Context().Done())
	l := new(link)
	done.Add(blocked)
	for range blocked {
		w.add(l, &task{})
	}
	w.add(l, &task{in: core.Invocation{OneWay: true}})
	<-free
	close(release)
	done.Wait()
}

// A queue that is never empty takes little more room than what was ever in it.
func TestWorkersQueueKeepsItsSize(t *testing.T) {
	var w workers
	const waiting = 100
	for i := range uint64(10_000) {
		w.put(&task{in: core.Invocation{Connection: i}})
		if i < waiting {
			continue
		}
		if got, _ := w.take(); got == nil || got.in.Connection != i-waiting {
			t.Fatalf("took %+v, want %d", got, i-waiting)
		}
	}
	if n := cap(w.queue); n > 4*waiting {
		t.Errorf("%d tasks take the room of %d", waiting, n)
	}
}

// A worker waits for the next task, and goes home when none has come for a while, or when
// all is over.
func TestWorkersWait(t *testing.T) {
	for _, end := range []string{"retired", "ended"} {
		ended, names := make(chan struct{}), make(chan string)
		var w workers
		w.init(func(*task) { names <- goroutine() }, ended)
		l := new(link)
		w.add(l, &task{})
		first := <-names
		// A worker that does not wait yet when it is called has another one begin.
		for name := ""; name != first; name = <-names {
			w.add(l, &task{})
		}
		if end == "ended" {
			close(ended)
		}
		coretest.Eventually(t, end+": no worker waits", func() bool {
			if end == "retired" {
				w.retireIdle()
			}
			return w.waiting.Load() == 0
		})
	}
}

// Nobody is sent home who was needed since the last time.
func TestWorkersAreRelievedInQuiet(t *testing.T) {
	var w workers
	w.init(func(*task) {}, t.Context().Done())
	w.calls = make(chan core.Link, 1) // a worker that waits
	w.add(new(link), &task{})
	<-w.calls
	if w.retireIdle(); len(w.calls) != 0 {
		t.Error("a worker is sent home that was just needed")
	}
	if w.retireIdle(); len(w.calls) != 1 {
		t.Error("no worker is sent home although none was needed")
	}
}

// goroutine names the goroutine that calls it.
func goroutine() string {
	var b [64]byte
	name, _, _ := strings.Cut(string(b[:runtime.Stack(b[:], false)]), " [")
	return name
}
