package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// CloseError says that the server has ended the connection with a close frame.
type CloseError struct {
	Code uint16
	Text string
}

func (e *CloseError) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("the server closed the connection (%d)", e.Code)
	}
	return fmt.Sprintf("the server closed the connection (%d %s)", e.Code, e.Text)
}

var (
	errCut      = errors.New("the server ended the connection without a goodbye")
	errNoPong   = errors.New("the server does not answer any more")
	errSilent   = errors.New("the server accepted the connection and then did not greet; does it speak this format?")
	errTooLarge = errors.New("the server sent a message over the limit")
)

const (
	// batch is how many bytes of commands are written at once, or a little more.
	batch = 64 << 10
	// readBuffer is how many bytes are read at once.
	readBuffer = 16 << 10
	// keptOutcomes is for how many events of a message there is room that is kept for the next message.
	keptOutcomes = 64
	// keptBuffer is the biggest buffer, in bytes, that is kept for the next message.
	keptBuffer = 1 << 20
)

// connection is one connection of a client.
type connection struct {
	// Static after construction.
	client *Client
	net    net.Conn
	ready  chan struct{}          // closed when the server has greeted
	dead   chan struct{}          // closed by fail
	ending chan struct{}          // closed by finish
	remote core.RemoteClientCodec // of the codec, nil if it is none
	hosted *hosted                // what serves it on an event loop; nil if goroutines do

	once   sync.Once // fail
	err    error     // why it has ended; written before dead is closed
	ponged atomic.Bool
	said   atomic.Int64 // when the last message was, in ns since the epoch
	heard  atomic.Int64 // when something was read last, in ns since the epoch

	writing sync.Mutex // held while frames are written

	// Owned by the goroutine of write, or the loop of hosted.
	out    []byte   // scratch of say
	silent []*order // those whose outcome it is that out is written

	// Owned by the goroutine of read, or the loop of hosted.
	frames   frames
	outcomes []outcome        // of the message that is heard now
	take     func(core.Event) // takes one of them

	// Guarded by mu.
	mu      sync.Mutex
	codec   core.ClientCodec
	greeted bool
	pending map[uint64]*order // by the number that their Ref is
	rest    []*order          // what finish wants to be said

	confirmed confirmation
}

// connect makes a connection to the server, and waits for its greeting.
func (c *Client) connect(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	codec := c.options.Codec()
	if bounded, ok := innermost(codec).(core.BoundedClientCodec); ok && c.options.MaxSaid > 0 {
		bounded.Bound(c.options.MaxSaid)
	}
	remote, _ := innermost(codec).(core.RemoteClientCodec)
	if remote != nil && over(remote) {
		return nil, remote.Err()
	}
	conn, behind, err := dial(ctx, c.options)
	if err != nil {
		if remote != nil {
			remote.Close()
		}
		return nil, err
	}
	k := &connection{
		client: c, net: conn, ready: make(chan struct{}), dead: make(chan struct{}), ending: make(chan struct{}),
		codec: codec, remote: remote, pending: make(map[uint64]*order),
	}
	k.take = k.takeOutcome
	k.frames.max = c.options.MaxMessage
	k.heard.Store(time.Now().UnixNano())
	if remote != nil {
		go k.watch()
	}
	if k.begin(); k.isDead() {
		return nil, fmt.Errorf("connecting to %s: %w", SafeURL(c.options.URL), k.err)
	}
	if !c.options.hosts(conn, remote) {
		go k.read(behind)
	} else if err := k.host(behind); err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", SafeURL(c.options.URL), err)
	}
	select {
	case <-k.ready:
	case <-k.dead:
	case <-ctx.Done():
	}
	if isClosed(k.ready) {
		return k, nil // it may have ended since: then it is lost, which is another thing than none
	}
	k.fail(errSilent)
	k.left()
	return nil, fmt.Errorf("connecting to %s: %w", SafeURL(c.options.URL), k.err)
}

// left waits until no event loop serves the connection, which is dead.
func (k *connection) left() {
	if k.hosted != nil {
		<-k.hosted.gone
	}
}

// over reports whether a codec has ended.
func over(codec core.RemoteClientCodec) bool { return isClosed(codec.Ended()) }

// isClosed reports whether a channel of which nothing else is received is closed.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// watch ends the connection with its codec, and the codec with its connection.
func (k *connection) watch() {
	select {
	case <-k.remote.Ended():
		k.fail(k.remote.Err())
	case <-k.dead:
	}
	k.remote.Close()
}

// recovered is deferred around all that runs the codec or tells what was heard, except on an event loop.
func (k *connection) recovered() {
	if k.client.options.Panicked == nil {
		return
	}
	if fault := recover(); fault != nil {
		k.client.options.Panicked(fault)
		k.fail(fmt.Errorf("a fault: %v", fault))
	}
}

// begin says what a client says first.
func (k *connection) begin() {
	defer k.recovered()
	if o, ok := innermost(k.codec).(core.ClientOpener); ok {
		var out []byte
		o.Open(func(f core.Frame) { out = appendFrame(out, f) })
		k.send(out)
	}
	k.greet()
}

// greet closes ready once the codec is. The caller holds mu, or is alone.
func (k *connection) greet() {
	if !k.greeted && k.codec.Ready() {
		k.greeted = true
		close(k.ready)
	}
}

// serve says what is to be said until the connection ends, and returns why it has. It is the current one.
func (k *connection) serve(ctx context.Context) error {
	c := k.client
	stop := context.AfterFunc(ctx, func() { k.fail(ErrClosed) })
	k.write()
	k.left()
	stop()
	c.use(nil)
	k.mu.Lock()
	lost := slices.AppendSeq(k.silent, maps.Values(k.pending))
	k.pending = nil
	n := k.confirmed.unconfirmed()
	k.mu.Unlock()
	if n > 0 && c.answers.Load() {
		c.options.Unconfirmed(n)
	}
	if c.options.FailAway {
		lost = append(lost, c.queue.shut()...)
	}
	for _, o := range lost {
		k.lose(o)
	}
	return k.err
}

// lose tells that an order is lost with the connection.
func (k *connection) lose(o *order) {
	defer k.recovered()
	k.client.tell(o, core.Event{}, ErrLost)
}

// fail ends the connection for a reason; only the first counts.
func (k *connection) fail(err error) {
	k.once.Do(func() {
		k.err = err
		close(k.dead)
		if k.hosted != nil {
			k.hosted.seat.Ask()
			return
		}
		_ = k.net.Close()
	})
}

// isDead reports whether the connection has ended.
func (k *connection) isDead() bool { return isClosed(k.dead) }

// isEnding reports whether the connection is to end after what finish wants to be said.
func (k *connection) isEnding() bool { return isClosed(k.ending) }

// write says what is restored, then what is queued, until the connection ends.
func (k *connection) write() {
	defer k.recovered()
	q := k.client.queue
	more := q.more
	if k.hosted != nil {
		more = nil // its turns take what is queued
		k.hosted.serve()
		defer q.tell(nil)
	} else if !k.confirm(0) || !k.say(k.restored()) {
		return
	}
	q.wake() // another connection may have taken the last signal
	ping := time.NewTicker(k.client.options.PingInterval)
	defer ping.Stop()
	idle := time.NewTimer(0)
	defer idle.Stop()
	k.said.Store(time.Now().UnixNano())
	for {
		after, beat := k.keepAlive()
		var due <-chan time.Time
		if after > 0 {
			idle.Reset(k.untilIdle(after))
			due = idle.C
		}
		ok := true
		select {
		case <-k.dead:
			return
		case <-k.ending:
			if k.hosted != nil {
				k.hosted.seat.Ask()
			} else {
				k.say(k.takeRest())
				k.goodbye()
			}
			<-k.dead
			return
		case <-more:
			orders := q.take(batch)
			if ok = k.say(orders); len(orders) > 0 {
				k.said.Store(time.Now().UnixNano())
			}
		case <-due:
			if k.untilIdle(after) <= 0 {
				ok = k.send(appendFrame(nil, beat))
				k.said.Store(time.Now().UnixNano())
			}
		case now := <-ping.C:
			ok = k.ping(now)
		}
		if !ok {
			return
		}
	}
}

// keepAlive is that of the codec.
func (k *connection) keepAlive() (after time.Duration, beat core.Frame) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.codec.KeepAlive()
}

// untilIdle returns how long it takes until no message was said for a time.
func (k *connection) untilIdle(after time.Duration) time.Duration {
	return time.Until(time.Unix(0, k.said.Load()).Add(after))
}

// restored returns the subscriptions and offers of earlier connections as orders.
func (k *connection) restored() []*order {
	var orders []*order
	for _, cmd := range k.client.restored() {
		orders = append(orders, &order{cmd: cmd, done: func(_ core.Event, err error) {
			if err != nil && !errors.Is(err, ErrLost) {
				k.client.options.Logger.Warn("restoring on a new connection", slog.String("verb", cmd.Verb.String()),
					slog.String("topic", string(cmd.Topic)), slog.Any("error", err))
			}
		}})
	}
	return orders
}

// say writes orders. It reports false if the connection has ended.
func (k *connection) say(orders []*order) bool {
	k.encode(orders)
	return k.send(k.out) && k.settle()
}

// encode has the codec say orders, into out.
func (k *connection) encode(orders []*order) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.out = k.out[:0]
	defer func() { k.silent = append(k.silent, orders...) }() // those that are not said because the codec panics
	add := func(f core.Frame) { k.out = appendFrame(k.out, f) }
	for len(orders) > 0 {
		o := orders[0]
		if o.flush {
			k.out = appendFlush(k.out, o)
			k.pending[binary.BigEndian.Uint64(o.cmd.Ref)] = o
			orders = orders[1:]
			continue
		}
		answered, err := k.codec.Say(o.cmd, add)
		orders = orders[1:]
		switch {
		case err != nil && k.remote != nil && over(k.remote):
			k.client.tell(o, core.Event{}, ErrLost)
		case err != nil:
			k.client.tell(o, core.Event{}, fmt.Errorf("saying %s: %w", o.cmd.Verb, err))
		case answered:
			k.pending[binary.BigEndian.Uint64(o.cmd.Ref)] = o
		default:
			k.silent = append(k.silent, o) // its outcome is that it was said
		}
	}
}

// settle tells those whose outcome it is that out was written. It reports false if the connection has ended.
func (k *connection) settle() bool {
	messages := 0
	all := k.silent
	for i, o := range all {
		k.silent = all[i+1:] // who is told may panic
		if confirmable(&o.cmd) {
			messages++
		}
		k.client.remember(o.cmd)
		k.client.tell(o, core.Event{}, nil)
	}
	clear(all)
	k.silent = all[:0]
	if cap(k.out) > keptBuffer {
		k.out = nil
	}
	return messages == 0 || k.confirm(messages)
}

// send writes frames. It reports false if the connection has ended.
func (k *connection) send(frames []byte) bool {
	if len(frames) == 0 {
		return true
	}
	if k.hosted != nil {
		return k.hosted.send(frames)
	}
	k.writing.Lock()
	defer k.writing.Unlock()
	_ = k.net.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := k.net.Write(frames); err != nil {
		k.fail(fmt.Errorf("writing to the server: %w", err))
		return false
	}
	return true
}

// pong answers a ping.
func (k *connection) pong(body []byte) {
	if k.hosted != nil && k.hosted.full() {
		k.hosted.pong = appendRaw(nil, ws.OpPong, body) // of the pings that come meanwhile the last is answered
		return
	}
	k.send(appendRaw(nil, ws.OpPong, body))
}

// ping sends a ping, unless the server owes a pong for one before.
func (k *connection) ping(now time.Time) bool {
	silence := now.Sub(time.Unix(0, k.heard.Load()))
	if k.ponged.Load() && silence > 2*k.client.options.PingInterval {
		k.fail(errNoPong)
		return false
	}
	return k.send(appendRaw(nil, ws.OpPing, nil))
}

// finish lets the connection say orders and a goodbye, and waits for that of the server, until ctx ends.
func (k *connection) finish(ctx context.Context, rest []*order) {
	k.mu.Lock()
	k.rest = rest
	k.mu.Unlock()
	close(k.ending)
	select {
	case <-k.dead:
	case <-ctx.Done():
	}
	for _, o := range k.takeRest() {
		k.client.tell(o, core.Event{}, ErrClosed)
	}
}

// takeRest returns what finish wants to be said, once.
func (k *connection) takeRest() []*order {
	k.mu.Lock()
	defer k.mu.Unlock()
	rest := k.rest
	k.rest = nil
	return rest
}

func (k *connection) goodbye() {
	k.send(appendRaw(nil, ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))
}

// forget gives up an order.
func (k *connection) forget(o *order) {
	defer k.recovered()
	k.mu.Lock()
	defer k.mu.Unlock()
	if number := binary.BigEndian.Uint64(o.cmd.Ref); k.pending[number] != nil {
		delete(k.pending, number)
		k.codec.Forget(o.cmd.Ref)
	}
}

// read hears what the server says until the connection ends.
func (k *connection) read(behind []byte) {
	defer k.loseOutcomes()
	defer k.recovered()
	err := k.frames.feed(behind, k)
	buf := make([]byte, readBuffer)
	for err == nil {
		k.lull()
		var n int
		n, err = k.net.Read(buf)
		k.heard.Store(time.Now().UnixNano())
		if fault := k.frames.feed(buf[:n], k); fault != nil {
			err = fault
		}
	}
	k.lull()
	k.fail(whyEnded(err))
}

// lull tells that all is heard that was read, and waits for who is behind.
func (k *connection) lull() {
	if wait := k.client.options.Lull(); wait != nil {
		wait()
	}
}

func whyEnded(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return errCut
	}
	return err
}

// onControl answers a control frame.
func (k *connection) onControl(op ws.OpCode, body []byte) error {
	switch op {
	case ws.OpPing:
		k.pong(body)
	case ws.OpPong:
		k.ponged.Store(true)
		k.client.answers.Store(true)
		k.answered(body)
		k.flushed(body)
	case ws.OpClose:
		if k.isEnding() {
			k.allRead() // it answers our goodbye
		}
		code, text := ws.ParseCloseFrameData(body)
		if !code.Empty() {
			k.send(appendRaw(nil, ws.OpClose, ws.NewCloseFrameBody(code, "")))
		} else {
			k.send(appendRaw(nil, ws.OpClose, nil))
		}
		return &CloseError{Code: uint16(code), Text: text}
	}
	return nil
}

// outcome is an event of the server, and the order whose outcome it is; nil if it is none.
type outcome struct {
	ev core.Event
	o  *order
}

// onMessage tells what a message means: outcomes to who waits for them, all else to Heard.
func (k *connection) onMessage(op ws.OpCode, message []byte) error {
	f := core.Frame{Kind: core.TextFrame, Data: message}
	if op == ws.OpBinary {
		f.Kind = core.BinaryFrame
	}
	err := k.decode(f)
	all := k.outcomes
	for i := range all {
		one := &all[i]
		k.outcomes = all[i+1:] // who is told may panic
		switch {
		case one.o == nil:
			k.client.options.Heard(one.ev)
		case one.ev.Kind == core.Failed:
			k.client.tell(one.o, core.Event{}, one.ev.Failure)
		default:
			k.client.remember(one.o.cmd)
			k.client.tell(one.o, one.ev.Clone(), nil)
		}
	}
	clear(all)
	if k.outcomes = all[:0]; cap(all) > keptOutcomes {
		k.outcomes = nil
	}
	return err
}

// loseOutcomes tells those of whose outcomes a panic has kept. Nothing is heard any more.
func (k *connection) loseOutcomes() {
	for _, one := range k.outcomes {
		if one.o != nil {
			k.lose(one.o)
		}
	}
	k.outcomes = nil
}

// decode has the codec hear a message, into outcomes.
func (k *connection) decode(f core.Frame) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.greet()
	return k.codec.Hear(f, k.take)
}

// takeOutcome notes an event, and whose outcome it is. The caller holds mu.
func (k *connection) takeOutcome(ev core.Event) {
	if ev.Kind == core.Done && ev.Verb == core.Call {
		return // the call is accepted; its outcome is the answer
	}
	k.outcomes = append(k.outcomes, outcome{ev, k.takePending(ev.Ref)})
}

// takePending returns the order with a Ref, if it waits for its outcome, and forgets it. The caller holds mu.
func (k *connection) takePending(ref []byte) *order {
	if len(ref) != refSize {
		return nil
	}
	number := binary.BigEndian.Uint64(ref)
	o := k.pending[number]
	delete(k.pending, number)
	return o
}

// appendFrame appends a message as a frame.
func appendFrame(dst []byte, f core.Frame) []byte {
	op := ws.OpText
	if f.Kind == core.BinaryFrame {
		op = ws.OpBinary
	}
	return appendRaw(dst, op, f.Data)
}

// appendRaw appends a frame, masked (RFC 6455, sections 5.2 and 5.3).
func appendRaw(dst []byte, op ws.OpCode, data []byte) []byte {
	const fin, masked = 0x80, 0x80
	dst = append(dst, fin|byte(op))
	switch n := len(data); {
	case n < 126:
		dst = append(dst, masked|byte(n))
	case n <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, masked|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, masked|127), uint64(n))
	}
	mask := ws.NewMask()
	dst = append(append(dst, mask[:]...), data...)
	ws.Cipher(dst[len(dst)-len(data):], mask, 0)
	return dst
}
