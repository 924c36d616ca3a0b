package redis

import (
	"context"
	"slices"
	"sync"

	"github.com/polywire/polywire/core"
)

const (
	// intakeBytes bounds what waits to be handled; what the nodes say to each other may wait
	// beyond that, up to the second bound.
	intakeBytes  = 64 << 20
	intakeUrgent = 2 * intakeBytes
	// messageOverhead is about what a message weighs besides its bytes.
	messageOverhead = 64
	// keptBuffer bounds what is kept of a buffer for later.
	keptBuffer = 1 << 20
	// intakeBatch is how many messages are passed on with one look at the bound.
	intakeBatch = 64
)

// intake hands messages to one goroutine, in the order in which they came: the server ends a
// connection that is not read fast enough. It is made anew for each connection.
type intake struct {
	// Static after construction.
	handle   func(channel, message []byte)
	together func(func()) // core.Cluster.Together
	stats    *core.ClusterStats
	wake     chan struct{}

	mu    sync.Mutex
	items []received
	bytes []byte // the channels and messages of items, in their order
	size  int    // of what waits or is being handled
}

// received is a message in an intake: lengths within its bytes.
type received struct{ channel, message int }

func newIntake(stats *core.ClusterStats, together func(func()), handle func(channel, message []byte)) *intake {
	return &intake{handle: handle, together: together, stats: stats, wake: make(chan struct{}, 1)}
}

// put copies a message.
func (in *intake) put(channel, message []byte, urgent bool) {
	weight := len(channel) + len(message) + messageOverhead
	most := intakeBytes
	if urgent {
		most = intakeUrgent
	}
	in.mu.Lock()
	if in.size > 0 && in.size+weight > most {
		in.mu.Unlock()
		in.stats.Dropped.Inc(core.ReasonOverload)
		return
	}
	in.size += weight
	in.bytes = append(append(in.bytes, channel...), message...)
	in.items = append(in.items, received{len(channel), len(message)})
	in.mu.Unlock()
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// run handles messages until ctx ends.
func (in *intake) run(ctx context.Context) {
	var items []received
	var bytes []byte
	for {
		select {
		case <-ctx.Done():
			return
		case <-in.wake:
		}
		in.mu.Lock()
		items, in.items = in.items, items[:0]
		bytes, in.bytes = in.bytes, bytes[:0]
		in.mu.Unlock()
		rest := bytes
		for some := range slices.Chunk(items, intakeBatch) {
			if ctx.Err() != nil {
				return
			}
			in.together(func() { rest = in.handleAll(ctx, some, rest) })
		}
		if cap(bytes) > keptBuffer {
			items, bytes = nil, nil
		}
	}
}

// handleAll handles some messages, which bytes begins with, until ctx ends. It returns what follows
// them.
func (in *intake) handleAll(ctx context.Context, some []received, bytes []byte) (rest []byte) {
	done := 0
	for _, item := range some {
		if ctx.Err() != nil {
			return nil
		}
		end := item.channel + item.message
		in.handle(bytes[:item.channel:item.channel], bytes[item.channel:end:end])
		bytes = bytes[end:]
		done += end + messageOverhead
	}
	in.mu.Lock()
	in.size -= done
	in.mu.Unlock()
	return bytes
}
