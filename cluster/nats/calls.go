package nats

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/cluster/roster"
	"github.com/polywire/polywire/core"
)

// The headers of what is said to one node, on its own subject.
const (
	typeHeader    = "Polywire-Type"
	fromHeader    = "Polywire-From"
	callHeader    = "Polywire-Call"
	serviceHeader = "Polywire-Service" // as tokens of a subject
	timeoutHeader = "Polywire-Timeout" // in milliseconds
	codeHeader    = "Polywire-Error-Code"
	textHeader    = "Polywire-Error"
	reasonHeader  = "Polywire-Reason" // under which the failure is counted
)

// The values of typeHeader.
const (
	typeAsk      = "ask"
	typeAnswer   = "answer"
	typeCancel   = "cancel"
	typeDescribe = "describe" // tell me all your services
	typeState    = "state"
	typeTaken    = "taken" // your name is that of another node, which Polywire-From names
)

const (
	// maxTimeout bounds what somebody says that a caller waits.
	maxTimeout = 24 * time.Hour
	// maxFailure bounds the code and the text of a failure.
	maxFailure = 64 << 10
)

var errSpeech = errors.New("a message to this node makes no sense")

// speech is what one node says to another one.
type speech struct {
	kind    string
	from    core.NodeID
	call    core.CallID
	service []byte
	timeout time.Duration
	payload core.Payload
	failure core.Failure
	reason  core.Reason
	sync    uint64 // the number of a sync, and the position in the log of the channels
	log     uint64
}

// hear reads a message to this node, which anybody may have sent. It retains the message's
// bytes.
func hear(m *natsgo.Msg) (s speech, err error) {
	s.kind, s.from = m.Header.Get(typeHeader), core.NodeID(m.Header.Get(fromHeader))
	if !roster.ValidNode(s.from) || s.from == foreignNode {
		return s, errSpeech
	}
	if id := m.Header.Get(callHeader); id != "" {
		ok := false
		if s.call, ok = core.ParseCallID([]byte(id)); !ok {
			return s, errSpeech
		}
	}
	switch s.kind {
	case typeAsk:
		ok := false
		if s.service, ok = appendName(nil, m.Header.Get(serviceHeader)); !ok || !utf8.Valid(s.service) {
			return s, errSpeech
		}
		if s.timeout, err = timeoutOf(m); err != nil {
			return s, err
		}
		s.payload, err = payloadOf(m)
	case typeAnswer:
		if s.call == (core.CallID{}) {
			return s, errSpeech
		}
		if s.failure = failureOf(m, codeHeader, textHeader); !s.failure.Failed() {
			s.payload, err = payloadOf(m)
		}
		// One that a newer node has is not known here.
		s.reason, _ = core.ReasonNamed(m.Header.Get(reasonHeader))
		if len(s.failure.Code)+len(s.failure.Text) > maxFailure || !utf8.ValidString(s.failure.Error()) {
			return s, errSpeech
		}
	case typeCancel:
		if s.call == (core.CallID{}) {
			return s, errSpeech
		}
	case typeDescribe, typeTaken, typeLook:
	case typeSync, typeSynced:
		s.sync, s.log, err = syncOf(m)
	default:
		return s, errSpeech
	}
	return s, err
}

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
	return time.Duration(min(ms, uint64(maxTimeout/time.Millisecond))) * time.Millisecond, nil
}

func failureOf(m *natsgo.Msg, code, text string) core.Failure {
	return core.Failure{Code: core.Code(unescapeText(m.Header.Get(code))), Text: unescapeText(m.Header.Get(text))}
}

// withFailure returns h with a failure, if f is one.
func withFailure(h natsgo.Header, f core.Failure, code, text string) natsgo.Header {
	if !f.Failed() {
		return h
	}
	if h == nil {
		h = natsgo.Header{}
	}
	h.Set(code, escapeText(shortened(string(f.Code))))
	h.Set(text, escapeText(shortened(f.Text)))
	return h
}

// shortened returns a text that the other node takes: an answerer can fail with any text.
func shortened(text string) string {
	if len(text) > maxFailure/3 {
		text = text[:maxFailure/3]
	}
	return strings.ToValidUTF8(text, "")
}

func idText(id core.CallID) string { return string(id.Append(nil)) }

// Ask puts a call to a client of another node.
func (b *Backplane) Ask(to core.NodeID, q core.Question) core.Failure {
	if !b.nodes.Known(to) {
		return core.Failure{Code: core.Gone, Text: "the node that answers is gone"}
	}
	kind, data := pack(q.Payload)
	h := natsgo.Header{
		typeHeader: {typeAsk}, fromHeader: {string(b.id)},
		serviceHeader: {string(appendTokens(nil, q.Service))},
		timeoutHeader: {strconv.FormatInt(q.Timeout.Milliseconds(), 10)},
	}
	if q.Call != (core.CallID{}) {
		h.Set(callHeader, idText(q.Call))
	}
	err := b.out.put(outgoing{header: withKind(h, kind), publish: true, to: to, call: q.Call}, b.inboxOf(to), data)
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
	h := natsgo.Header{typeHeader: {typeAnswer}, fromHeader: {string(b.id)}, callHeader: {idText(call)}}
	kind, data := pack(o.Answer)
	if o.Failure.Failed() {
		kind, data = "", nil
		h = withFailure(h, o.Failure, codeHeader, textHeader)
		h.Set(reasonHeader, o.Reason.String())
	}
	err := b.out.put(outgoing{header: withKind(h, kind), publish: true}, b.inboxOf(to), data)
	if errors.Is(err, errTooLarge) && !o.Failure.Failed() {
		// The caller need not wait for what never comes.
		b.Answer(to, call, core.Outcome{
			Failure: core.Failure{Code: core.Internal, Text: "the answer is larger than the cluster's engine takes"}, Reason: core.ReasonTooLarge,
		})
	}
}

// Cancel says that nobody waits for the answer to a call any more.
func (b *Backplane) Cancel(to core.NodeID, call core.CallID) {
	h := natsgo.Header{typeHeader: {typeCancel}, fromHeader: {string(b.id)}, callHeader: {idText(call)}}
	_ = b.out.put(outgoing{header: h}, b.inboxOf(to), nil)
}

func (b *Backplane) inboxOf(to core.NodeID) func([]byte) []byte {
	return func(dst []byte) []byte { return append(dst, b.subjects.node(to)...) }
}

// spokenTo handles a message to this node.
func (b *Backplane) spokenTo(m *natsgo.Msg) {
	if m.Header.Get(typeHeader) == typeState {
		b.nodes.State(m.Data)
		return
	}
	s, err := hear(m)
	if err != nil || s.from == b.id {
		b.o.Stats.Refused.Inc(core.ReasonMalformed)
		return
	}
	switch s.kind {
	case typeDescribe:
		b.nodes.Describe(s.from)
	case typeTaken:
		b.nodes.Taken(s.from)
	case typeAsk:
		b.count(m)
		b.cluster.Asked(s.from, core.Question{Call: s.call, Service: s.service, Payload: s.payload, Timeout: s.timeout})
	case typeAnswer:
		b.count(m)
		b.cluster.Answered(s.from, s.call, core.Outcome{Answer: s.payload, Failure: s.failure, Reason: s.reason})
	case typeCancel:
		b.cluster.Cancelled(s.from, s.call)
	case typeLook:
		b.places.Look(string(m.Data))
	case typeSync:
		b.syncAsked(s)
	case typeSynced:
		b.syncs.Answered(s.sync, s.from)
	}
}

// count counts a message that has come in.
func (b *Backplane) count(m *natsgo.Msg) {
	b.o.Stats.MessagesIn.Add(1)
	b.o.Stats.BytesIn.Add(uint64(len(m.Data)))
}
