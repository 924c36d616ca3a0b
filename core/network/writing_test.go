package network

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// countedSpan is core.Span.
type countedSpan struct{ ended atomic.Int32 }

func (s *countedSpan) Trace() core.Trace  { return core.Trace{} }
func (s *countedSpan) End(f core.Failure) { s.ended.Add(1) }

// deliver is publish of a message that is traced.
func (h *chatHub) deliver(ev core.Event, span core.Span) {
	h.mu.Lock()
	var to []core.Audience
	for _, a := range h.audiences {
		to = append(to, a)
	}
	outlet := h.outlet
	h.mu.Unlock()
	outlet.(core.WatchedOutlet).DeliverWatched(ev, to, nil, nil, span)
}

// The span of a delivery ends when the message is written to the last of its receivers, or dropped, and not before.
func TestSpanOfDelivery(t *testing.T) {
	text := func(s string) core.Event {
		return core.Event{Kind: core.Message, Payload: core.Payload{Kind: core.Text, Data: []byte(s)}}
	}
	r := start(t, func(o *Options, ep *Endpoint) {
		o.SendBuffer = 64 << 10
		ep.Settings.OutboundLimit = 64 << 20
	})
	stalled, link := r.sleeper()
	healthy := r.subscriber()
	fill := strings.Repeat("x", 64<<10)
	filled := 0
	for of(t, link, func(c *conn) int { return c.waiting() }) < 1<<20 {
		r.hub.publish([]byte(fill), nil)
		healthy.expect(fill)
		filled++
	}
	read, left := new(countedSpan), new(countedSpan)
	r.hub.deliver(text("read"), read)
	healthy.expect("read")
	for range 2 { // the turn that has queued it is over
		on(t, link, func(*conn) {})
	}
	if n := read.ended.Load(); n != 0 {
		t.Errorf("the span has ended %d times, and a client has not got the message", n)
	}
	for range filled {
		stalled.expect(fill)
	}
	stalled.expect("read")
	coretest.Eventually(t, "its span has ended", func() bool { return read.ended.Load() > 0 })

	for of(t, link, func(c *conn) int { return c.waiting() }) < 1<<20 {
		r.hub.publish([]byte(fill), nil)
		healthy.expect(fill)
	}
	r.hub.deliver(text("left"), left)
	healthy.expect("left")
	if n := left.ended.Load(); n != 0 {
		t.Errorf("the span has ended %d times, and a client may still get the message", n)
	}
	_ = stalled.Close()
	coretest.Eventually(t, "the span of a message for a client that has left has ended", func() bool { return left.ended.Load() > 0 })

	unwritable := new(countedSpan)
	r.hub.deliver(core.Event{Kind: core.SessionClosed}, unwritable)
	coretest.Eventually(t, "the span of a message that cannot be written has ended", func() bool { return unwritable.ended.Load() > 0 })
	for what, s := range map[string]*countedSpan{"read": read, "left": left, "unwritable": unwritable} {
		if n := s.ended.Load(); n != 1 {
			t.Errorf("%s: the span has ended %d times", what, n)
		}
	}
}

// shardedChat is chat with messages that are encoded elsewhere, in two shards.
type shardedChat struct {
	slowChat
	asked chan func(core.Frame, error)
}

func (shardedChat) Shards() int { return 2 }

func (s shardedChat) AskMessage(_ int, _ core.Event, done func(core.Frame, error)) { s.asked <- done }

// A message that each shard encodes is written when the messages of all are.
func TestSpanOfDeliveryElsewhere(t *testing.T) {
	format := shardedChat{slowChat{codecs: make(chan *slowCodec, 100)}, make(chan func(core.Frame, error), 2)}
	r := start(t, func(_ *Options, ep *Endpoint) { ep.Format = format })
	for len(r.loopList()) < 2 { // a loop begins with its first connection
		r.dial("chat")
	}
	outlet := &outlet{ep: r.eps["chat"]}
	to := []core.Audience{outlet.NewAudience(0, 0), outlet.NewAudience(1, 0)}
	for name, answer := range map[string]func(done func(core.Frame, error)){
		"written":    func(done func(core.Frame, error)) { done(core.Frame{Kind: core.TextFrame, Data: []byte("m")}, nil) },
		"nothing":    func(done func(core.Frame, error)) { done(core.Frame{}, nil) },
		"unwritable": func(done func(core.Frame, error)) { done(core.Frame{}, errUnwritable) },
		"lost":       func(done func(core.Frame, error)) { done(core.Frame{}, &core.Violation{Reason: core.ReasonInternal}) },
	} {
		span := new(countedSpan)
		outlet.DeliverWatched(core.Event{Kind: core.Message}, to, nil, nil, span)
		answer(<-format.asked)
		if n := span.ended.Load(); n != 0 {
			t.Errorf("%s: the span has ended %d times, and a shard has not answered", name, n)
		}
		answer(<-format.asked)
		coretest.Eventually(t, name+": the span has ended", func() bool { return span.ended.Load() == 1 })
	}
}

// A compressed form of a message may be written when the message itself has been released.
func TestSpanOfCompressedFrame(t *testing.T) {
	span := new(countedSpan)
	f := newFrame()
	f.written = newWriting(span)
	f.seal(append(f.room(), strings.Repeat("x", 4<<10)...), ws.OpText)
	z := f.deflated(maxWindow)
	z.retain()
	f.release()
	if span.ended.Load() != 0 {
		t.Error("the span has ended before the compressed message was written")
	}
	z.release()
	if n := span.ended.Load(); n != 1 {
		t.Errorf("the span has ended %d times", n)
	}
}
