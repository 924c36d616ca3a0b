package coretest

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/polywire/polywire/core"
)

// What a message may cost: a little, whatever it is, and for each of its bytes a few.
const (
	frugalBase    = 64 << 10
	frugalPerByte = 32
)

// Frugal fails the test if handle, which handles a message of size bytes, allocates more
// memory than in proportion to that: what a client can make of its own bytes must not
// stand in the way of others. Since other goroutines allocate too, it counts again before
// it complains: handle is called up to three times.
func Frugal(t testing.TB, size int, handle func()) {
	t.Helper()
	most := uint64(frugalBase + frugalPerByte*size)
	least := ^uint64(0)
	for range 3 {
		if least = min(least, allocated(handle)); least <= most {
			return
		}
	}
	t.Fatalf("a message of %d bytes allocates %d bytes, want at most %d", size, least, most)
}

// allocated returns how many bytes are allocated while f runs.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// FrugalCodec is [Frugal] for a codec and what a client writes: that it is decoded, and
// what comes of it is written for clients, must be cheap.
func FrugalCodec(t testing.TB, codec core.Codec, f core.Frame) {
	t.Helper()
	Frugal(t, len(f.Data), func() {
		_ = codec.Decode(core.Frame{Kind: f.Kind, Data: bytes.Clone(f.Data)}, &mirror{codec: codec})
	})
}

// mirror is a sink that has the codec write for each command what most often comes of it,
// and the message or request that others get.
type mirror struct {
	codec core.Codec
	dst   []byte
}

func (m *mirror) Do(c core.Command) {
	ev := core.Event{Verb: c.Verb, Ref: c.Ref, Topic: c.Topic, As: c.As, Payload: c.Payload, Headers: c.Headers}
	kinds := []core.EventKind{core.Done, core.Message}
	if c.Verb == core.Call {
		kinds = []core.EventKind{core.Done, core.Answer}
	}
	for _, kind := range kinds {
		ev.Kind = kind
		m.tell(ev)
	}
	ev.Kind, ev.Failure = core.Failed, core.Failure{Code: core.Invalid, Text: string(c.Topic)}
	m.tell(ev)
}

func (m *mirror) Refuse(_ core.Reason, ref []byte, f core.Failure) {
	if f.Failed() {
		m.tell(core.Event{Kind: core.Failed, Ref: ref, Failure: f})
	}
}

func (m *mirror) tell(ev core.Event) {
	if out, _, err := m.codec.Encode(m.dst[:0], ev); err == nil {
		m.dst = out
	}
}
