package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
)

const (
	// maxTaps bounds how many taps on topics there are at once.
	maxTaps = 4
	// tapBytes bounds the memory of what waits for the reader of a tap.
	tapBytes = 16 << 20
	// tapCost is the memory of an event without its data and its names.
	tapCost = 512
	// pieceEvents is how many events are kept, and read, together. In pieces, because whoever publishes would wait while
	// many events are copied to where there is room for more.
	pieceEvents = 256
)

var payloadNames = [...]string{core.Absent: "absent", core.JSON: "json", core.Text: "text", core.Binary: "binary"}

var (
	errManyTaps  = fmt.Errorf("%d topics are tapped, and no more are allowed at a time", maxTaps)
	errNoPattern = errors.New("it matches no topic")
)

// Tap reports the messages on the topics that a pattern matches: of each what its publisher has said, the message,
// and what those are told who hear it, encoded once for each format. The events of a message follow each other,
// but for those whose format is encoded in another process, which may come later.
//
// Nobody waits for the reader: what does not fit into the tap's queue is lost, and the reader is told how much.
type Tap struct {
	// Static after construction.
	engine  *Engine
	pattern string // of whole topics, or one topic
	max     int    // messages of more bytes are reported without their data
	sampler *core.Sampler
	wake    chan struct{} // has something if there are events; capacity 1, never closed

	// Atomic.
	bytes atomic.Int64 // the cost of what waits

	// Guarded by mu.
	mu     sync.Mutex
	pieces [][]reported // what waits, in order; all but the last have pieceEvents
	over   bool
}

// reported is an event that waits for the reader. What is lost is one too, with its number and bytes: each has an event
// that is not lost before it, but for the first one, so that they are bounded like these.
type reported struct {
	core.TapEvent
	// Of what receivers are told: their format, and what was published. The reader compares them.
	format core.Format
	sent   *content
}

// tapSet is who watches; it is not changed.
type tapSet []*Tap

// Tap begins to report the messages on the topics that pattern matches, whole ones, until Close. The error says
// why no tap is allowed. Any goroutine.
func (e *Engine) Tap(pattern string, o core.TapOptions) (*Tap, error) {
	t := &Tap{engine: e, pattern: pattern, max: o.MaxMessage, sampler: core.NewSampler(o), wake: make(chan struct{}, 1)}
	e.tapping.Lock()
	defer e.tapping.Unlock()
	var all tapSet
	if now := e.taps.Load(); now != nil {
		all = *now
	}
	switch {
	case core.MatchesNothing(pattern) || pattern == "":
		return nil, fmt.Errorf("tapping topic %q: %w", pattern, errNoPattern)
	case len(all) >= maxTaps:
		return nil, fmt.Errorf("tapping topic %q: %w", pattern, errManyTaps)
	}
	all = append(slices.Clip(all), t)
	e.taps.Store(&all)
	return t, nil
}

// Taps returns how many taps on topics there are, and how many events they have lost so far. Any goroutine.
func (e *Engine) Taps() (open int, lost uint64) {
	if all := e.taps.Load(); all != nil {
		open = len(*all)
	}
	return open, e.tapLost.Load()
}

// Close ends the tap: nothing is reported any more, and what was not read is dropped. Any goroutine; it may be
// called again.
func (t *Tap) Close() {
	t.leave()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over, t.pieces = true, nil
	t.wakeReader()
}

// leave takes the tap out of those that watch.
func (t *Tap) leave() {
	e := t.engine
	e.tapping.Lock()
	defer e.tapping.Unlock()
	all := e.taps.Load()
	if all == nil {
		return
	}
	var rest tapSet
	for _, other := range *all {
		if other != t {
			rest = append(rest, other)
		}
	}
	if len(rest) == 0 {
		e.taps.Store(nil)
		return
	}
	e.taps.Store(&rest)
}

// endTaps ends all taps, and tells their readers why.
func (e *Engine) endTaps(why string) {
	all := e.taps.Load()
	if all == nil {
		return
	}
	for _, t := range *all {
		t.leave()
		t.mu.Lock()
		if !t.over {
			t.append(&reported{TapEvent: core.TapEvent{Time: time.Now(), Kind: core.TapOver, FromServer: true, Data: []byte(why), Size: len(why)}})
			t.over = true
			t.wakeReader()
		}
		t.mu.Unlock()
	}
}

// Next waits for events and returns them in order; they are the caller's. It reuses the memory of into, which may be
// nil. The error is that of ctx, or io.EOF after the last event. One goroutine.
func (t *Tap) Next(ctx context.Context, into []core.TapEvent) ([]core.TapEvent, error) {
	for {
		events, over := t.take(into)
		switch {
		case len(events) > 0:
			return events, nil
		case over:
			return nil, io.EOF
		}
		select {
		case <-t.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take returns a piece of what waits.
func (t *Tap) take(into []core.TapEvent) (events []core.TapEvent, over bool) {
	clear(into)
	events = into[:0]
	piece, over := t.first()
	for i := range piece {
		ev := &piece[i]
		if ev.sent != nil {
			ev.Message.Changes = ev.sent.changes(ev.format, ev.TapEvent)
		}
		events = append(events, ev.TapEvent)
		t.bytes.Add(-costOf(&ev.TapEvent))
	}
	return events, over
}

// first takes the first piece out; it is empty if nothing waits. over says that nothing comes any more.
func (t *Tap) first() (piece []reported, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.pieces) > 0 {
		piece = t.pieces[0]
		t.pieces[0] = nil
		t.pieces = t.pieces[1:]
	}
	return piece, t.over
}

// costOf returns what an event costs.
func costOf(ev *core.TapEvent) int64 {
	if ev.Message == nil {
		return 0
	}
	return tapCost + int64(len(ev.Data)+len(ev.Message.Topic)+len(ev.Message.Headers))
}

// reserve reports whether there is room for an event, and takes it.
func (t *Tap) reserve(ev *core.TapEvent) bool {
	n := costOf(ev)
	if t.bytes.Add(n) <= tapBytes {
		return true
	}
	t.bytes.Add(-n)
	return false
}

// add queues events for which there is room, and what is lost.
func (t *Tap) add(events ...reported) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	for i := range events {
		t.append(&events[i])
	}
	t.wakeReader()
}

// append puts an event behind what waits. The caller holds mu.
func (t *Tap) append(ev *reported) {
	n := len(t.pieces)
	if n > 0 && ev.lostBehind(t.pieces[n-1]) {
		return
	}
	if n == 0 || len(t.pieces[n-1]) == pieceEvents {
		t.pieces = append(t.pieces, nil)
		n++
	}
	t.pieces[n-1] = append(t.pieces[n-1], *ev)
}

// lostBehind adds what is lost to the last of some events, if that is lost too.
func (ev *reported) lostBehind(events []reported) bool {
	if ev.Kind != core.TapLost || len(events) == 0 {
		return false
	}
	last := &events[len(events)-1]
	if last.Kind != core.TapLost {
		return false
	}
	last.Lost += ev.Lost
	last.Size += ev.Size
	return true
}

func (t *Tap) wakeReader() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// crossings are a message as the taps that watch it see it; nil if none does.
type crossings []*crossing

var _ core.Crossing = crossings(nil)

// crossing is a message that one tap watches.
type crossing struct {
	// Static after construction.
	tap     *Tap
	message core.TapMessage // its number and topic
	content *content        // nil if it is too long to be kept

	// Guarded by mu.
	mu     sync.Mutex
	events []reported // those of the publish itself, until it has ended
	ended  bool
}

// watched returns the crossings of a message that is about to be delivered. s has those who hear it. Not on the path
// of messages that nobody watches.
//
//go:noinline
func (all tapSet) watched(m *publication, topic []byte, s *scratch) (watched crossings) {
	now := time.Now()
	for _, t := range all {
		if !core.MatchPattern(t.pattern, topic) {
			continue
		}
		number, chosen := t.sampler.Take(now)
		if !chosen {
			continue
		}
		c := &crossing{tap: t, message: core.TapMessage{Number: number, Topic: string(topic)}}
		c.published(now, m, s.groups())
		watched = append(watched, c)
	}
	return watched
}

// published reports what the publisher has said, and the message.
func (c *crossing) published(now time.Time, m *publication, groups int) {
	t := c.tap
	about := c.message
	about.From, about.Payload, about.Encodings = m.from, payloadNames[m.payload.Kind], groups
	if m.endpoint != nil {
		about.Endpoint, about.Protocol = m.endpoint.Name, m.endpoint.Protocol
	}
	if json.Valid(m.headers) && len(m.headers) <= t.max {
		about.Headers = bytes.Clone(m.headers)
	}
	ev := core.TapEvent{Time: now, Message: &about}
	if m.sender != nil {
		link := m.sender.link
		ev.Connection = link.ID()
		about.User, about.Remote = link.Identity().User(), link.Remote()
		speaker, ok := link.(core.Speaker)
		if !ok {
			about.From = core.FromBridge
		} else if f, kept := speaker.Saying(); kept {
			said := c.message
			said.Endpoint, said.Protocol = about.Endpoint, about.Protocol
			c.report(reported{TapEvent: frameEvent(ev, &said, f)}, f.Data)
		}
	}
	ev.Kind, ev.Size = core.TapPublished, len(m.payload.Data)
	kept := c.report(reported{TapEvent: ev}, m.payload.Data)
	if len(kept) == len(m.payload.Data) {
		c.content = &content{core.Payload{Kind: m.payload.Kind, Data: kept}, len(m.headers) > 0}
	}
}

func frameEvent(ev core.TapEvent, about *core.TapMessage, f core.Frame) core.TapEvent {
	ev.Kind, ev.Size, ev.Message = core.TapText, len(f.Data), about
	if f.Kind == core.BinaryFrame {
		ev.Kind = core.TapBinary
	}
	return ev
}

// Encoded reports what those are told who hear the message.
func (all crossings) Encoded(ep *core.Endpoint, format core.Format, f core.Frame, subscriptions int, err error) {
	for _, c := range all {
		about := c.message
		about.Endpoint, about.Protocol, about.Subscriptions = ep.Name, ep.Protocol, subscriptions
		ev := core.TapEvent{Time: time.Now(), FromServer: true}
		if err != nil {
			why := fmt.Sprintf("%.500s", err)
			ev.Kind, ev.Size, ev.Message = core.TapUnwritable, len(why), &about
			c.report(reported{TapEvent: ev}, []byte(why))
			continue
		}
		c.report(reported{frameEvent(ev, &about, f), format, c.content}, f.Data)
	}
}

// passedOn reports that the message was handed to an outlet that does not tell what becomes of it.
func (all crossings) passedOn(ep *core.Endpoint) {
	for _, c := range all {
		about := c.message
		about.Endpoint, about.Protocol, about.Subscriptions = ep.Name, ep.Protocol, 1
		c.report(reported{TapEvent: core.TapEvent{Time: time.Now(), Kind: core.TapPassedOn, FromServer: true, Message: &about}}, nil)
	}
}

// report queues an event with a copy of data, which it returns, or keeps it until the message is published. What finds no
// room is lost, and its place is kept.
func (c *crossing) report(ev reported, data []byte) (kept []byte) {
	if len(data) <= c.tap.max {
		ev.Data = data
	}
	if c.tap.reserve(&ev.TapEvent) {
		ev.Data = bytes.Clone(ev.Data)
		kept = ev.Data
	} else {
		c.tap.engine.tapLost.Add(1)
		ev = reported{TapEvent: core.TapEvent{Time: ev.Time, Kind: core.TapLost, Size: ev.Size, Lost: 1}}
	}
	c.mu.Lock()
	later := !c.ended
	if later && !ev.lostBehind(c.events) {
		c.events = append(c.events, ev)
	}
	c.mu.Unlock()
	if !later {
		c.tap.add(ev)
	}
	return kept
}

// end is called when the message is published.
func (all crossings) end() {
	for _, c := range all {
		c.mu.Lock()
		events := c.events
		c.events, c.ended = nil, true
		c.mu.Unlock()
		c.tap.add(events...)
	}
}
