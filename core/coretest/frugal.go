package coretest

import (
	"runtime"
	"testing"
)

// What a message may cost: a little, whatever it is, and for each of its bytes a few.
const (
	frugalBase    = 64 << 10
	frugalPerByte = 32
)

// Frugal fails the test if handle, which handles a message of size bytes, allocates more
// memory than in proportion to that: what a client can make of its own bytes must not
// stand in the way of others. Since other goroutines allocate too, it counts again before
// it complains: handle is called up to three times.
func Frugal(t testing.TB, size int, handle func()) {
	t.Helper()
	most := uint64(frugalBase + frugalPerByte*size)
	least := ^uint64(0)
	for range 3 {
		if least = min(least, allocated(handle)); least <= most {
			return
		}
	}
	t.Fatalf("a message of %d bytes allocates %d bytes, want at most %d", size, least, most)
}

// allocated returns how many bytes are allocated while f runs.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
