package vws

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// clientCodec is the client's side of the format, for one connection. It numbers what is to be answered.
type clientCodec struct {
	// Owned by the goroutine that uses it.
	pending core.Pending
	buf     []byte
	limit   int // the server's bound on messages, in bytes; 0 is none
}

var (
	_ core.BoundedFormat      = (*Format)(nil)
	_ core.BoundedClientCodec = (*clientCodec)(nil)
)

// maxScratch is the biggest buffer, in bytes, that is kept for the next message.
const maxScratch = 4 << 10

// NewClientCodec returns the client's side of a connection.
func (*Format) NewClientCodec() core.ClientCodec {
	return new(clientCodec)
}

// ServerLimit returns the limit of the original.
func (*Format) ServerLimit() int { return maxMessage }

// Bound makes Say refuse bigger messages.
func (c *clientCodec) Bound(bytes int) { c.limit = bytes }

// NamesTopics reports true: an event names its topic.
func (*Format) NamesTopics() bool { return true }

// HearsItself reports true: a subscriber hears itself.
func (*Format) HearsItself() bool { return true }

// Ready reports true: nothing has to be heard first.
func (*clientCodec) Ready() bool { return true }

// KeepAlive returns nothing: who answers the server's pings stays connected.
func (*clientCodec) KeepAlive() (time.Duration, core.Frame) { return 0, core.Frame{} }

// Say writes subscriptions, their ends, events, and requests that are only acknowledged. An event is
// answered if it has a Ref.
func (c *clientCodec) Say(cmd core.Command, say func(core.Frame)) (answered bool, err error) {
	var kind string
	answered = true
	switch cmd.Verb {
	case core.Subscribe, core.Unsubscribe:
		if !cmd.Pattern && core.HasWildcard(string(cmd.Topic)) {
			return false, &core.Unsayable{What: "a topic with a level that begins with + or #", Closest: "such a name is a pattern"}
		}
		if kind = kindSubscribe; cmd.Verb == core.Unsubscribe {
			kind = kindUnsubscribe
		}
	case core.UnsubscribeAll:
		kind = kindUnsubscribeAll
	case core.Ping:
		kind = kindAck
	case core.Publish:
		switch {
		case cmd.AsOwner:
			return false, &core.Unsayable{What: "a publication as the owner of a channel", Closest: "publish without it"}
		case len(cmd.Topic) == 0:
			return false, &core.Unsayable{What: "an empty topic"}
		}
		answered = len(cmd.Ref) > 0
	case core.Call, core.Offer, core.Withdraw, core.Reply:
		return false, &core.Unsayable{What: cmd.Verb.String(), Closest: "at a broker that has topics for calls, publish to $call/REF/SERVICE, or subscribe to $serve/SERVICE"}
	case core.Leave:
		return false, &core.Unsayable{What: cmd.Verb.String(), Closest: "close the connection"}
	default:
		return false, &core.Unsayable{What: cmd.Verb.String()}
	}
	dst, err := c.append(c.buf[:0], kind, cmd, answered)
	if err != nil {
		return false, err
	}
	c.buf = dst
	say(core.Frame{Kind: core.TextFrame, Data: dst})
	if cap(c.buf) > maxScratch {
		c.buf = nil
	}
	return answered, nil
}

// append appends the message of a command.
func (c *clientCodec) append(dst []byte, kind string, cmd core.Command, answered bool) ([]byte, error) {
	dst = append(dst, '{')
	if kind != "" {
		dst = append(append(append(dst, `"k":"`...), kind...), `",`...)
	}
	if kind != kindUnsubscribeAll && kind != kindAck {
		dst = append(rawjson.AppendQuote(append(dst, `"t":`...), cmd.Topic), ',')
	}
	if cmd.Verb == core.Publish {
		from := len(dst)
		dst = core.AppendJSON(append(dst, `"d":`...), cmd.Payload)
		if string(dst[from+len(`"d":`):]) == "null" {
			return nil, &core.Unsayable{What: "an event without data", Closest: "publish false, 0 or an empty text"}
		}
		dst = append(dst, ',')
		if cmd.Headers != nil {
			dst = append(append(append(dst, `"h":`...), cmd.Headers...), ',')
		}
	}
	if answered {
		dst = strconv.AppendUint(append(dst, `"i":`...), c.pending.Next(), 10)
	} else {
		dst = dst[:len(dst)-1]
	}
	dst = append(dst, '}')
	if err := core.CheckSize(len(dst), c.limit); err != nil {
		return nil, err
	}
	if answered {
		c.pending.Add(cmd)
	}
	return dst, nil
}

// Forget gives up the requests with this ref.
func (c *clientCodec) Forget(ref []byte) { c.pending.Forget(ref) }

var errServer = errors.New("no message of a vws server")

// Hear tells what a message of a server means. Answers to nothing that was asked mean nothing, as do
// messages of an unknown kind.
func (c *clientCodec) Hear(f core.Frame, tell func(core.Event)) error {
	if f.Kind != core.TextFrame {
		return fmt.Errorf("%w: it is binary", errServer)
	}
	m, err := parseMessage(f.Data)
	if err != nil {
		return fmt.Errorf("%w: %w", errServer, err)
	}
	kind, _ := rawjson.Unquote(m.kind, nil)
	switch string(kind) {
	case "":
		topic, _ := rawjson.Unquote(m.topic, nil)
		if len(topic) == 0 {
			return nil
		}
		ev := core.Event{Kind: core.Message, Topic: topic, Headers: m.headers}
		if m.data != nil {
			ev.Payload = core.FromJSON(m.data)
		}
		tell(ev)
	case kindAck, kindNack:
		c.answered(string(kind), m.id, f.Data, tell)
	}
	return nil
}

// textOf returns the text of a nack.
func textOf(frame []byte) (text []byte) {
	members := rawjson.Object(frame)
	for members.Next() {
		if members.KeyIs("e") {
			text, _ = rawjson.Unquote(members.Value(), nil)
		}
	}
	return text
}

// answered tells what an ack or a nack, in frame, is the outcome of.
func (c *clientCodec) answered(kind string, id, frame []byte, tell func(core.Event)) {
	number, err := strconv.ParseUint(string(id), 10, 64)
	said, ok := c.pending.Get(number)
	if err != nil || !ok {
		return
	}
	c.pending.End(number)
	ev := core.Event{Kind: core.Done, Verb: said.Verb, Ref: said.Ref, Topic: said.Topic}
	switch {
	case kind == kindNack:
		ev.Kind = core.Failed
		ev.Failure = failureOf(said.Verb, string(textOf(frame)))
	case said.Verb == core.Ping:
		ev = core.Event{Kind: core.Pong, Ref: said.Ref}
	}
	tell(ev)
}

// failureOf returns the failure of a command that a text for people tells of. The text stays, unless
// it is the broker's own for that failure.
func failureOf(verb core.Verb, text string) core.Failure {
	for _, code := range []core.Code{
		core.Denied, core.NotOwner, core.Overloaded, core.Shutdown, core.Internal, core.Invalid, core.Taken, core.Unreachable,
		core.NoService, core.Timeout, core.Gone,
	} {
		f := core.Failure{Code: code}
		if failureText(core.Event{Verb: verb, Failure: f}) == text {
			return f
		}
	}
	return core.Failure{Code: core.AnswererError, Text: text}
}
