package network

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// memoryEvery is the time between two measurements of the memory.
	memoryEvery = time.Second
	// collectEvery is the least time between garbage collections that the gauge
	// requests.
	collectEvery = 10 * time.Second
	// A crowd is crowdSize connections; it is complete when fewer than trickle came since
	// the last measurement.
	crowdSize, trickle = 1000, 100
)

// AvailableMemory returns how many bytes the process may use: GOMEMLIMIT, the limit
// of its cgroup or the machine's memory, whichever is least; 0 if none is known. Any
// goroutine.
func AvailableMemory() uint64 {
	least := uint64(math.MaxInt64)
	if limit := debug.SetMemoryLimit(-1); limit > 0 {
		least = uint64(limit)
	}
	for _, source := range []func() (uint64, error){memlimit.FromCgroup, memlimit.FromSystem} {
		if limit, err := source(); err == nil && limit > 0 {
			least = min(least, limit)
		}
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}

// memoryGauge measures how much memory the process uses: what was alive at the last
// garbage collection, stacks, and the runtime's own. Garbage is not counted, because it is
// freed when memory is needed; nor is the kernel's memory for sockets.
//
// It also returns the memory that a crowd has left behind. Handshakes, especially with TLS,
// take far more memory than the resulting connections, and idle connections give the
// runtime no reason to collect it.
type memoryGauge struct {
	// Owned by watch.
	collected time.Time
	came      uint64 // connections until the last measurement
	settled   uint64 // connections until memory was last returned

	// Atomic.
	used atomic.Uint64
}

// watch measures regularly until done is closed. It calls watermark and came each time; came
// returns the number of connections so far.
func (g *memoryGauge) watch(watermark, came func() uint64, done <-chan struct{}) {
	ticker := time.NewTicker(memoryEvery)
	defer ticker.Stop()
	for {
		g.look(watermark(), came())
		select {
		case <-done:
			return
		case <-ticker.C:
		}
	}
}

// look measures. Over the watermark only a garbage collection gives the true value: what
// was allocated since the last one, or during it, may be alive or garbage.
func (g *memoryGauge) look(watermark, came uint64) {
	alive, allocated, free := memoryInUse()
	quiet := came-g.came < trickle
	g.came = came
	if time.Since(g.collected) > collectEvery {
		switch {
		case quiet && came-g.settled >= crowdSize && allocated-alive+free > alive/2:
			debug.FreeOSMemory() // which collects
			g.collected, g.settled = time.Now(), came
			alive, _, _ = memoryInUse()
		case watermark > 0 && allocated > watermark:
			runtime.GC()
			g.collected = time.Now()
			alive, _, _ = memoryInUse()
		}
	}
	g.used.Store(alive)
}

// memoryInUse returns the bytes in use without and with garbage, and those that are free
// but not returned to the system.
func memoryInUse() (alive, allocated, free uint64) {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	value := func(i int) uint64 { return samples[i].Value.Uint64() }
	allocated = value(0) - value(1) - value(2) - value(3)
	garbage := value(4) - min(value(4), value(5))
	return allocated - garbage, allocated, value(1) + value(3)
}
