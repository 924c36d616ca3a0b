package redis

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/internal/cluster/roster"
)

const (
	// writeBatch and writeBytes bound what is written before its answers are read. They are few
	// enough for the answers to find room while nobody reads them.
	writeBatch = 1024
	writeBytes = 256 << 10
	// urgentBytes is what nodes may say to each other beyond the bound of an outbox.
	urgentBytes = 8 << 20
)

// errors of put; each is counted already.
var (
	errAway     = errors.New("the cluster's engine cannot be reached")
	errFull     = errors.New("too much waits to be passed on to the cluster")
	errTooLarge = errors.New("the message is larger than the cluster's engine takes")
)

// outgoing is a message in an outbox. Its channel and message are in outbox.bytes.
type outgoing struct {
	channel, message int  // lengths
	publish          int  // the bytes of the payload, plus 1; 0 is not counted as a message
	urgent           bool // it says something about this node
	// to and call name the call that the message asks.
	to   core.NodeID
	call core.CallID
}

func (i *outgoing) size() int { return i.channel + i.message + messageOverhead }

// outbox holds what is to be published. Whoever puts something in does not wait. Any goroutine.
type outbox struct {
	// Static after construction.
	limit int
	stats *core.ClusterStats
	log   *slog.Logger
	wake  chan struct{}
	// unsent is told the calls that could not be asked, and whether their node is gone.
	unsent func(to core.NodeID, call core.CallID, gone bool)

	size     atomic.Int64    // of what waits or is being written, in bytes
	progress roster.Progress // Begin is called with mu held

	mu    sync.Mutex
	open  bool // there is a connection
	items []outgoing
	bytes []byte // the channels and messages of items, in their order
}

func newOutbox(limit int, stats *core.ClusterStats, log *slog.Logger, unsent func(core.NodeID, core.CallID, bool)) *outbox {
	return &outbox{limit: limit, stats: stats, log: log, unsent: unsent, wake: make(chan struct{}, 1)}
}

// put puts a message in. channel and message append it to a buffer; weight is about its size.
func (o *outbox) put(item outgoing, weight int, channel, message func([]byte) []byte) error {
	if weight > maxOutgoing {
		o.stats.Dropped.Inc(core.ReasonTooLarge)
		return errTooLarge
	}
	limit := o.limit
	if item.urgent {
		limit += urgentBytes
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.open {
		o.stats.Dropped.Inc(core.ReasonUnavailable)
		return errAway
	}
	if waiting := int(o.size.Load()); waiting > 0 && waiting+weight > limit {
		o.stats.Dropped.Inc(core.ReasonOverload)
		return errFull
	}
	start := len(o.bytes)
	o.bytes = channel(o.bytes)
	item.channel = len(o.bytes) - start
	o.bytes = message(o.bytes)
	item.message = len(o.bytes) - start - item.channel
	if item.message > maxOutgoing { // JSON can be longer than what it says
		o.bytes = o.bytes[:start]
		o.stats.Dropped.Inc(core.ReasonTooLarge)
		return errTooLarge
	}
	o.items = append(o.items, item)
	o.progress.Begin()
	o.grow(item.size())
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return nil
}

// ended notes that a message was answered or dropped.
func (o *outbox) ended(i *outgoing) {
	o.grow(-i.size())
	o.progress.End(1)
}

func (o *outbox) grow(n int) { o.stats.Queued.Store(o.size.Add(int64(n))) }

// written waits until what was put in before the call is answered or dropped.
func (o *outbox) written(ctx context.Context) error {
	return o.progress.Await(ctx, o.progress.Position())
}

// start lets messages wait for a connection.
func (o *outbox) start() {
	o.mu.Lock()
	o.open = true
	o.mu.Unlock()
}

// run publishes on a connection until ctx ends or the connection fails. What is left then is
// dropped, and so is all that comes until the next start. It is called by one goroutine at a
// time.
func (o *outbox) run(ctx context.Context, w *wire, own string) (err error) {
	var items []outgoing
	var bytes []byte
	left := 0
	for err == nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-o.wake:
			o.mu.Lock()
			items, o.items = o.items, items[:0]
			bytes, o.bytes = o.bytes, bytes[:0]
			o.mu.Unlock()
			if left, err = o.write(ctx, w, items, bytes, own); err != nil {
				break
			}
			if cap(bytes) > keptBuffer {
				items, bytes = nil, nil
			}
		}
	}
	if err != nil {
		o.drop(items[len(items)-left:])
	}
	o.mu.Lock()
	o.open = false
	items = o.items
	o.items, o.bytes = nil, nil
	o.mu.Unlock()
	o.drop(items)
	return err
}

// drop counts what could not be written.
func (o *outbox) drop(items []outgoing) {
	for i := range items {
		item := &items[i]
		o.stats.Dropped.Inc(core.ReasonUnavailable)
		if item.call != (core.CallID{}) {
			o.unsent(item.to, item.call, false)
		}
		o.ended(item)
	}
}

// write publishes items. If it fails it returns how many are left.
func (o *outbox) write(ctx context.Context, w *wire, items []outgoing, bytes []byte, own string) (left int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(items) > 0 {
		if err := ctx.Err(); err != nil {
			return len(items), err
		}
		n := 0
		w.buf = w.buf[:0]
		for n < len(items) && n < writeBatch && len(w.buf) < writeBytes {
			item := &items[n]
			if sharded(own) && strings.HasPrefix(string(bytes[:min(item.channel, len(own))]), own) {
				w.buf = append(w.buf, "*3\r\n$8\r\nSPUBLISH\r\n"...)
			} else {
				w.buf = append(w.buf, "*3\r\n$7\r\nPUBLISH\r\n"...)
			}
			w.buf = appendCount(w.buf, '$', item.channel)
			w.buf = append(append(w.buf, bytes[:item.channel]...), "\r\n"...)
			w.buf = appendCount(w.buf, '$', item.message)
			w.buf = append(append(w.buf, bytes[item.channel:item.channel+item.message]...), "\r\n"...)
			bytes = bytes[item.channel+item.message:]
			n++
		}
		if err := w.flush(); err != nil {
			return len(items), err
		}
		for range n {
			count, err := w.simple()
			if _, ok := errors.AsType[serverError](err); err != nil && !ok {
				return len(items), err
			}
			o.answered(&items[0], count, err)
			items = items[1:]
		}
	}
	return 0, nil
}

// answered handles the server's answer to a message.
func (o *outbox) answered(item *outgoing, count int, err error) {
	o.ended(item)
	asks := item.call != (core.CallID{})
	switch {
	case err != nil:
		o.stats.Dropped.Inc(core.ReasonDenied)
		o.log.Warn("Redis refuses a message", logging.Bounded("", core.ReasonDenied.String()), slog.String("error", explain("publishing to Redis", err).Error()))
		if asks {
			o.unsent(item.to, item.call, false)
		}
	case asks && count == 0:
		o.stats.Dropped.Inc(core.ReasonGone)
		o.unsent(item.to, item.call, true)
	case item.publish > 0:
		o.stats.MessagesOut.Add(1)
		o.stats.BytesOut.Add(uint64(item.publish - 1))
	}
}
