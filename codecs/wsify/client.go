package wsify

import (
	"errors"
	"fmt"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// clientCodec is the client's side of the format. It has no state but a buffer.
type clientCodec struct {
	buf   []byte
	limit int // the server's bound on messages, in bytes; 0 is none
}

var (
	_ core.BoundedFormat      = (*Format)(nil)
	_ core.BoundedClientCodec = (*clientCodec)(nil)
)

// maxScratch is the biggest buffer, in bytes, that is kept for the next message.
const maxScratch = 4 << 10

// NewClientCodec returns the client's side of a connection.
func (*Format) NewClientCodec() core.ClientCodec { return new(clientCodec) }

// ServerLimit returns the limit of the original.
func (*Format) ServerLimit() int { return MaxMessage }

// Bound makes Say refuse bigger messages.
func (c *clientCodec) Bound(bytes int) { c.limit = bytes }

// NamesTopics reports false: a message is its content alone.
func (*Format) NamesTopics() bool { return false }

// HearsItself reports true: a member hears itself.
func (*Format) HearsItself() bool { return true }

// Ready reports true: nothing has to be heard first.
func (*clientCodec) Ready() bool { return true }

// KeepAlive returns nothing: the server never ends a connection that is idle.
func (*clientCodec) KeepAlive() (time.Duration, core.Frame) { return 0, core.Frame{} }

// Forget does nothing: no outcome is ever heard.
func (*clientCodec) Forget([]byte) {}

// Say writes subscriptions, their ends, and publications. None is answered.
func (c *clientCodec) Say(cmd core.Command, say func(core.Frame)) (answered bool, err error) {
	var command string
	switch cmd.Verb {
	case core.Subscribe, core.Unsubscribe:
		if cmd.Pattern && core.HasWildcard(string(cmd.Topic)) {
			return false, &core.Unsayable{What: "a pattern", Closest: "join each channel by its name"}
		}
		if command = "join"; cmd.Verb == core.Unsubscribe {
			command = "leave"
		}
	case core.Publish:
		if cmd.Headers != nil {
			return false, &core.Unsayable{What: "headers", Closest: "put them into the content"}
		}
		if cmd.AsOwner {
			return false, &core.Unsayable{What: "a publication as the owner of a channel", Closest: "publish without it"}
		}
		command = "broadcast"
	case core.Call, core.Offer, core.Withdraw, core.Reply:
		return false, &core.Unsayable{What: cmd.Verb.String(), Closest: "at a broker that has topics for calls, publish to $call/REF/SERVICE, or join $serve/SERVICE"}
	case core.UnsubscribeAll, core.Leave:
		return false, &core.Unsayable{What: cmd.Verb.String(), Closest: "close the connection"}
	case core.Ping:
		return false, &core.Unsayable{What: cmd.Verb.String(), Closest: "send a ping of WebSocket"}
	default:
		return false, &core.Unsayable{What: cmd.Verb.String()}
	}
	dst := append(c.buf[:0], `{"command":"`...)
	dst = append(append(dst, command...), `","args":{"channel":`...)
	dst = rawjson.AppendQuote(dst, cmd.Topic)
	if cmd.Verb == core.Publish {
		dst = core.AppendJSON(append(dst, `,"content":`...), cmd.Payload)
	}
	dst = append(dst, "}}"...)
	if err := core.CheckSize(len(dst), c.limit); err != nil {
		return false, err
	}
	c.buf = dst
	say(core.Frame{Kind: core.TextFrame, Data: c.buf})
	if cap(c.buf) > maxScratch {
		c.buf = nil
	}
	return false, nil
}

var errServer = errors.New("no message of a wsify server")

// Hear tells of a message. Its topic is known only if it is one of the broker's own.
func (*clientCodec) Hear(f core.Frame, tell func(core.Event)) error {
	if f.Kind != core.TextFrame {
		return fmt.Errorf("%w: it is binary", errServer)
	}
	if err := rawjson.Check(f.Data); err != nil {
		return fmt.Errorf("%w: %w", errServer, err)
	}
	ev := core.Event{Kind: core.Message}
	content := f.Data
	ev.Topic, content = unwrap(content)
	ev.Payload = core.FromJSON(content)
	tell(ev)
	return nil
}

// unwrap returns topic and content of a message on one of the broker's own topics, and no topic for
// any other message (see Format.EncodeMessage).
func unwrap(message []byte) (topic, content []byte) {
	if !rawjson.IsObject(message) {
		return nil, message
	}
	members := rawjson.Object(message)
	if !members.Next() || string(members.Key()) != "channel" || !rawjson.IsString(members.Value()) {
		return nil, message
	}
	if topic, _ = rawjson.Unquote(members.Value(), nil); !core.Reserved(topic) {
		return nil, message
	}
	if !members.Next() || string(members.Key()) != "content" {
		return nil, message
	}
	if content = members.Value(); members.Next() || members.Err() != nil {
		return nil, message
	}
	return topic, content
}
