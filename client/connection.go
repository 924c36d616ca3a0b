package client

import (
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
	// keptBuffer is the biggest buffer, in bytes, that is kept for the next message.
	keptBuffer = 1 << 20
)

// connection is one connection of a client.
type connection struct {
	// Static after construction.
	client *Client
	net    net.Conn
	from   io.Reader              // what net reads, with what came behind the upgrade
	ready  chan struct{}          // closed when the server has greeted
	dead   chan struct{}          // closed by fail
	ending chan struct{}          // closed by finish
	remote core.RemoteClientCodec // of the codec, nil if it is none

	once   sync.Once // fail
	err    error     // why it has ended; written before dead is closed
	ponged atomic.Bool
	heard  atomic.Int64 // when something was read last, in ns since the epoch

	writing sync.Mutex // held while frames are written

	// Guarded by mu.
	mu      sync.Mutex
	codec   core.ClientCodec
	greeted bool
	pending map[string]*order // by Ref
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
	conn, from, err := dial(ctx, c.options)
	if err != nil {
		if remote != nil {
			remote.Close()
		}
		return nil, err
	}
	k := &connection{
		client: c, net: conn, from: from, ready: make(chan struct{}), dead: make(chan struct{}), ending: make(chan struct{}),
		codec: codec, remote: remote, pending: make(map[string]*order),
	}
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
	var out []byte
	var silent []*order // whose outcome is that they were said
	k.mu.Lock()
	for _, o := range orders {
		answered, err := k.codec.Say(o.cmd, func(f core.Frame) { out = appendFrame(out, f) })
		switch {
		case err != nil && k.remote != nil && over(k.remote):
			o.done(core.Event{}, ErrLost)
		case err != nil:
			o.done(core.Event{}, fmt.Errorf("saying %s: %w", o.cmd.Verb, err))
		case answered:
			k.pending[string(o.cmd.Ref)] = o
		default:
			silent = append(silent, o)
		}
	}
	k.mu.Unlock()
	ok := k.send(out)
	messages := 0
	for _, o := range silent {
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

// forget gives up the order with this ref.
func (k *connection) forget(ref []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pending[string(ref)] != nil {
		delete(k.pending, string(ref))
		k.codec.Forget(ref)
	}
}

// read hears what the server says until the connection ends.
func (k *connection) read() {
	r := &wsutil.Reader{
		Source: stamped{k}, State: ws.StateClientSide, CheckUTF8: true, MaxFrameSize: int64(k.client.options.MaxMessage),
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
			if err = k.assemble(r, &message); err == nil {
				err = k.hear(h.OpCode, message.Bytes())
			}
			if message.Cap() > keptBuffer {
				message = bytes.Buffer{}
			}
		}
		if err != nil {
			k.fail(whyEnded(err))
			return
		}
	}
}

// stamped is what a connection reads; it notes when.
type stamped struct{ k *connection }

func (s stamped) Read(p []byte) (int, error) {
	n, err := s.k.from.Read(p)
	s.k.heard.Store(time.Now().UnixNano())
	return n, err
}

// assemble reads the rest of a message.
func (k *connection) assemble(r io.Reader, into *bytes.Buffer) error {
	n, err := into.ReadFrom(io.LimitReader(r, int64(k.client.options.MaxMessage)+1))
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

// hear tells what a message means: outcomes to who waits for them, all else to Heard.
func (k *connection) hear(op ws.OpCode, message []byte) error {
	f := core.Frame{Kind: core.TextFrame, Data: message}
	if op == ws.OpBinary {
		f.Kind = core.BinaryFrame
	}
	type outcome struct {
		ev core.Event
		o  *order // nil if nobody waits for it
	}
	var all []outcome
	k.mu.Lock()
	err := k.codec.Hear(f, func(ev core.Event) {
		o := k.pending[string(ev.Ref)]
		accepted := ev.Kind == core.Done && ev.Verb == core.Call
		if o != nil && !accepted {
			delete(k.pending, string(ev.Ref))
		}
		if !accepted {
			all = append(all, outcome{ev, o})
		}
	})
	k.greet()
	k.mu.Unlock()
	for _, one := range all {
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
	return err
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
