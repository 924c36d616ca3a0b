package redis

import (
	"errors"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/frame"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// say puts a frame into the outbox, for one node.
func (b *Backplane) say(to core.NodeID, item outgoing, f frame.Frame) error {
	f.From = b.id
	weight := f.Payload.Size() + len(f.Service) + len(f.Notice) + messageOverhead
	return b.out.put(item, weight,
		func(dst []byte) []byte { return append(append(append(dst, b.own...), "node:"...), to...) },
		f.Append)
}

// Ask puts a call to a client of another node.
func (b *Backplane) Ask(to core.NodeID, q core.Question) core.Failure {
	if !b.nodes.Known(to) {
		return core.Failure{Code: core.Gone, Text: "the node that answers is gone"}
	}
	err := b.say(to, outgoing{publish: q.Payload.Size() + 1, to: to, call: q.Call}, frame.AskOf(q))
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

// unsent ends a call that could not be asked.
func (b *Backplane) unsent(to core.NodeID, call core.CallID, gone bool) {
	f, reason := core.Failure{Code: core.Unreachable, Text: errAway.Error()}, core.ReasonUnavailable
	if gone {
		f, reason = core.Failure{Code: core.Gone, Text: "the node that answers is gone"}, core.ReasonGone
	}
	b.cluster.Answered(to, call, core.Outcome{Failure: f, Reason: reason})
}

// Answer answers a call of Cluster.Asked.
func (b *Backplane) Answer(to core.NodeID, call core.CallID, o core.Outcome) {
	f := frame.AnswerOf(call, o)
	err := b.say(to, outgoing{publish: f.Payload.Size() + 1}, f)
	if errors.Is(err, errTooLarge) && !o.Failure.Failed() {
		// The caller need not wait for what never comes.
		b.Answer(to, call, core.Outcome{
			Failure: core.Failure{Code: core.Internal, Text: "the answer is larger than the cluster takes"}, Reason: core.ReasonTooLarge,
		})
	}
}

// Cancel says that nobody waits for the answer to a call any more.
func (b *Backplane) Cancel(to core.NodeID, call core.CallID) {
	_ = b.say(to, outgoing{urgent: true}, frame.Frame{Kind: frame.Cancel, Call: call})
}

// mail carries what this node says of itself.
type mail struct{ b *Backplane }

var _ roster.Mail = mail{}

// All passes a notice on to all other nodes.
func (m mail) All(notice []byte) {
	_ = m.b.out.put(outgoing{urgent: true}, len(notice), func(dst []byte) []byte { return append(append(dst, m.b.own...), "nodes"...) },
		func(dst []byte) []byte { return append(dst, notice...) })
}

// State passes a notice on to one node.
func (m mail) State(to core.NodeID, notice []byte) {
	_ = m.b.say(to, outgoing{urgent: true}, frame.Frame{Kind: frame.State, Notice: notice})
}

// Describe asks a node for all its services.
func (m mail) Describe(to core.NodeID) {
	_ = m.b.say(to, outgoing{urgent: true}, frame.Frame{Kind: frame.Describe})
}

// Taken tells a node that its name is that of another one.
func (m mail) Taken(to, by core.NodeID) {
	_ = m.b.say(to, outgoing{urgent: true}, frame.Frame{Kind: frame.Taken, Notice: []byte(by)})
}
