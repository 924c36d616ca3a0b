package webwire

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
)

// The names by which a client of this format subscribes. The payload is the
// topic or pattern.
const (
	nameSubscribe   = "$subscribe"
	nameUnsubscribe = "$unsubscribe"
)

var (
	errText = errors.New("a text message")
	errUTF8 = errors.New("a payload of type UTF-8 that is not UTF-8")
)

// codec translates for one connection. All its data is the endpoint's.
type codec struct{ format *Format }

var (
	_ core.Codec  = codec{}
	_ core.Opener = codec{}
)

// Open subscribes a new connection to what every client of the endpoint hears.
func (c codec) Open(_ uint64, to core.Sink) {
	for _, pattern := range c.format.options.Subscribe {
		to.Do(core.Command{Verb: core.Subscribe, Topic: []byte(pattern), Pattern: true})
	}
}

// Decode turns a client message into one command, or into none for a heartbeat, which is
// not even counted: a client in JavaScript sends hundreds a second. Ref is type and id of
// the message, nil for a signal. A command for a UTF-16 message owns its payload's Data;
// all else points into f. Decode does not check the size of f, the network does.
func (c codec) Decode(f core.Frame, to core.Sink) error {
	if f.Kind != core.BinaryFrame {
		return &core.Violation{Reason: core.ReasonWrongFrame, Err: errText}
	}
	m, err := parse(f.Data)
	if err != nil {
		return violation(core.ReasonMalformed, err)
	}
	switch m.kind {
	case typeHeartbeat:
	case typeSignal, typeRequest:
		return c.carryOut(m, to)
	case typeRestoreSession:
		to.Do(core.Command{Verb: core.RestoreSession, Ref: m.ref, Key: m.payload})
	case typeCloseSession:
		to.Do(core.Command{Verb: core.CloseSession, Ref: m.ref})
	default:
		to.Refuse(core.ReasonUnknownType, nil, core.Failure{})
	}
	return nil
}

// carryOut hands a signal or request to the engine.
func (c codec) carryOut(m message, to core.Sink) error {
	if m.encoding == asUTF8 && !utf8.Valid(m.payload) {
		return violation(core.ReasonInvalidUTF8, errUTF8)
	}
	cmd := core.Command{Ref: m.ref}
	switch {
	case string(m.name) == nameSubscribe:
		cmd.Verb = core.Subscribe
	case string(m.name) == nameUnsubscribe:
		cmd.Verb = core.Unsubscribe
	case m.kind == typeRequest:
		cmd.Verb, cmd.Topic, cmd.Payload = core.Call, c.named(topicOf(m.name)), m.content()
	default:
		cmd.Verb, cmd.Topic, cmd.Payload = core.Publish, c.named(topicOf(m.name)), m.content()
		cmd.NotToSelf = true
	}
	if cmd.Verb == core.Subscribe || cmd.Verb == core.Unsubscribe {
		cmd.Topic, cmd.Pattern = c.named(m.content().Data), true
		if !utf8.Valid(cmd.Topic) {
			to.Refuse(core.ReasonInvalidUTF8, m.ref, core.Failure{Code: core.Invalid, Text: "the pattern is not UTF-8"})
			return nil
		}
	}
	to.Do(cmd)
	return nil
}

// named returns topic, or the default topic if it is empty, as for a message without a
// name.
func (c codec) named(topic []byte) []byte {
	if len(topic) == 0 {
		return c.format.defaultTopic
	}
	return topic
}

// content returns the payload of a signal or request. An empty one keeps its encoding too:
// it is answered and passed on in it.
func (m message) content() core.Payload {
	switch m.encoding {
	case asUTF8:
		return core.Payload{Kind: core.Text, Data: m.payload}
	case asUTF16:
		return core.TextUTF16(m.payload)
	}
	return core.Payload{Kind: core.Binary, Data: m.payload}
}

func violation(r core.Reason, err error) error {
	return &core.Violation{Reason: r, Err: fmt.Errorf("reading a webwire message: %w", err)}
}
