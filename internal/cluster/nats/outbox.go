package nats

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// outbox holds what is to be written to the cluster's engine. Whoever puts something in does
// not wait: the client itself may block while its socket is full.
type outbox struct {
	// Static after construction.
	limit int
	stats *core.ClusterStats
	wake  chan struct{}
	// unsent is told the calls that could not be asked.
	unsent func(to core.NodeID, call core.CallID)

	size       atomic.Int64    // of what waits or is being written, in bytes
	maxPayload atomic.Int64    // of the server
	progress   roster.Progress // Begin is called with mu held

	mu    sync.Mutex
	open  bool // there is a connection
	items []outgoing
	bytes []byte // the subjects and payloads of items, in their order
}

// outgoing is a message in an outbox. Its subject and payload are in outbox.bytes.
type outgoing struct {
	subject, payload int // lengths
	header           natsgo.Header
	publish          bool // counted as a message
	topic            bool // it is on a topic: it says by which connection it goes
	// to and call name the call that the message asks.
	to   core.NodeID
	call core.CallID
}

func newOutbox(limit int, stats *core.ClusterStats, unsent func(core.NodeID, core.CallID)) *outbox {
	return &outbox{limit: limit, stats: stats, unsent: unsent, wake: make(chan struct{}, 1)}
}

// written waits until what was put in before the call is written or dropped.
func (o *outbox) written(ctx context.Context) error {
	return o.progress.Await(ctx, o.progress.Position())
}

// errors of put; each is counted already.
var (
	errAway     = errors.New("the cluster's engine cannot be reached")
	errFull     = errors.New("too much waits to be passed on to the cluster")
	errTooLarge = errors.New("the message is larger than the cluster's engine takes")
)

// put appends a copy of a message. subject appends it to a buffer.
func (o *outbox) put(item outgoing, subject func([]byte) []byte, payload []byte) error {
	if most := o.maxPayload.Load(); most > 0 && int64(len(payload)+headerSize(item.header)) > most {
		o.stats.Dropped.Inc(core.ReasonTooLarge)
		return errTooLarge
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.open {
		o.stats.Dropped.Inc(core.ReasonUnavailable)
		return errAway
	}
	start := len(o.bytes)
	o.bytes = subject(o.bytes)
	item.subject, item.payload = len(o.bytes)-start, len(payload)
	if item.subject > maxSubject {
		o.bytes = o.bytes[:start]
		o.stats.Dropped.Inc(core.ReasonTooLarge)
		return errTooLarge
	}
	size := item.size()
	if waiting := int(o.size.Load()); waiting > 0 && waiting+size > o.limit {
		o.bytes = o.bytes[:start]
		o.stats.Dropped.Inc(core.ReasonOverload)
		return errFull
	}
	o.bytes = append(o.bytes, payload...)
	o.items = append(o.items, item)
	o.progress.Begin()
	o.grow(size)
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return nil
}

// size is what an item weighs.
func (i *outgoing) size() int {
	return i.subject + i.payload + headerSize(i.header) + messageOverhead
}

func headerSize(h natsgo.Header) int {
	n := 0
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	if n > 0 {
		n += len("NATS/1.0\r\n\r\n")
	}
	return n
}

func (o *outbox) grow(n int) { o.stats.Queued.Store(o.size.Add(int64(n))) }

// take returns what waits and leaves the outbox empty. items and bytes are to be used again.
func (o *outbox) take(items []outgoing, bytes []byte) ([]outgoing, []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	taken, text := o.items, o.bytes
	clear(items)
	o.items, o.bytes = items[:0], bytes[:0]
	return taken, text
}

const (
	// keptBuffer bounds what an outbox keeps of a buffer for later.
	keptBuffer = 1 << 20
	// writeBatch is how many messages are written with one look at the bound.
	writeBatch = 64
)

// run writes to a connection, named origin, until ctx ends. What is left then is dropped, and so is all that
// comes until the next run. It is called by one goroutine at a time, and closes opened as soon
// as messages are taken.
func (o *outbox) run(ctx context.Context, nc *natsgo.Conn, origin string, opened chan<- struct{}) {
	o.maxPayload.Store(nc.MaxPayload())
	o.mu.Lock()
	o.open = true
	o.mu.Unlock()
	close(opened)
	var items []outgoing
	var bytes []byte
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-o.wake:
			items, bytes = o.take(items, bytes)
			o.write(ctx, nc, origin, items, bytes)
			if cap(bytes) > keptBuffer {
				items, bytes = nil, nil
			}
		}
	}
	o.mu.Lock()
	o.open = false
	items, bytes = o.items, o.bytes
	o.items, o.bytes = nil, nil
	o.mu.Unlock()
	o.write(ctx, nc, origin, items, bytes)
}

// write writes items, or drops them if ctx has ended.
func (o *outbox) write(ctx context.Context, nc *natsgo.Conn, origin string, items []outgoing, bytes []byte) {
	written, since := 0, 0
	subject := ""
	for i := range items {
		item := &items[i]
		payload := bytes[item.subject : item.subject+item.payload]
		if name := bytes[:item.subject]; string(name) != subject {
			subject = string(name) // often it is that of the message before
		}
		bytes = bytes[item.subject+item.payload:]
		err := errAway
		if ctx.Err() == nil {
			reply := ""
			if item.topic {
				reply = origin
			}
			err = send(nc, subject, reply, item.header, payload)
		}
		switch {
		case err != nil:
			o.drop(item, err)
		case item.publish:
			o.stats.MessagesOut.Add(1)
			o.stats.BytesOut.Add(uint64(item.payload))
		}
		written += item.size()
		since++
		if since == writeBatch || i == len(items)-1 {
			o.grow(-written)
			o.progress.End(since)
			written, since = 0, 0
		}
	}
}

// drop counts what could not be written.
func (o *outbox) drop(item *outgoing, err error) {
	reason := core.ReasonUnavailable
	if errors.Is(err, natsgo.ErrMaxPayload) {
		reason = core.ReasonTooLarge
	}
	o.stats.Dropped.Inc(reason)
	if item.call != (core.CallID{}) {
		o.unsent(item.to, item.call)
	}
}

// send publishes one message. The client copies it.
func send(nc *natsgo.Conn, subject, reply string, header natsgo.Header, payload []byte) error {
	if len(header) == 0 {
		return nc.PublishRequest(subject, reply, payload)
	}
	return nc.PublishMsg(&natsgo.Msg{Subject: subject, Reply: reply, Header: header, Data: payload})
}
