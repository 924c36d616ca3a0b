package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

const (
	// maxTaps bounds how many endpoints and connections are tapped at once.
	maxTaps = 4
	// tapBytes bounds the memory of what waits for the reader of a tap.
	tapBytes = 16 << 20
	// tapCost is the memory of an event without its data, and of a connection that is reported.
	tapCost = 128
)

var (
	errTapped   = errors.New("it is tapped already, and one tap is allowed at a time")
	errManyTaps = fmt.Errorf("%d other endpoints or connections are tapped, and no more are allowed at a time", maxTaps)
)

// Tap reports what an endpoint sees, or what one connection says and hears from then on. Of an endpoint: the upgrades, messages and ends of connections that opened after
// it did, and HTTP requests that are no upgrades. Connections that were open before are left out, as
// what they say cannot be understood without their beginning; so are clients that are turned away before
// their request is judged, because there are too many.
//
// An event is reported before it has effects: what follows from it comes later. Messages to a client are
// reported when they are queued for it.
//
// Nobody waits for the reader: what does not fit into the tap's queue is lost, and the reader is told
// what is missing.
type Tap struct {
	// Static after construction.
	ep      *endpoint
	conn    *conn // the only one that is reported; nil of a tap on an endpoint
	max     int   // messages of more bytes are reported without their data
	sampler *core.Sampler
	limit   int64         // of bytes
	wake    chan struct{} // has something if there are events; capacity 1, never closed

	left sync.Once

	// Atomic.
	bytes atomic.Int64 // the cost of what waits, and of the connections that are reported
	over  atomic.Bool  // nothing is reported any more; set under mu

	// Guarded by mu.
	mu     sync.Mutex
	events []core.TapEvent
	gaps   []*tapped // those that have lost events since the last Next

	unseen tapped // stands for all connections of which nothing is reported
}

// Tap begins to report what an endpoint sees, until the endpoint or the server ends. The caller calls Close. The
// error is core.ErrNoEndpoint, or says why no tap is allowed.
func (s *Server) Tap(endpoint string, o core.TapOptions) (*Tap, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ep := s.eps[endpoint]
	err := error(nil)
	switch {
	case ep == nil:
		err = core.ErrNoEndpoint
	case s.down.Load():
		err = errDown
	case ep.tap.Load() != nil:
		err = errTapped
	case s.taps.Load() >= maxTaps:
		err = errManyTaps
	}
	if err != nil {
		return nil, fmt.Errorf("tapping endpoint %q: %w", endpoint, err)
	}
	t := s.newTap(ep, o)
	s.taps.Add(1)
	ep.tap.Store(t)
	return t, nil
}

func (s *Server) newTap(ep *endpoint, o core.TapOptions) *Tap {
	t := &Tap{ep: ep, max: o.MaxMessage, sampler: core.NewSampler(o), limit: s.options.tapBytes, wake: make(chan struct{}, 1)}
	t.unseen.tap = t
	return t
}

// TapConnection is Tap for one open connection, until it ends. The error is core.ErrNoConnection, that of ctx, or
// says why no tap is allowed.
func (s *Server) TapConnection(ctx context.Context, id uint64, o core.TapOptions) (*Tap, error) {
	if s.taps.Add(1) > maxTaps {
		s.taps.Add(-1)
		return nil, fmt.Errorf("tapping connection %d: %w", id, errManyTaps)
	}
	begun := make(chan *Tap, 1)
	var decided atomic.Bool // the loop begins the tap, or nobody waits for it any more
	_, err := s.one(ctx, id, func(c *conn) {
		if decided.CompareAndSwap(false, true) {
			begun <- c.beTapped(o)
		}
	})
	var t *Tap
	if err == nil || !decided.CompareAndSwap(false, true) {
		t = <-begun
	}
	switch {
	case err != nil && t != nil:
		t.Close()
	case err != nil:
		s.taps.Add(-1)
	case t == nil:
		s.taps.Add(-1)
		err = errTapped
	}
	if err != nil {
		return nil, fmt.Errorf("tapping connection %d: %w", id, err)
	}
	return t, nil
}

// Next waits for events and returns them in order; they are the caller's. It reuses the memory of into,
// which may be nil. The error is that of ctx, or io.EOF after the last event. One goroutine.
func (t *Tap) Next(ctx context.Context, into []core.TapEvent) ([]core.TapEvent, error) {
	for {
		over := t.over.Load() // before the last look
		if events := t.take(into); len(events) > 0 {
			return events, nil
		}
		if over {
			return nil, io.EOF
		}
		select {
		case <-t.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take returns what waits, and behind it what is missing.
func (t *Tap) take(into []core.TapEvent) []core.TapEvent {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.events) == 0 && len(t.gaps) == 0 {
		return nil
	}
	clear(into)
	events := t.events
	t.events = into[:0]
	freed := int64(0)
	for i := range events {
		freed += costOf(&events[i])
	}
	last := len(events)
	if last > 0 && events[last-1].Kind == core.TapOver {
		last--
	}
	rest := append([]core.TapEvent(nil), events[last:]...)
	events = events[:last]
	for _, c := range t.gaps {
		events = append(events, core.TapEvent{Connection: c.id, Time: time.Now(), Kind: core.TapLost, Lost: c.lost, Size: c.lostBytes})
		if c.last != nil {
			events = append(events, *c.last)
			freed += tapCost
		}
		c.lost, c.lostBytes, c.last = 0, 0, nil
		c.gap.Store(false)
	}
	clear(t.gaps)
	t.gaps = t.gaps[:0]
	t.bytes.Add(-freed)
	return append(events, rest...)
}

// costOf returns what an event costs. The last one of a connection has the place of the connection.
func costOf(ev *core.TapEvent) int64 {
	if ev.Kind == core.TapOver {
		return 0
	}
	return tapCost + int64(len(ev.Data))
}

// reserve reports whether there is room for n bytes, and takes it.
func (t *Tap) reserve(n int64) bool {
	if t.bytes.Add(n) > t.limit {
		t.bytes.Add(-n)
		return false
	}
	return true
}

// Close ends the tap: nothing is reported any more, and what was not read is dropped. Any goroutine; it
// may be called again.
func (t *Tap) Close() {
	t.leave()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over.Store(true)
	t.events, t.gaps = nil, nil
	t.wakeReader()
}

// endTap ends the tap of the endpoint, if there is one, and tells its reader why.
func (ep *endpoint) endTap(why string) {
	if t := ep.tap.Load(); t != nil {
		t.finish(why)
	}
}

// finish ends the tap, and tells its reader why.
func (t *Tap) finish(why string) {
	t.leave()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over.Swap(true) {
		t.events = append(t.events, core.TapEvent{Time: time.Now(), Kind: core.TapOver, FromServer: true, Data: []byte(why), Size: len(why)})
		t.wakeReader()
	}
}

// leave lets other taps in.
func (t *Tap) leave() {
	t.left.Do(func() {
		if c := t.conn; c == nil {
			t.ep.tap.Store(nil)
		} else {
			c.Post(func() { c.untap(t) })
		}
		t.ep.server.taps.Add(-1)
	})
}

func (t *Tap) wakeReader() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// tapped is a connection, or an HTTP request that is no upgrade, of which a tap reports. Its methods are
// called by whoever owns the connection.
type tapped struct {
	// Static after construction.
	tap *Tap
	id  uint64 // 0 stands for connections of which nothing is reported

	// Owned by the loop.
	next *tapped // of another tap that reports the connection; nil if there is none

	// Atomic.
	gap atomic.Bool // it is in tap.gaps: what follows is lost until the next Next; set under tap.mu

	// Guarded by tap.mu.
	lost      uint64
	lostBytes int
	last      *core.TapEvent // its end, if that came after what is lost
}

// admit returns what a connection reports to.
func (t *Tap) admit(id uint64) *tapped {
	if !t.reserve(tapCost) {
		return &t.unseen
	}
	return &tapped{tap: t, id: id}
}

// tapUpgrade reports an upgrade, if the endpoint is tapped. The result is nil if it is not.
func (ep *endpoint) tapUpgrade(id uint64, request, response []byte) *tapped {
	t := ep.tap.Load()
	if t == nil {
		return nil
	}
	c := t.admit(id)
	c.report(core.TapEvent{Kind: core.TapRequest}, request, len(request))
	c.report(core.TapEvent{Kind: core.TapResponse, FromServer: true}, response, len(response))
	return c
}

// tapRefused reports an upgrade that is refused.
func (ep *endpoint) tapRefused(request, response []byte) {
	if ep.tap.Load() == nil {
		return
	}
	if c := ep.tapUpgrade(ep.server.NextNumber(), request, response); c != nil {
		c.end(true)
	}
}

// heard reports a message or close frame of the client.
func (c *tapped) heard(op ws.OpCode, payload []byte) {
	for ; c != nil; c = c.next {
		c.message(op, false, payload)
	}
}

// message reports a message or close frame, unless it is a message that the sampler leaves out.
func (c *tapped) message(op ws.OpCode, fromServer bool, payload []byte) {
	if op != ws.OpClose {
		if _, chosen := c.tap.sampler.Take(time.Now()); !chosen {
			return
		}
	}
	c.report(core.TapEvent{Kind: tapKind(op), FromServer: fromServer}, c.within(payload), len(payload))
}

// said reports a frame for the client, which is not compressed, unless it is a ping or pong.
func (c *tapped) said(f *frame) {
	op := ws.OpCode(f.bytes[0] & 15)
	if f.purpose == response || op == ws.OpPing || op == ws.OpPong {
		return
	}
	payload := f.bytes[len(f.bytes)-f.payload:]
	for ; c != nil; c = c.next {
		c.message(op, true, payload)
	}
}

func tapKind(op ws.OpCode) core.TapKind {
	switch op {
	case ws.OpClose:
		return core.TapClose
	case ws.OpBinary:
		return core.TapBinary
	}
	return core.TapText
}

// within returns what is reported of a message.
func (c *tapped) within(payload []byte) []byte {
	if len(payload) > c.tap.max {
		return nil
	}
	return payload
}

// fault reports that the client broke the protocol.
func (c *tapped) fault(err error) {
	why := err.Error()
	for ; c != nil; c = c.next {
		c.report(core.TapEvent{Kind: core.TapFault}, []byte(why), len(why))
	}
}

// dropped reports that the client does not get a message of n bytes.
func (c *tapped) dropped(n int) {
	for ; c != nil; c = c.next {
		c.report(core.TapEvent{Kind: core.TapDropped, FromServer: true}, nil, n)
	}
}

// end reports the end of the connection. It is called once, as the last.
func (c *tapped) end(byServer bool) {
	for ; c != nil; c = c.next {
		c.report(core.TapEvent{Kind: core.TapEnd, FromServer: byServer}, nil, 0)
		if c.tap.conn != nil {
			c.tap.finish("the connection has ended")
		}
	}
}

// report queues an event with a copy of data, if there is room. size is how many bytes there were.
func (c *tapped) report(ev core.TapEvent, data []byte, size int) {
	t := c.tap
	if t.over.Load() {
		return
	}
	ev.Connection, ev.Time, ev.Size = c.id, time.Now(), size
	// The end has a place since the connection was admitted.
	if c.id == 0 || c.gap.Load() || ev.Kind != core.TapEnd && !t.reserve(tapCost+int64(len(data))) {
		c.lose(ev)
		return
	}
	ev.Data = bytes.Clone(data)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over.Load() {
		return
	}
	t.events = append(t.events, ev)
	t.wakeReader()
}

// lose counts an event for which there is no room.
func (c *tapped) lose(ev core.TapEvent) {
	t := c.tap
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.over.Load():
		return
	case ev.Kind == core.TapEnd && c.id != 0:
		c.last = &ev
	default:
		t.ep.server.tapLost.Add(1)
		c.lost++
		c.lostBytes += ev.Size
	}
	if !c.gap.Swap(true) {
		t.gaps = append(t.gaps, c)
		t.wakeReader()
	}
}
