package network

import (
	"bufio"
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// listeners is how many clients read besides the one that does not.
const listeners = 1000

// BenchmarkStalled publishes to 1000 listeners, alternating between a server on
// which nobody is slow and one with a client that never reads. The 99th percentile
// of the time from publish to arrival must not differ by more than a factor of 2.
func BenchmarkStalled(b *testing.B) {
	policy := func(_ *Options, ep *Endpoint) { ep.Settings.SlowConsumer = DropOldest }
	calm, abused := start(b, policy), start(b, policy)
	_, link := abused.sleeper()
	fill(b, link, 1<<19)
	rigs := []*rig{calm, abused}
	crowds := []*crowd{calm.crowd(listeners), abused.crowd(listeners)}
	b.ResetTimer()
	for i := range b.N {
		for j, r := range rigs {
			r.hub.publish(stamped(1<<10), nil)
			crowds[j].wait(i + 1)
		}
	}
	b.StopTimer()
	var p99 [2]float64
	for i, c := range crowds {
		took := c.wait(b.N)
		slices.Sort(took)
		p99[i] = float64(took[len(took)*99/100])
	}
	ratio := p99[1] / p99[0]
	b.ReportMetric(p99[0]/1e6, "p99-ms")
	b.ReportMetric(ratio, "p99-ratio")
	if b.N >= 20 && ratio > 2 {
		b.Errorf("beside a client that never reads the 99th percentile is %.1f times as long", ratio)
	}
}

// TestStalledAmongListeners: one client never reads while 1000 others do. Its backlog
// stays under the budget, although its endpoint would allow more, and the others get
// every message. Broken version: without loop.relieve.
func TestStalledAmongListeners(t *testing.T) {
	const messages, size, budget = 40, 32 << 10, 1 << 20
	r := start(t, func(o *Options, ep *Endpoint) {
		o.SendBuffer = 64 << 10
		o.OutboundBudget = budget
		ep.Settings.OutboundLimit = 1 << 30
		ep.Settings.SlowConsumer = DropOldest
	})
	r.sleeper()
	crowd := r.crowd(listeners)
	most := int64(0)
	for i := range messages {
		r.hub.publish(stamped(size), nil)
		crowd.wait(i + 1)
		most = max(most, r.Outbound())
	}
	if most < budget/2 || most > budget+budget/8 {
		t.Errorf("at most %d bytes waited, the budget is %d", most, budget)
	}
	if r.stats.Dropped[core.ReasonSlow].Load() == 0 {
		t.Error("no drop was counted")
	}
	if n := r.stats.Closed[core.ReasonSlow].Load(); n != 0 {
		t.Errorf("%d connections closed as slow", n)
	}
}

// fill builds a backlog of that many bytes for a client that does not read.
func fill(t testing.TB, l core.Link, bytes int) {
	t.Helper()
	text := make([]byte, 16<<10)
	for waiting := 0; waiting < bytes; {
		l.Send(core.Event{Kind: core.Message, Payload: core.Payload{Kind: core.Text, Data: text}})
		on(t, l, func(c *conn) { waiting = c.waiting() })
	}
}

// stamped is a message that begins with the time.
func stamped(size int) []byte {
	b := make([]byte, size)
	binary.BigEndian.PutUint64(b, uint64(time.Now().UnixNano()))
	return b
}

// crowd is many subscribers that read.
type crowd struct {
	t testing.TB
	n int

	// Guarded by mu.
	mu    sync.Mutex
	more  sync.Cond
	took  []time.Duration // of each delivery
	fault error
}

func (r *rig) crowd(n int) *crowd {
	c := &crowd{t: r.t, n: n}
	c.more.L = &c.mu
	for range n {
		go c.listen(r.subscriber())
	}
	return c
}

// listen reads until the connection ends.
func (c *crowd) listen(from *client) {
	_ = from.SetDeadline(time.Time{})
	in := bufio.NewReaderSize(from, 20<<10)
	for {
		h, err := ws.ReadHeader(in)
		var at [8]byte
		if err == nil {
			_, err = io.ReadFull(in, at[:])
		}
		took := time.Duration(time.Now().UnixNano() - int64(binary.BigEndian.Uint64(at[:])))
		if err == nil {
			_, err = in.Discard(int(h.Length) - len(at))
		}
		c.mu.Lock()
		if err != nil {
			c.fault = err
		} else {
			c.took = append(c.took, took)
		}
		if err != nil || len(c.took)%c.n == 0 {
			c.more.Signal()
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// wait waits until everybody has got so many messages, and returns how long each
// delivery took.
func (c *crowd) wait(messages int) []time.Duration {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.took) < messages*c.n && c.fault == nil {
		c.more.Wait()
	}
	if c.fault != nil {
		c.t.Fatalf("a listener left: %v", c.fault)
	}
	return c.took
}
