package client

import (
	"bufio"
	"bytes"
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
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

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
	from   *bufio.Reader          // of what net reads, with what came behind the upgrade
	ready  chan struct{}          // closed when the server has greeted
	dead   chan struct{}          // closed by fail
	ending chan struct{}          // closed by finish
	remote core.RemoteClientCodec // of the codec, nil if it is none

	once   sync.Once // fail
	err    error     // why it has ended; written before dead is closed
	ponged atomic.Bool
	heard  atomic.Int64 // when something was read last, in ns since the epoch

	writing sync.Mutex // held while frames are written

	// Owned by the goroutine of write.
	out    []byte   // scratch of say
	silent []*order // scratch of say

	// Owned by the goroutine of read.
	outcomes []outcome        // of the message that is heard now
	take     func(core.Event) // takes one of them
	limited  io.LimitedReader // scratch of assemble

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
	conn, unread, err := dial(ctx, c.options)
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
	k.from = bufio.NewReaderSize(stamped{unread, k}, readBuffer)
	k.heard.Store(time.Now().UnixNano())
	if remote != nil {
		go k.watch()
	}
	k.open()
	k.greet()
	go k.read()
	select {
	case <-k.ready:
		return k, nil
	case <-k.dead:
		return nil, fmt.Errorf("connecting to %s: %w", SafeURL(c.options.URL), k.err)
	case <-ctx.Done():
		k.fail(errSilent)
		return nil, fmt.Errorf("connecting to %s: %w", SafeURL(c.options.URL), errSilent)
	}
}

// over reports whether a codec has ended.
func over(codec core.RemoteClientCodec) bool {
	select {
	case <-codec.Ended():
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

// open says what a client says first.
func (k *connection) open() {
	o, ok := innermost(k.codec).(core.ClientOpener)
	if !ok {
		return
	}
	var out []byte
	o.Open(func(f core.Frame) { out = appendFrame(out, f) })
	k.send(out)
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
	stop()
	c.use(nil)
	k.mu.Lock()
	lost := slices.Collect(maps.Values(k.pending))
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
		o.done(core.Event{}, ErrLost)
	}
	return k.err
}

// fail ends the connection for a reason; only the first counts.
func (k *connection) fail(err error) {
	k.once.Do(func() {
		k.err = err
		close(k.dead)
		_ = k.net.Close()
	})
}

// write says what is restored, then what is queued, until the connection ends.
func (k *connection) write() {
	q := k.client.queue
	if !k.confirm(0) || !k.say(k.restored()) {
		return
	}
	q.wake() // another connection may have taken the last signal
	ping := time.NewTicker(k.client.options.PingInterval)
	defer ping.Stop()
	idle := time.NewTimer(0)
	defer idle.Stop()
	said := time.Now() // when the last message was
	for {
		k.mu.Lock()
		after, beat := k.codec.KeepAlive()
		k.mu.Unlock()
		var due <-chan time.Time
		if after > 0 {
			idle.Reset(time.Until(said.Add(after)))
			due = idle.C
		}
		ok := true
		select {
		case <-k.dead:
			return
		case <-k.ending:
			k.say(k.takeRest())
			k.goodbye()
			<-k.dead
			return
		case <-q.more:
			orders := q.take(batch)
			if ok = k.say(orders); len(orders) > 0 {
				said = time.Now()
			}
		case <-due:
			ok = k.send(appendFrame(nil, beat))
			said = time.Now()
		case now := <-ping.C:
			ok = k.ping(now)
		}
		if !ok {
			return
		}
	}
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
	k.out, k.silent = k.out[:0], k.silent[:0]
	add := func(f core.Frame) { k.out = appendFrame(k.out, f) }
	k.mu.Lock()
	for _, o := range orders {
		if o.flush {
			k.out = appendFlush(k.out, o)
			k.pending[binary.BigEndian.Uint64(o.cmd.Ref)] = o
			continue
		}
		answered, err := k.codec.Say(o.cmd, add)
		switch {
		case err != nil && k.remote != nil && over(k.remote):
			o.done(core.Event{}, ErrLost)
		case err != nil:
			o.done(core.Event{}, fmt.Errorf("saying %s: %w", o.cmd.Verb, err))
		case answered:
			k.pending[binary.BigEndian.Uint64(o.cmd.Ref)] = o
		default:
			k.silent = append(k.silent, o) // its outcome is that it was said
		}
	}
	k.mu.Unlock()
	ok := k.send(k.out)
	messages := 0
	for _, o := range k.silent {
		if confirmable(&o.cmd) {
			messages++
		}
		if !ok {
			o.done(core.Event{}, ErrLost)
			continue
		}
		k.client.remember(o.cmd)
		o.done(core.Event{}, nil)
	}
	clear(k.silent)
	if cap(k.out) > keptBuffer {
		k.out = nil
	}
	if ok && messages > 0 {
		ok = k.confirm(messages)
	}
	return ok
}

// send writes frames. It reports false if the connection has ended.
func (k *connection) send(frames []byte) bool {
	if len(frames) == 0 {
		return true
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
		o.done(core.Event{}, ErrClosed)
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
	k.mu.Lock()
	defer k.mu.Unlock()
	if number := binary.BigEndian.Uint64(o.cmd.Ref); k.pending[number] != nil {
		delete(k.pending, number)
		k.codec.Forget(o.cmd.Ref)
	}
}

// read hears what the server says until the connection ends.
func (k *connection) read() {
	r := &wsutil.Reader{
		Source: k.from, State: ws.StateClientSide, MaxFrameSize: int64(k.client.options.MaxMessage),
		OnIntermediate: k.control,
	}
	var message bytes.Buffer
	for {
		h, err := r.NextFrame()
		switch {
		case err != nil:
		case h.OpCode.IsControl():
			err = k.control(h, r)
		default:
			message.Reset()
			if err = k.assemble(r, &message); err == nil && h.OpCode == ws.OpText && !utf8.Valid(message.Bytes()) {
				err = wsutil.ErrInvalidUTF8
			}
			if err == nil {
				err = k.hear(h.OpCode, message.Bytes())
			}
			if message.Cap() > keptBuffer {
				message = bytes.Buffer{}
			}
		}
		if err != nil {
			k.client.options.Lull()
			k.fail(whyEnded(err))
			return
		}
	}
}

// stamped is what a connection reads. It notes when, and tells that all is heard that was read before.
type stamped struct {
	from io.Reader
	k    *connection
}

func (s stamped) Read(p []byte) (int, error) {
	s.k.client.options.Lull()
	n, err := s.from.Read(p)
	s.k.heard.Store(time.Now().UnixNano())
	return n, err
}

// assemble reads the rest of a message.
func (k *connection) assemble(r io.Reader, into *bytes.Buffer) error {
	k.limited = io.LimitedReader{R: r, N: int64(k.client.options.MaxMessage) + 1}
	n, err := into.ReadFrom(&k.limited)
	if err == nil && n > int64(k.client.options.MaxMessage) {
		return errTooLarge
	}
	return err
}

func whyEnded(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return errCut
	case errors.Is(err, wsutil.ErrFrameTooLarge):
		return errTooLarge
	}
	return err
}

// control answers a control frame.
func (k *connection) control(h ws.Header, r io.Reader) error {
	body := make([]byte, h.Length) // up to 125 bytes: the header was checked
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	switch h.OpCode {
	case ws.OpPing:
		k.send(appendRaw(nil, ws.OpPong, body))
	case ws.OpPong:
		k.ponged.Store(true)
		k.client.answers.Store(true)
		k.answered(body)
		k.flushed(body)
	case ws.OpClose:
		select {
		case <-k.ending:
			k.allRead() // it answers our goodbye
		default:
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

// hear tells what a message means: outcomes to who waits for them, all else to Heard.
func (k *connection) hear(op ws.OpCode, message []byte) error {
	f := core.Frame{Kind: core.TextFrame, Data: message}
	if op == ws.OpBinary {
		f.Kind = core.BinaryFrame
	}
	k.outcomes = k.outcomes[:0]
	k.mu.Lock()
	err := k.codec.Hear(f, k.take)
	k.greet()
	k.mu.Unlock()
	for i := range k.outcomes {
		one := &k.outcomes[i]
		switch {
		case one.o == nil:
			k.client.options.Heard(one.ev)
		case one.ev.Kind == core.Failed:
			one.o.done(core.Event{}, one.ev.Failure)
		default:
			k.client.remember(one.o.cmd)
			one.o.done(one.ev.Clone(), nil)
		}
	}
	if clear(k.outcomes); cap(k.outcomes) > keptOutcomes {
		k.outcomes = nil
	}
	return err
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
