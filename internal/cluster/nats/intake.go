package nats

import (
	"context"
	"runtime"
	"slices"
	"sync"

	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core"
)

const (
	// intakeMessages is how many messages the client may hand over at a time: it drops what
	// does not fit. They are taken from it at once, so that it holds few.
	intakeMessages = 8192
	// intakeBytes bounds what waits to be handled.
	intakeBytes = 64 << 20
	// intakeBatch is how many messages are passed on with one look at the bound.
	intakeBatch = 64
	// messageOverhead is about what a message weighs besides its bytes.
	messageOverhead = 256
)

// intake hands the messages of subscriptions to one goroutine, in the order in which they
// came. It is made anew for each connection.
type intake struct {
	// Static after construction.
	ch       chan *natsgo.Msg // what subscriptions write to
	handle   func(*natsgo.Msg)
	together func(func()) // core.Cluster.Together
	stats    *core.ClusterStats
	wake     chan struct{}

	mu      sync.Mutex
	waiting []*natsgo.Msg
	bytes   int
}

func newIntake(stats *core.ClusterStats, together func(func()), handle func(*natsgo.Msg)) *intake {
	return &intake{ch: make(chan *natsgo.Msg, intakeMessages), handle: handle, together: together, stats: stats, wake: make(chan struct{}, 1)}
}

// run takes and handles messages until ctx ends.
func (in *intake) run(ctx context.Context) {
	var taking sync.WaitGroup
	defer taking.Wait()
	taking.Go(func() { in.take(ctx) })
	for {
		select {
		case <-ctx.Done():
			return
		case <-in.wake:
		}
		in.mu.Lock()
		batch := in.waiting
		in.waiting = nil
		in.mu.Unlock()
		for some := range slices.Chunk(batch, intakeBatch) {
			if ctx.Err() != nil {
				return
			}
			in.together(func() { in.handleAll(ctx, some) })
		}
	}
}

// handleAll handles some messages, until ctx ends.
func (in *intake) handleAll(ctx context.Context, some []*natsgo.Msg) {
	done := 0
	for i, m := range some {
		if ctx.Err() != nil {
			return
		}
		in.handle(m)
		done += weight(m)
		some[i] = nil
	}
	in.mu.Lock()
	in.bytes -= done
	in.mu.Unlock()
}

// take moves what the client has read to where it is bounded by its bytes.
func (in *intake) take(ctx context.Context) {
	var batch []*natsgo.Msg
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-in.ch:
			batch = append(batch[:0], m)
		}
		batch = in.gather(batch)
		in.put(batch)
		clear(batch)
	}
}

// gather appends what the client has read meanwhile. A server within this process hands over what it
// has by 512 bytes, from one goroutine to the next: they get a chance to bring more, because what
// reaches the clients here together costs one write for each, not one for each piece.
func (in *intake) gather(batch []*natsgo.Msg) []*natsgo.Msg {
	for yielded := false; len(batch) < intakeBatch; {
		select {
		case m := <-in.ch:
			batch, yielded = append(batch, m), false
			continue
		default:
		}
		if yielded {
			break
		}
		yielded = true
		runtime.Gosched()
	}
	return batch
}

// put lets messages wait, as far as there is room.
func (in *intake) put(batch []*natsgo.Msg) {
	dropped := uint64(0)
	in.mu.Lock()
	for _, m := range batch {
		if in.bytes > 0 && in.bytes+weight(m) > intakeBytes {
			dropped++
			continue
		}
		in.waiting = append(in.waiting, m)
		in.bytes += weight(m)
	}
	in.mu.Unlock()
	in.stats.Dropped.Add(core.ReasonOverload, dropped)
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

func weight(m *natsgo.Msg) int { return m.Size() + messageOverhead }

// drops counts what the client drops because an intake is full. The client says so once for
// each subscription, when that begins.
type drops struct {
	stats *core.ClusterStats

	mu   sync.Mutex
	seen map[*natsgo.Subscription]int // how many are counted
}

func newDrops(stats *core.ClusterStats) *drops {
	return &drops{stats: stats, seen: make(map[*natsgo.Subscription]int)}
}

// began notes a subscription that the client reports.
func (d *drops) began(sub *natsgo.Subscription) {
	d.mu.Lock()
	if _, ok := d.seen[sub]; !ok {
		d.seen[sub] = 0
	}
	d.mu.Unlock()
}

// count counts what was dropped since the last time.
func (d *drops) count() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for sub, seen := range d.seen {
		n, err := sub.Dropped()
		if err != nil {
			delete(d.seen, sub)
			continue
		}
		d.stats.Dropped.Add(core.ReasonOverload, uint64(max(n-seen, 0)))
		d.seen[sub] = n
	}
}
