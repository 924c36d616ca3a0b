package wubsub

import (
	"errors"
	"sync"

	"github.com/google/uuid"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// maxScratch is the biggest buffer, in bytes, that is kept for the next
// message; bigger ones are left to the garbage collector.
const maxScratch = 4 << 10

// codec is the one codec of a [Format].
type codec struct {
	// Safe for use from any goroutine: *[]byte, the buffers in which topics are
	// put together while their command is carried out.
	scratch sync.Pool
}

var _ core.Stateless = (*codec)(nil)

// Stateless marks the codec as stateless: its buffers last for one message.
func (c *codec) Stateless() {}

// Decode turns a client message into a command. It never ends a connection: it hands what
// it cannot read to Refuse, and nobody is told.
func (c *codec) Decode(f core.Frame, to core.Sink) error {
	if f.Kind != core.TextFrame {
		refuse(to, core.ReasonWrongFrame)
		return nil
	}
	m, err := parseMessage(f.Data)
	if errors.Is(err, rawjson.ErrDepth) {
		refuse(to, core.ReasonTooDeep)
		return nil
	}
	if err != nil {
		refuse(to, core.ReasonMalformed)
		return nil
	}
	buf, _ := c.scratch.Get().(*[]byte)
	if buf == nil {
		// Not nil even when empty: a nil topic would leave a Reply unchecked.
		fresh := make([]byte, 0, 128)
		buf = &fresh
	}
	c.carryOut(m, buf, to)
	if cap(*buf) <= maxScratch {
		c.scratch.Put(buf)
	}
	return nil
}

// carryOut hands m to the engine as the command that its type names. It uses buf, and may
// replace it, until it returns.
func (c *codec) carryOut(m message, buf *[]byte, to core.Sink) {
	kind, _ := rawjson.Unquote(m.kind, nil)
	var cmd core.Command
	switch string(kind) {
	case typeRegister:
		register(m, buf, to)
		return
	case typePsSub:
		cmd.Verb = core.Subscribe
	case typePsPub:
		cmd.Verb, cmd.AsOwner = core.Publish, true
		cmd.Payload = payload(m.data)
	case typePieDo:
		cmd.Verb = core.Call
		cmd.Payload = payload(m.data)
	case typePieResp:
		reqid, _ := rawjson.Unquote(m.reqid, nil)
		call, err := uuid.ParseBytes(reqid)
		if err != nil {
			refuse(to, core.ReasonMalformed)
			return
		}
		cmd.Verb, cmd.Call = core.Reply, core.CallID(call)
		cmd.Payload = payload(m.data)
	default:
		refuse(to, core.ReasonUnknownType)
		return
	}
	channel := appendString((*buf)[:0], m.channel)
	*buf = appendTopic(channel, m.topic)
	cmd.Topic, cmd.As = *buf, uint32(len(channel))
	if cmd.AsOwner {
		cmd.Channel = cmd.Topic[:len(channel)]
	}
	to.Do(cmd)
}

// register makes the sender the owner of a channel and the answerer of its methods.
func register(m message, buf *[]byte, to core.Sink) {
	all := appendString((*buf)[:0], m.channel)
	channel := all
	cmd := core.Command{Verb: core.Offer, Exclusive: true, Channel: channel, As: uint32(len(channel))}
	list := methodsOf(m.data)
	if n := count(list); n > 0 {
		cmd.Services = make([][]byte, 0, n)
	}
	for list.Next() {
		// Anything but a string declares nothing.
		if method := list.Value(); rawjson.IsString(method) {
			from := len(all)
			all = appendString(all, method)
			cmd.Services = append(cmd.Services, all[from:])
		}
	}
	*buf = all
	to.Do(cmd)
}

// count returns how many elements a list has.
func count(list rawjson.Elements) (n int) {
	for list.Next() {
		n++
	}
	return n
}

// appendTopic completes the channel at the end of dst to the broker's topic.
// topic is a raw JSON string or nil.
func appendTopic(dst, topic []byte) []byte {
	n := len(dst)
	if dst = appendString(append(dst, '/'), topic); len(dst) == n+1 {
		return dst[:n]
	}
	return dst
}

// appendString appends what value, a raw JSON string or nil, says.
func appendString(dst, value []byte) []byte {
	// Escapes are decoded right where the text belongs, at the end of dst.
	text, _ := rawjson.Unquote(value, dst[len(dst):])
	return append(dst, text...)
}

// payload returns what data, a raw JSON value or nil, stands for.
func payload(data []byte) core.Payload {
	if data == nil {
		return core.Payload{}
	}
	return core.FromJSON(data)
}

func refuse(to core.Sink, r core.Reason) { to.Refuse(r, nil, core.Failure{}) }
