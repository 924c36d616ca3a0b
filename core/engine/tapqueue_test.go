package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

// tapModel is what a tap is to do: events of messages, of which several are published at once, in the order in which the
// messages end, and what finds no room as a number where it is missing.
type tapModel struct {
	t     *testing.T
	tap   *Tap
	next  uint64           // the number of the next event
	costs map[uint64]int64 // of the events that wait
	bytes int64            // their sum
	open  []*modelMessage  // in the order in which they have begun
	ended []*modelMessage  // their last events come late
	want  []core.TapEvent  // Connection is the number of an event; what is lost is merged
	got   []core.TapEvent  // likewise
	lost  uint64           // events that found no room
	data  []byte           // the events' data are its beginnings
}

type modelMessage struct {
	crossing *crossing
	events   []core.TapEvent
}

// put adds an event to some, or what is lost to the one before.
func put(to []core.TapEvent, ev core.TapEvent) []core.TapEvent {
	if n := len(to); ev.Kind == core.TapLost && n > 0 && to[n-1].Kind == core.TapLost {
		to[n-1].Lost += ev.Lost
		to[n-1].Size += ev.Size
		return to
	}
	return append(to, core.TapEvent{Connection: ev.Connection, Kind: ev.Kind, Size: ev.Size, Lost: ev.Lost})
}

// report reports an event of a message.
func (m *tapModel) report(one *modelMessage, size int) core.TapEvent {
	m.next++
	ev := core.TapEvent{Connection: m.next, Time: time.Now(), Kind: core.TapText, Size: size, Message: &core.TapMessage{Topic: "a"}}
	kept := one.crossing.report(reported{TapEvent: ev}, m.data[:size])
	shown := size
	if size > m.tap.max {
		shown = 0
	}
	cost := int64(tapCost + len("a") + shown)
	if m.bytes+cost > tapBytes {
		m.lost++
		if kept != nil {
			m.t.Fatalf("event %d is kept, beside %d bytes", m.next, m.bytes)
		}
		return core.TapEvent{Kind: core.TapLost, Size: size, Lost: 1}
	}
	if len(kept) != shown {
		m.t.Fatalf("%d of %d bytes of event %d are kept, beside %d", len(kept), shown, m.next, m.bytes)
	}
	m.bytes += cost
	m.costs[m.next] = cost
	return ev
}

// end ends a message that is open.
func (m *tapModel) end(i int) {
	one := m.open[i]
	crossings{one.crossing}.end()
	for _, ev := range one.events {
		m.want = put(m.want, ev)
	}
	m.open = slices.Delete(m.open, i, i+1)
	m.ended = append(m.ended, one)
}

// took checks what the tap says.
func (m *tapModel) took(events []core.TapEvent) {
	m.t.Helper()
	if len(events) > pieceEvents {
		m.t.Fatalf("%d events at once", len(events))
	}
	for i, ev := range events {
		if ev.Kind == core.TapLost && i > 0 && events[i-1].Kind == core.TapLost {
			m.t.Fatal("what is lost in one place comes in two events")
		}
		if ev.Kind == core.TapText && !bytes.Equal(ev.Data, m.data[:len(ev.Data)]) {
			m.t.Fatalf("event %d has other data", ev.Connection)
		}
		m.got = put(m.got, ev)
		m.bytes -= m.costs[ev.Connection]
		delete(m.costs, ev.Connection)
	}
	if n := m.tap.bytes.Load(); n != m.bytes {
		m.t.Fatalf("%d bytes are taken, want %d", n, m.bytes)
	}
}

// drain reads what waits.
func (m *tapModel) drain() {
	m.t.Helper()
	for {
		events, _ := m.tap.take(nil)
		if m.took(events); len(events) == 0 {
			return
		}
	}
}

// A tap says everything in order, also what is missing and where, and keeps no more than it may.
func TestTapQueue(t *testing.T) {
	for round := range 6 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(round), 1))
			w := newWorld(t, 1)
			tap, err := w.engine.Tap("#", core.TapOptions{MaxMessage: 250_000})
			if err != nil {
				t.Fatal(err)
			}
			m := &tapModel{t: t, tap: tap, costs: make(map[uint64]int64), data: bytes.Repeat([]byte("data"), 75_000)}
			var into []core.TapEvent
			// Some rounds have few big events, the others many small ones.
			sizes := []int{300_000, 100_000, 2000, 10, 0}[round%5]
			for range 12_000 - sizes/30 {
				switch random.IntN(20) {
				default:
					for range random.IntN(5) {
						if len(m.open) > 0 {
							one := m.open[random.IntN(len(m.open))]
							one.events = put(one.events, m.report(one, random.IntN(sizes+1)))
						}
					}
				case 1, 2, 3:
					m.open = append(m.open, &modelMessage{crossing: &crossing{tap: tap}})
				case 4, 5, 6:
					if n := len(m.open); n > 0 {
						m.end(random.IntN(n))
					}
				case 7:
					if n := len(m.ended); n > 0 {
						m.want = put(m.want, m.report(m.ended[random.IntN(n)], random.IntN(sizes+1)))
					}
				case 8:
					if random.IntN(8) == 0 {
						for range random.IntN(200) {
							into, _ = tap.take(into)
							m.took(into)
						}
					}
				}
			}
			for len(m.open) > 0 {
				m.end(0)
			}
			if _, lost := w.engine.Taps(); lost != m.lost {
				t.Errorf("%d events are counted, and %d lost", lost, m.lost)
			}
			for i, piece := range tap.pieces {
				if len(piece) != pieceEvents && i < len(tap.pieces)-1 {
					t.Errorf("%d events in piece %d of %d", len(piece), i, len(tap.pieces))
				}
			}
			m.drain()
			if m.bytes != 0 || !slices.EqualFunc(m.got, m.want, func(a, b core.TapEvent) bool {
				return a.Connection == b.Connection && a.Kind == b.Kind && a.Size == b.Size && a.Lost == b.Lost
			}) {
				t.Errorf("%d bytes wait; got %d events, want %d", m.bytes, len(m.got), len(m.want))
			}
			t.Logf("%d events, %d lost, in %d entries", m.next, m.lost, len(m.want))
		})
	}
}

// What waits when the taps end is read before the reason, and what is lost too; a tap that its reader closes has nothing.
func TestTapEndsBehindWhatWaits(t *testing.T) {
	w := newWorld(t, 1)
	s := w.site(core.Endpoint{})
	var taps [2]*Tap
	for i := range taps {
		var err error
		if taps[i], err = w.engine.Tap("#", core.TapOptions{MaxMessage: tapBytes}); err != nil {
			t.Fatal(err)
		}
	}
	publish := func(size int) {
		w.engine.Publisher(s.Endpoint).Publish([]byte("a"), core.Payload{Kind: core.Text, Data: make([]byte, size)})
	}
	const small = 2*pieceEvents + 10
	for range small {
		publish(1)
	}
	publish(tapBytes)
	publish(tapBytes)
	taps[1].Close()
	if events, err := taps[1].Next(t.Context(), nil); !errors.Is(err, io.EOF) {
		t.Errorf("closed: %d events, %v", len(events), err)
	}
	w.engine.Close()
	publish(1)
	var got []core.TapEvent
	ctx, cancel := context.WithTimeout(t.Context(), coretest.Patience)
	defer cancel()
	for {
		events, err := taps[0].Next(ctx, nil)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, events...)
	}
	if len(got) != small+2 {
		t.Fatalf("%d events", len(got))
	}
	if lost, over := got[small], got[small+1]; lost.Kind != core.TapLost || lost.Lost != 2 || lost.Size != 2*tapBytes || over.Kind != core.TapOver {
		t.Errorf("%v of %d events, then %v", lost.Kind, lost.Lost, over.Kind)
	}
}
