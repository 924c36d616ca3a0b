package verify

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/polywire/polywire/core"
)

// messages returns the checks with broken messages.
func (v *verifier) messages() []check {
	const do = "a message is a client's to choose: refuse it (Refusal), or end its connection (Violation)"
	return []check{
		{"takes input cut at every byte", v.checkCut, do, false},
		{"takes random messages", v.checkRandom, do, false},
	}
}

// The bounds of the cuts.
const (
	maxWhole = 4 << 10 // of bigger messages only so much is sent
	maxEdge  = 256     // and longer ones are cut at every byte of their beginning and end alone
)

// checkCut sends each message of the conversations in two pieces, which are two messages:
// formats whose frames may be divided take them, others refuse them.
func (v *verifier) checkCut(ctx context.Context) (string, error) {
	sequences := v.heard.sequences()
	if len(sequences) == 0 {
		return "", unfounded("no conversation has sent the plugin a message")
	}
	known := make(map[string]bool)
	messages, cuts := 0, 0
	err := v.try(func(yield func(tryout) bool) {
		for _, frames := range sequences {
			for n, f := range frames {
				before := v.before(frames[:n])
				f.Data = f.Data[:min(len(f.Data), maxWhole)]
				if key := string(f.Data); known[key] {
					continue
				} else {
					known[key] = true
				}
				messages++
				for at := range len(f.Data) + 1 {
					if at > maxEdge && len(f.Data)-at > maxEdge {
						continue
					}
					if cuts++; cuts > v.Cuts || ctx.Err() != nil || !yield(cutAt(before, f, at)) {
						return
					}
				}
			}
		}
	})
	if cuts > v.Cuts {
		return fmt.Sprintf("%d messages, %d cuts; others were left out", messages, v.Cuts), err
	}
	return fmt.Sprintf("%d messages, %d cuts", messages, cuts), err
}

// maxBefore bounds the messages that stand before one that is tried.
const maxBefore = 8

// before returns what a client says before a message that is tried. A stateless plugin
// needs nothing.
func (v *verifier) before(frames []core.Frame) []core.Frame {
	if !v.facts.stateful {
		return nil
	}
	return frames[:min(len(frames), maxBefore)]
}

// cutAt returns the tryout of f in two pieces.
func cutAt(before []core.Frame, f core.Frame, at int) tryout {
	return tryout{
		fmt.Sprintf("a message cut behind %d of %d bytes", at, len(f.Data)),
		append(slices.Clone(before), piece(f.Kind, f.Data[:at]), piece(f.Kind, f.Data[at:])),
	}
}

// piece returns a message of b. The host passes no text that is not UTF-8, so text that a
// cut made invalid is repaired.
func piece(kind core.FrameKind, b []byte) core.Frame {
	if kind == core.TextFrame {
		b = bytes.ToValidUTF8(b, []byte("?"))
	}
	return core.Frame{Kind: kind, Data: b}
}

// checkRandom sends messages made of those of the conversations, or of nothing.
func (v *verifier) checkRandom(ctx context.Context) (string, error) {
	m := &mutator{random: rand.New(rand.NewPCG(v.Seed, 1)), most: v.facts.maxMessage, sequences: v.heard.sequences()}
	err := v.try(func(yield func(tryout) bool) {
		for range v.Random {
			before, f := m.next()
			if ctx.Err() != nil || !yield(tryout{"a random message", append(v.before(before), f)}) {
				return
			}
		}
	})
	return fmt.Sprintf("%d of them, seed %d", v.Random, v.Seed), err
}

// mutator makes random messages. It is used by one goroutine.
type mutator struct {
	random    *rand.Rand
	most      int // bytes of a message
	sequences [][]core.Frame
}

// next returns a message and what a client has said before it.
func (m *mutator) next() (before []core.Frame, f core.Frame) {
	f.Kind = core.TextFrame
	if len(m.sequences) > 0 {
		frames := m.sequences[m.random.IntN(len(m.sequences))]
		n := m.random.IntN(len(frames))
		before, f = slices.Clone(frames[:n]), frames[n]
	}
	f.Data = bytes.Clone(f.Data[:min(len(f.Data), 4<<10)])
	for range 1 + m.random.IntN(4) {
		f.Data = m.mutate(f.Data)
	}
	if m.random.IntN(8) == 0 {
		f.Kind = core.TextFrame + core.BinaryFrame - f.Kind
	}
	if len(f.Data) > m.most {
		f.Data = f.Data[:m.most]
	}
	return before, piece(f.Kind, f.Data)
}

// mutate changes b at one place.
func (m *mutator) mutate(b []byte) []byte {
	at := m.random.IntN(len(b) + 1)
	to := at + m.random.IntN(min(len(b)-at, 16)+1)
	switch m.random.IntN(6) {
	case 0: // less
		return slices.Delete(b, at, to)
	case 1: // twice
		return slices.Insert(b, at, slices.Clone(b[at:to])...)
	case 2: // what codecs look for
		const marks = "\x00\n\r\"\\{}[],:/+#$0-9 \xff\xc3"
		return slices.Insert(b, at, marks[m.random.IntN(len(marks))])
	case 3: // noise
		noise := make([]byte, m.random.IntN(24))
		for n := range noise {
			noise[n] = byte(m.random.Uint32())
		}
		return slices.Insert(b, at, noise...)
	case 4: // very deep
		return slices.Insert(b, at, bytes.Repeat([]byte("[{"[m.random.IntN(2):][:1]), m.random.IntN(2000))...)
	}
	if at < len(b) { // one bit
		b[at] ^= 1 << m.random.IntN(8)
	}
	return b
}
