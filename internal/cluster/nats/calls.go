package nats

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/frame"
)

// timeoutHeader is how long a program that is no node waits for the answer to its call, in
// milliseconds.
const timeoutHeader = "Polywire-Timeout"

// timeoutOf returns how long the caller waits, or 0 if it does not say.
func timeoutOf(m *natsgo.Msg) (time.Duration, error) {
	text := m.Header.Get(timeoutHeader)
	if text == "" {
		return 0, nil
	}
	ms, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", timeoutHeader, err)
	}
	return time.Duration(min(ms, uint64(frame.MaxTimeout/time.Millisecond))) * time.Millisecond, nil
}

// say puts a frame into the outbox, for one node.
func (b *Backplane) say(to core.NodeID, item outgoing, f frame.Frame) error {
	f.From = b.id
	room := len(f.Service) + f.Payload.Size() + frameRoom
	return b.out.put(item, b.inboxOf(to), f.Append(make([]byte, 0, room)))
}

// frameRoom is about what a frame has besides its payload.
const frameRoom = 64

// Ask puts a call to a client of another node.
func (b *Backplane) Ask(to core.NodeID, q core.Question) core.Failure {
	if !b.nodes.Known(to) {
		return core.Failure{Code: core.Gone, Text: "the node that answers is gone"}
	}
	err := b.say(to, outgoing{publish: true, to: to, call: q.Call}, frame.AskOf(q))
	switch {
	case err == nil:
		return core.Failure{}
	case errors.Is(err, errTooLarge):
		return core.Failure{Code: core.Invalid, Text: err.Error()}
	case errors.Is(err, errFull):
		return core.Failure{Code: core.Overloaded, Text: err.Error()}
	}
	return core.Failure{Code: core.Unreachable, Text: err.Error()}
}

// unsent ends a call that could not be written to the engine.
func (b *Backplane) unsent(to core.NodeID, call core.CallID) {
	b.cluster.Answered(to, call, core.Outcome{Failure: core.Failure{Code: core.Unreachable, Text: errAway.Error()}})
}

// Answer answers a call of Cluster.Asked.
func (b *Backplane) Answer(to core.NodeID, call core.CallID, o core.Outcome) {
	if to == foreignNode {
		b.foreign.answer(call, o.Answer, o.Failure)
		return
	}
	err := b.say(to, outgoing{publish: true}, frame.AnswerOf(call, o))
	if errors.Is(err, errTooLarge) && !o.Failure.Failed() {
		// The caller need not wait for what never comes.
		b.Answer(to, call, core.Outcome{
			Failure: core.Failure{Code: core.Internal, Text: "the answer is larger than the cluster's engine takes"}, Reason: core.ReasonTooLarge,
		})
	}
}

// Cancel says that nobody waits for the answer to a call any more.
func (b *Backplane) Cancel(to core.NodeID, call core.CallID) {
	_ = b.say(to, outgoing{}, frame.Frame{Kind: frame.Cancel, Call: call})
}

func (b *Backplane) inboxOf(to core.NodeID) func([]byte) []byte {
	return func(dst []byte) []byte { return append(dst, b.subjects.node(to)...) }
}

// count counts a message that has come in.
func (b *Backplane) count(m *natsgo.Msg) {
	b.o.Stats.MessagesIn.Add(1)
	b.o.Stats.BytesIn.Add(uint64(len(m.Data)))
}
