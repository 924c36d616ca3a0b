package soak

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/polywire/polywire/core/coretest"
)

// state is what remains when nobody is connected.
type state struct {
	files int
	heap  int64
}

func (s state) String() string { return fmt.Sprintf("%d files, %d KiB of heap", s.files, s.heap>>10) }

// settled waits until the broker has no call and no connection, and measures what is left. It gives
// files some time that are about to be closed.
func (b *broker) settled(t *testing.T) state {
	t.Helper()
	for _, metric := range []string{"polywire_calls_outstanding", "polywire_connections_open", "polywire_topics"} {
		coretest.Eventually(t, metric+" is 0", func() bool { return b.metric(t, metric) == 0 })
	}
	least := measure(t)
	for range 50 {
		time.Sleep(10 * time.Millisecond)
		now := measure(t)
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
	return state{files: len(files), heap: int64(m.HeapAlloc)}
}

// kept are goroutines that the broker starts when it first needs them and keeps.
var kept = []string{
	"github.com/polywire/polywire/core/network.(*loop).pace", // one for each loop
}

// leftovers returns a check that no goroutines are left but those that exist now.
func leftovers(t *testing.T) (none func()) { return coretest.Leftovers(t, kept...) }

// compare checks that nothing is left of a round, except that the heap may have grown by growth
// bytes. It gives files some time that take longer to be closed.
func compare(t *testing.T, before, after state, growth int64) {
	t.Helper()
	t.Logf("before: %v; after: %v", before, after)
	if grown := after.heap - before.heap; grown > growth {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	coretest.Eventually(t, fmt.Sprintf("%d open files, as before", before.files), func() bool {
		return measure(t).files <= before.files
	})
}
