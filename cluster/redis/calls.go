package redis

import (
	"errors"
	"strings"

	"github.com/polywire/polywire/cluster/roster"
	"github.com/polywire/polywire/core"
)

// say puts a frame into the outbox, for one node.
func (b *Backplane) say(to core.NodeID, item outgoing, f frame) error {
	f.from = b.id
	weight := f.payload.Size() + len(f.service) + len(f.notice) + messageOverhead
	return b.out.put(item, weight,
		func(dst []byte) []byte { return append(append(append(dst, b.own...), "node:"...), to...) },
		f.append)
}

// Ask puts a call to a client of another node.
func (b *Backplane) Ask(to core.NodeID, q core.Question) core.Failure {
	if !b.nodes.Known(to) {
		return core.Failure{Code: core.Gone, Text: "the node that answers is gone"}
	}
	err := b.say(to, outgoing{publish: q.Payload.Size() + 1, to: to, call: q.Call},
		frame{kind: kindAsk, call: q.Call, service: q.Service, timeout: q.Timeout, payload: q.Payload})
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
	f := frame{kind: kindAnswer, call: call, payload: o.Answer}
	if o.Failure.Failed() {
		f.payload = core.Payload{}
		f.failure = core.Failure{Code: core.Code(shortened(string(o.Failure.Code))), Text: shortened(o.Failure.Text)}
		f.reason = o.Reason
	}
	err := b.say(to, outgoing{publish: f.payload.Size() + 1}, f)
	if errors.Is(err, errTooLarge) && !o.Failure.Failed() {
		// The caller need not wait for what never comes.
		b.Answer(to, call, core.Outcome{
			Failure: core.Failure{Code: core.Internal, Text: "the answer is larger than the cluster takes"}, Reason: core.ReasonTooLarge,
		})
	}
}

// shortened returns a text that the other node takes: an answerer can fail with any text.
func shortened(text string) string {
	if len(text) > maxFailure/3 {
		text = text[:maxFailure/3]
	}
	return strings.ToValidUTF8(text, "")
}

// Cancel says that nobody waits for the answer to a call any more.
func (b *Backplane) Cancel(to core.NodeID, call core.CallID) {
	_ = b.say(to, outgoing{urgent: true}, frame{kind: kindCancel, call: call})
}

// spokenTo handles a message to this node.
func (b *Backplane) spokenTo(data []byte) {
	f, err := readFrame(data)
	if err != nil || f.from == b.id {
		b.o.Stats.Refused.Inc(core.ReasonMalformed)
		return
	}
	switch f.kind {
	case kindDescribe:
		b.nodes.Describe(f.from)
	case kindState:
		b.nodes.State(f.notice)
	case kindTaken:
		b.nodes.Taken(core.NodeID(f.notice))
	case kindAsk:
		b.count(len(data))
		b.cluster.Asked(f.from, core.Question{Call: f.call, Service: f.service, Payload: f.payload, Timeout: f.timeout})
	case kindAnswer:
		b.count(len(data))
		b.cluster.Answered(f.from, f.call, core.Outcome{Answer: f.payload, Failure: f.failure, Reason: f.reason})
	case kindCancel:
		b.cluster.Cancelled(f.from, f.call)
	case kindLook:
		b.places.Look(string(f.notice))
	case kindSync:
		b.syncAsked(f)
	case kindSynced:
		b.syncs.Answered(f.sync, f.from)
	}
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
	_ = m.b.say(to, outgoing{urgent: true}, frame{kind: kindState, notice: notice})
}

// Describe asks a node for all its services.
func (m mail) Describe(to core.NodeID) {
	_ = m.b.say(to, outgoing{urgent: true}, frame{kind: kindDescribe})
}

// Taken tells a node that its name is that of another one.
func (m mail) Taken(to, by core.NodeID) {
	_ = m.b.say(to, outgoing{urgent: true}, frame{kind: kindTaken, notice: []byte(by)})
}
