package coretest

import (
	"runtime"
	"testing"

	"github.com/polywire/polywire/core"
)

// The bytes that a message may allocate: a fixed amount, and an amount per byte.
const (
	frugalBase    = 64 << 10
	frugalPerByte = 32
)

// Frugal fails the test if handle, which handles a message of size bytes, allocates
// disproportionately much memory: a client must not be able to harm others with a few
// bytes. Because other goroutines allocate too, it repeats the measurement before it fails:
// handle is called up to three times.
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

// FrugalCodec is [Frugal] for a codec and a client's message: decoding it, and encoding the
// resulting events for clients, must be cheap.
func FrugalCodec(t testing.TB, codec core.Codec, f core.Frame) {
	t.Helper()
	Frugal(t, len(f.Data), func() {
		_ = codec.Decode(f.Clone(), &mirror{codec: codec})
	})
}

// mirror is a sink that encodes for each command its most common outcomes, and the message
// that other clients get.
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
	if c.Verb == core.Offer && c.Exclusive {
		ev.Kind, ev.Verb, ev.Topic = core.OfferLost, core.None, c.Channel
		m.tell(ev)
	}
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
