package wsify

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// codec translates for all connections.
type codec struct{}

var _ core.Stateless = codec{}

// Stateless marks the codec as stateless.
func (codec) Stateless() {}

// Decode turns a client message into one command and never fails: what it cannot read is
// counted and ignored. What it can read but not carry out becomes None, because the
// authorizer is asked about it all the same and may end the connection over it.
func (codec) Decode(f core.Frame, to core.Sink) error {
	// The content goes out in text frames, so it has to be text on its way in.
	if f.Kind == core.BinaryFrame && !utf8.Valid(f.Data) {
		to.Refuse(core.ReasonInvalidUTF8, nil, core.Failure{})
		return nil
	}
	var m message
	if err := m.read(f.Data); err != nil {
		to.Refuse(reasonOf(err), nil, core.Failure{})
		return nil
	}
	c := core.Command{Verb: m.verb(), Source: m.source(f.Data)}
	if c.Verb == core.None {
		to.Refuse(core.ReasonUnknownType, nil, core.Failure{})
	} else if c.Topic = m.topic(); len(c.Topic) == 0 {
		to.Refuse(core.ReasonMalformed, nil, core.Failure{})
		c.Verb = core.None
	} else if c.Verb == core.Publish {
		c.Payload = payloadOf(m.content)
	}
	to.Do(c)
	return nil
}

// Encode writes messages; the format has no other words. Requests, and that an offer was lost,
// come as messages too: clients offer services by topic.
func (codec) Encode(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	if ev.Kind != core.Message {
		return dst, core.NoFrame, nil
	}
	return (*Format)(nil).EncodeMessage(dst, ev)
}

// verb returns what the command asks; None if the format does not have it.
func (m *message) verb() core.Verb {
	command, _ := rawjson.Unquote(m.command, nil)
	switch string(command) {
	case "join":
		return core.Subscribe
	case "leave":
		return core.Unsubscribe
	case "broadcast":
		return core.Publish
	}
	return core.None
}

// topic returns the channel without white space around it; empty if there is
// no channel, or one that is no string.
func (m *message) topic() []byte {
	channel, _ := rawjson.Unquote(m.channel, nil)
	return bytes.TrimSpace(channel)
}

// payloadOf returns the payload of a content as it is written, null if there is none.
func payloadOf(content []byte) core.Payload {
	if content == nil {
		return core.Payload{Kind: core.JSON, Data: []byte("null")}
	}
	return core.FromJSON(content)
}

// reasonOf returns the reason under which an unreadable document is counted.
func reasonOf(err error) core.Reason {
	if errors.Is(err, rawjson.ErrDepth) {
		return core.ReasonTooDeep
	}
	return core.ReasonMalformed
}
