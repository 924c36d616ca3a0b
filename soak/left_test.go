package soak

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"
)

// state is what there is when nobody is connected.
type state struct {
	goroutines, files int
	heap              int64
}

func (s state) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %d KiB of heap", s.goroutines, s.files, s.heap>>10)
}

// settled waits until the broker has no call and no connection, and measures what is
// left. Goroutines and files that are about to end are given the time.
func (b *broker) settled(t *testing.T) state {
	t.Helper()
	for _, metric := range []string{"polywire_calls_outstanding", "polywire_connections_open", "polywire_topics"} {
		for deadline := time.Now().Add(patience); b.metric(t, metric) != 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s is %d", metric, b.metric(t, metric))
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
	least := measure(t)
	for range 50 {
		time.Sleep(10 * time.Millisecond)
		now := measure(t)
		least.goroutines = min(least.goroutines, now.goroutines)
		least.files = min(least.files, now.files)
		least.heap = min(least.heap, now.heap)
	}
	return least
}

func measure(t *testing.T) state {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return state{goroutines: runtime.NumGoroutine(), files: len(files), heap: int64(m.HeapAlloc)}
}

// compare wants nothing left of a round, but that the heap may have grown by so many
// bytes. Goroutines and files that take longer to end are given the time.
func compare(t *testing.T, before, after state, growth int64) {
	t.Helper()
	for deadline := time.Now().Add(patience); (after.goroutines > before.goroutines || after.files > before.files) && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
		now := measure(t)
		after.goroutines, after.files = min(after.goroutines, now.goroutines), min(after.files, now.files)
	}
	t.Logf("before: %v; after: %v", before, after)
	if after.goroutines > before.goroutines {
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d before:\n%s", after.goroutines, before.goroutines, stacks[:runtime.Stack(stacks, true)])
	}
	if grown := after.heap - before.heap; grown > growth {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if after.files > before.files {
		t.Errorf("%d open files, %d before", after.files, before.files)
	}
}
