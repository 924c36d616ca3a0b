package vws

import (
	"errors"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// The refs that are no id of a client.
const (
	// noID is that of a request without an id, which is answered all the same.
	noID = "null"
	// lostID is that of a message that cannot be read, which is answered with
	// the empty string whatever its id was.
	lostID = `""`
	// callID begins that of a call by topic, which is answered by an event to its caller.
	callID = core.ErrorTopic
)

// codec translates for all connections of an endpoint.
type codec struct{ format *Format }

var (
	_ core.Codec  = codec{}
	_ core.Opener = codec{}
)

// Open subscribes a new connection to the endpoint's initial patterns.
func (c codec) Open(_ uint64, to core.Sink) {
	for _, pattern := range c.format.initial {
		to.Do(core.Command{Verb: core.Subscribe, Topic: pattern, Pattern: true})
	}
}

// Decode turns a client message into a command. It never ends a connection: it hands what it
// cannot read or does not allow to Refuse, with a failure whose text Encode writes into the
// nack.
func (c codec) Decode(f core.Frame, to core.Sink) error {
	if len(f.Data) == 0 {
		to.Refuse(core.ReasonMalformed, nil, core.Failure{})
		return nil
	}
	m, reason, ok := read(f)
	if !ok {
		nack(to, reason, []byte(lostID), core.Invalid, "Invalid JSON format")
		return nil
	}
	if kind, _ := rawjson.Unquote(m.kind, nil); len(kind) > 0 {
		c.request(string(kind), m, to)
	} else {
		c.event(m, to)
	}
	return nil
}

// read parses f. If that is impossible ok is false, and r says why.
func read(f core.Frame) (m message, r core.Reason, ok bool) {
	// What clients receive goes out in text frames, so it has to be text on its way in.
	if f.Kind == core.BinaryFrame && !utf8.Valid(f.Data) {
		return m, core.ReasonInvalidUTF8, false
	}
	m, err := parseMessage(f.Data)
	switch {
	case errors.Is(err, rawjson.ErrDepth):
		return m, core.ReasonTooDeep, false
	case err != nil:
		return m, core.ReasonMalformed, false
	}
	return m, 0, true
}

// request carries out a message that has a kind. It is always answered.
func (c codec) request(kind string, m message, to core.Sink) {
	id := m.id
	if id == nil {
		id = []byte(noID)
	}
	switch kind {
	case kindSubscribe:
		c.subscription(core.Subscribe, "subscriptions only allowed to topics with prefix: ", m.topic, id, to)
	case kindUnsubscribe:
		c.subscription(core.Unsubscribe, "unsubscriptions only allowed from topics with prefix: ", m.topic, id, to)
	case kindUnsubscribeAll:
		to.Do(core.Command{Verb: core.UnsubscribeAll, Ref: id})
	case kindAck:
		acknowledge(to, id)
	default:
		nack(to, core.ReasonUnknownType, id, core.Invalid, "unsupported request type: "+kind)
	}
}

// subscription begins or ends a subscription to the pattern in topic, a raw JSON string or
// nil.
func (c codec) subscription(verb core.Verb, refusal string, topic, id []byte, to core.Sink) {
	pattern, _ := rawjson.Unquote(topic, nil)
	switch {
	case !hasPrefix(pattern, c.format.subscribePrefix):
		nack(to, core.ReasonDenied, id, core.Denied, refusal+c.format.subscribePrefix)
	case len(pattern) == 0:
		// The original accepts it, but no event has an empty topic. With other
		// formats there may be one, and a client of this one must not get it.
		acknowledge(to, id)
	default:
		to.Do(core.Command{Verb: verb, Ref: id, Topic: pattern, Pattern: true})
	}
}

// event publishes a message, if the policy allows it. Without an id it is not answered, but who calls
// by topic hears that the call has failed, also if what is refused is the answer to it.
func (c codec) event(m message, to core.Sink) {
	topic, _ := rawjson.Unquote(m.topic, nil)
	send := &c.format.send
	id := m.id
	if id == nil {
		id = refOfCall(topic)
	}
	switch {
	case len(topic) == 0:
		nack(to, core.ReasonMalformed, id, core.Invalid, "topic is required")
	case m.data == nil:
		nack(to, core.ReasonMalformed, id, core.Invalid, "data is required")
		unanswered(topic, to)
	case !send.takes(topic):
		nack(to, core.ReasonDenied, id, core.Denied, send.refusal)
		unanswered(topic, to)
	case send.rule == drop:
		c.drop(topic, to)
		if m.id != nil {
			acknowledge(to, m.id)
		}
	default:
		to.Do(core.Command{Verb: core.Publish, Ref: m.id, Topic: topic, Payload: core.FromJSON(m.data), Headers: m.headers})
	}
}

// drop counts an event that is accepted and not published. A call fails nevertheless, so that its caller does not wait.
func (codec) drop(topic []byte, to core.Sink) {
	if ref := refOfCall(topic); ref != nil {
		nack(to, core.ReasonDenied, ref, core.Denied, "")
		return
	}
	to.Refuse(core.ReasonDenied, nil, core.Failure{})
	unanswered(topic, to)
}

// unanswered ends the call whose answer is not published, so that its caller does not wait.
func unanswered(topic []byte, to core.Sink) {
	if id, ok := core.AnsweredCall(topic); ok {
		to.Do(core.Command{Verb: core.Reply, Call: id, Failure: core.Failure{Code: core.Internal}})
	}
}

// refOfCall returns the ref under which Encode tells the caller by topic of a failure, nil if topic is not that of a call.
func refOfCall(topic []byte) []byte {
	if ref := core.CallRef(topic); ref != nil {
		return append([]byte(callID), ref...)
	}
	return nil
}

// acknowledge answers a message that the engine has no part in: the Pong is an ack.
func acknowledge(to core.Sink, id []byte) { to.Do(core.Command{Verb: core.Ping, Ref: id}) }

// nack counts a message as refused, and answers it unless id is nil.
func nack(to core.Sink, r core.Reason, id []byte, code core.Code, text string) {
	to.Refuse(r, id, core.Failure{Code: code, Text: text})
}
