package wubsub

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// clientCodec is the client's side of the format, for one connection.
//
// The server names requests, and accepts those of one client in their order: until its
// acknowledgement has come, a request has no name but its place in line.
type clientCodec struct {
	// Owned by the goroutine that uses it.
	unnamed []request
	named   map[core.CallID]request // without those that are silent
	buf     []byte
	limit   int // the server's bound on messages, in bytes; 0 is none
}

// serverLimit is how many bytes a message to the original server may have.
const serverLimit = 512

// request is a call whose outcome is not heard yet.
type request struct {
	ref    []byte
	silent bool // nobody wants to hear its outcome
}

var (
	_ core.BoundedFormat      = (*Format)(nil)
	_ core.BoundedClientCodec = (*clientCodec)(nil)
)

// NewClientCodec returns the client's side of a connection.
func (*Format) NewClientCodec() core.ClientCodec {
	return &clientCodec{named: make(map[core.CallID]request)}
}

// ServerLimit returns the limit of the original.
func (*Format) ServerLimit() int { return serverLimit }

// Bound makes Say refuse bigger messages.
func (c *clientCodec) Bound(bytes int) { c.limit = bytes }

// NamesTopics reports true: a message names its channel and topic.
func (*Format) NamesTopics() bool { return true }

// HearsItself reports true: the owner hears itself.
func (*Format) HearsItself() bool { return true }

// Ready reports true: nothing has to be heard first.
func (*clientCodec) Ready() bool { return true }

// KeepAlive returns nothing: who answers the server's pings stays connected.
func (c *clientCodec) KeepAlive() (time.Duration, core.Frame) { return 0, core.Frame{} }

// Say writes subscriptions, publications as the owner, exclusive offers, calls and answers.
func (c *clientCodec) Say(cmd core.Command, say func(core.Frame)) (answered bool, err error) {
	dst := c.buf[:0]
	switch cmd.Verb {
	case core.Subscribe:
		if cmd.Pattern && core.HasWildcard(string(cmd.Topic)) {
			return false, &core.Unsayable{What: "a pattern", Closest: "subscribe to each topic by its name"}
		}
		dst = begin(dst, typePsSub, core.Event{Topic: cmd.Topic, As: cmd.As})
	case core.Publish:
		if cmd.Headers != nil {
			return false, &core.Unsayable{What: "headers", Closest: "put them into the data"}
		}
		dst = begin(dst, typePsPub, publication(cmd))
		dst = appendData(dst, cmd.Payload)
	case core.Offer:
		if !cmd.Exclusive {
			return false, &core.Unsayable{What: "an offer that others may share", Closest: "own the channel of the service: Exclusive with Channel"}
		}
		dst = appendRegister(dst, cmd)
	case core.Call:
		if cmd.Headers != nil {
			return false, &core.Unsayable{What: "headers", Closest: "put them into the data"}
		}
		dst = begin(dst, typePieDo, core.Event{Topic: cmd.Topic, As: cmd.As})
		dst = appendData(dst, cmd.Payload)
		answered = !cmd.OneWay
	case core.Reply:
		if cmd.Failure.Failed() {
			return false, &core.Unsayable{What: "a failed answer", Closest: "answer with data that says so"}
		}
		dst = begin(dst, typePieResp, core.Event{Topic: cmd.Topic, As: cmd.As})
		dst = appendID(dst, cmd.Call)
		dst = appendData(dst, cmd.Payload)
	default:
		return false, unsayable(cmd.Verb)
	}
	dst = append(dst, '}')
	if err := core.CheckSize(len(dst), c.limit); err != nil {
		return false, err
	}
	if cmd.Verb == core.Call {
		c.unnamed = append(c.unnamed, request{ref: slices.Clone(cmd.Ref), silent: cmd.OneWay})
	}
	c.buf = dst
	say(core.Frame{Kind: core.TextFrame, Data: c.buf})
	if cap(c.buf) > maxScratch {
		c.buf = nil
	}
	return answered, nil
}

// unsayable returns the error for a verb that the format does not have.
func unsayable(v core.Verb) error {
	switch v {
	case core.Unsubscribe, core.UnsubscribeAll, core.Withdraw, core.Leave:
		return &core.Unsayable{What: v.String(), Closest: "close the connection"}
	case core.Ping:
		return &core.Unsayable{What: v.String(), Closest: "send a ping of WebSocket"}
	}
	return &core.Unsayable{What: v.String()}
}

// publication returns the address of a publish: with AsOwner the channel is the owned one.
func publication(cmd core.Command) core.Event {
	ev := core.Event{Topic: cmd.Topic, As: cmd.As}
	if cmd.AsOwner {
		ev.As = uint32(len(cmd.Channel))
	}
	return ev
}

// appendRegister appends all but the last brace.
func appendRegister(dst []byte, cmd core.Command) []byte {
	dst = append(dst, `{"type":"`+typeRegister+`"`...)
	if len(cmd.Channel) > 0 {
		dst = appendField(dst, "channel", cmd.Channel)
	}
	if len(cmd.Services)+len(cmd.Topics) == 0 {
		return dst
	}
	dst = append(dst, `,"data":{`...)
	if len(cmd.Topics) > 0 {
		// The original dies of an owner that does not declare a topic which has subscribers already.
		dst = appendNames(append(dst, `"pubsub":{"topics":`...), cmd.Topics)
		if dst = append(dst, '}'); len(cmd.Services) > 0 {
			dst = append(dst, ',')
		}
	}
	if len(cmd.Services) > 0 {
		dst = append(appendNames(append(dst, `"restpie":{"methods":`...), cmd.Services), '}')
	}
	return append(dst, '}')
}

func appendNames(dst []byte, names [][]byte) []byte {
	dst = append(dst, '[')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = rawjson.AppendQuote(dst, name)
	}
	return append(dst, ']')
}

var errServer = errors.New("no message of a wubsub server")

// Hear tells what a message of a server means. A message of an unknown type means nothing.
func (c *clientCodec) Hear(f core.Frame, tell func(core.Event)) error {
	if f.Kind != core.TextFrame {
		return fmt.Errorf("%w: it is binary", errServer)
	}
	m, err := parseMessage(f.Data)
	if err != nil {
		return fmt.Errorf("%w: %w", errServer, err)
	}
	channel := appendString(nil, m.channel)
	ev := core.Event{As: uint32(len(channel)), Topic: appendTopic(channel, m.topic), Payload: payload(m.data)}
	kind, _ := rawjson.Unquote(m.kind, nil)
	if m.reqid != nil {
		text, _ := rawjson.Unquote(m.reqid, nil)
		id, err := uuid.ParseBytes(text)
		if err != nil {
			return fmt.Errorf("%w: reqid: %w", errServer, err)
		}
		ev.Call = core.CallID(id)
	}
	switch string(kind) {
	case typePsRecv:
		ev.Kind, ev.Call = core.Message, core.CallID{}
	case typePieReq:
		ev.Kind = core.Request
	case typePieAck:
		return c.acknowledged(ev, tell)
	case typePieRecv:
		r, ok := c.ended(ev.Call)
		if !ok {
			return nil
		}
		ev.Kind, ev.Verb, ev.Ref = core.Answer, core.Call, r.ref
	case typeError:
		c.failed(ev, m, tell)
		return nil
	default:
		return nil
	}
	tell(ev)
	return nil
}

// acknowledged hears whether the oldest request without a name was accepted.
func (c *clientCodec) acknowledged(ev core.Event, tell func(core.Event)) error {
	if len(c.unnamed) == 0 {
		return fmt.Errorf("%w: it acknowledges a request that was not made", errServer)
	}
	r := c.unnamed[0]
	c.unnamed[0] = request{}
	c.unnamed = c.unnamed[1:]
	if r.silent {
		return nil
	}
	ev.Verb, ev.Ref = core.Call, r.ref
	if ev.Call == (core.CallID{}) {
		ev.Kind, ev.Failure = core.Failed, core.Failure{Code: core.NoService}
	} else {
		ev.Kind = core.Done
		c.named[ev.Call] = r
	}
	ev.Payload = core.Payload{}
	tell(ev)
	return nil
}

// ended returns the request of a call, and forgets it. ok is false if nobody waits for its outcome.
func (c *clientCodec) ended(id core.CallID) (r request, ok bool) {
	r, ok = c.named[id]
	delete(c.named, id)
	return r, ok
}

// failed hears an error: of a request if it names one, of a channel that is lost if it names that,
// and else of a publish.
func (c *clientCodec) failed(ev core.Event, m message, tell func(core.Event)) {
	text, _ := rawjson.Unquote(m.data, nil)
	ev.Kind, ev.Failure, ev.Payload = core.Failed, failureOf(string(text)), core.Payload{}
	switch {
	case ev.Call != core.CallID{}:
		r, ok := c.ended(ev.Call)
		if !ok {
			return
		}
		ev.Verb, ev.Ref = core.Call, r.ref
	case m.channel != nil:
		ev.Kind, ev.Failure.Code = core.OfferLost, core.Taken
	default:
		ev.Verb, ev.Topic, ev.As = core.Publish, nil, 0
	}
	tell(ev)
}

// failureOf returns the failure that a text for people tells of. The text stays, unless it is the
// broker's own for that failure.
func failureOf(text string) core.Failure {
	const owner = "Tried to publish to channel you aren't a publisher for."
	if text == owner {
		return core.Failure{Code: core.NotOwner}
	}
	for _, code := range []core.Code{core.NoService, core.Timeout, core.Gone, core.Denied, core.Overloaded, core.Shutdown, core.Invalid, core.Internal} {
		if f := (core.Failure{Code: code}); failureText(f) == text {
			return f
		}
	}
	return core.Failure{Code: core.AnswererError, Text: text}
}

// Forget gives up the calls with this ref.
func (c *clientCodec) Forget(ref []byte) {
	for i := range c.unnamed {
		if string(c.unnamed[i].ref) == string(ref) {
			c.unnamed[i].silent = true // its acknowledgement still comes in its turn
		}
	}
	for id, r := range c.named {
		if string(r.ref) == string(ref) {
			delete(c.named, id)
		}
	}
}
