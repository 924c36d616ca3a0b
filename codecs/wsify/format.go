package wsify

import (
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// Format is the format of one endpoint. It is made by [Protocol]'s New. All
// methods may be called from any goroutine.
type Format struct {
	// Static after construction.
	options Options
	maxBody int64
}

var _ core.Format = (*Format)(nil)

// NewCodec returns the codec, which has no state: all connections share it.
func (*Format) NewCodec() core.Codec { return codec{} }

// EncodeMessage appends the JSON text of the content. A message on one of the broker's own
// topics (docs/formats/README.md, "Calls across formats") is useless without its topic and
// is sent as {"channel": …, "content": …}.
func (*Format) EncodeMessage(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	if !core.Reserved(ev.Topic) {
		return core.AppendJSON(dst, ev.Payload), core.TextFrame, nil
	}
	dst = append(dst, `{"channel":`...)
	dst = rawjson.AppendQuote(dst, ev.Topic)
	dst = append(dst, `,"content":`...)
	dst = core.AppendJSON(dst, ev.Payload)
	return append(dst, '}'), core.TextFrame, nil
}

// Goodbye returns 1000 where the original sends it, at normal ends and when the authorizer
// is down, and the fitting code elsewhere. It never returns a text.
func (*Format) Goodbye(r core.Reason) (code uint16, text string) {
	if r == core.ReasonUnavailable {
		return 1000, ""
	}
	return r.CloseCode(), ""
}

// Profile returns the habits of the original.
func (*Format) Profile() core.Profile {
	return core.Profile{MaxMessage: MaxMessage, CloseReply: 1000, Subprotocol: true, CORS: true, PlainStatus: 400}
}
