package wubsub

import (
	"bytes"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// notOwner is the one error message that the original's README has: for a client that
// publishes to a channel that it does not own.
const notOwner = `{"type":"error","data":"Tried to publish to channel you aren't a publisher for."}`

// Encode appends what the client reads for ev. It never fails; most outcomes
// are quiet in this format.
func (c *codec) Encode(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	switch {
	case ev.Kind == core.Message:
		dst = begin(dst, typePsRecv, ev)
		dst = appendData(dst, ev.Payload)
	case ev.Kind == core.Request:
		dst = begin(dst, typePieReq, ev)
		dst = appendID(dst, ev.Call)
		dst = appendData(dst, ev.Payload)
	case ev.Kind == core.Answer:
		dst = begin(dst, typePieRecv, ev)
		dst = appendID(dst, ev.Call)
		dst = appendData(dst, ev.Payload)
	case ev.Kind == core.Done && ev.Verb == core.Call:
		dst = begin(dst, typePieAck, ev)
		dst = appendID(dst, ev.Call)
		dst = append(dst, `,"data":true`...)
	case ev.Kind == core.Failed && ev.Verb == core.Call:
		dst = failedCall(dst, ev)
	case ev.Kind == core.Failed && ev.Verb == core.Offer && ev.Failure.Code == core.NotOwner:
		// A channel within or around another's. The original, where channels do not nest, would
		// have granted it; it does not report that a channel is taken.
		return append(dst, notOwner...), core.TextFrame, nil
	case ev.Kind == core.Failed && ev.Verb == core.Publish:
		if ev.Failure.Code == core.NotOwner {
			return append(dst, notOwner...), core.TextFrame, nil
		}
		dst = append(dst, `{"type":"`+typeError+`"`...)
		dst = appendField(dst, "data", []byte(failureText(ev.Failure)))
	case ev.Kind == core.OfferLost:
		// The original has no message for it, as it never takes a channel away. An error is the
		// only message of its kind that a client may get unasked.
		dst = begin(dst, typeError, ev)
		dst = appendField(dst, "data", lostText(ev))
	default:
		return dst, core.NoFrame, nil
	}
	return append(dst, '}'), core.TextFrame, nil
}

// failedCall writes the failure of a call. Before the call was taken, that is the negative
// acknowledgement. After that, as an old client knows no answer but pie-recv, it is an error
// that names the request.
func failedCall(dst []byte, ev core.Event) []byte {
	if ev.Call == (core.CallID{}) {
		return append(begin(dst, typePieAck, ev), `,"data":false`...)
	}
	dst = begin(dst, typeError, ev)
	dst = appendID(dst, ev.Call)
	return appendField(dst, "data", []byte(failureText(ev.Failure)))
}

// begin appends the message up to its topic. Empty names are left out.
func begin(dst []byte, kind string, ev core.Event) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, kind...)
	dst = append(dst, '"')
	channel, topic := split(ev.Topic, ev.As)
	if len(channel) > 0 {
		dst = appendField(dst, "channel", channel)
	}
	if len(topic) > 0 {
		dst = appendField(dst, "topic", topic)
	}
	return dst
}

// split returns the channel and topic that a client knows a topic by; as is the length of
// the channel. The broker's own topics ($reply/…, $request/…) come with an As that was not
// made for them: there the channel is the first level.
func split(whole []byte, as uint32) (channel, topic []byte) {
	end := int(min(as, uint32(len(whole))))
	if end < len(whole) && whole[end] != '/' || uint32(end) != as {
		if end = bytes.IndexByte(whole, '/'); end < 0 {
			end = len(whole)
		}
	}
	if end == len(whole) {
		return whole, nil
	}
	return whole[:end], whole[end+1:]
}

func appendField(dst []byte, name string, text []byte) []byte {
	dst = append(dst, `,"`...)
	dst = append(dst, name...)
	dst = append(dst, `":`...)
	return rawjson.AppendQuote(dst, text)
}

func appendID(dst []byte, id core.CallID) []byte {
	dst = append(dst, `,"reqid":"`...)
	dst = id.Append(dst)
	return append(dst, '"')
}

// appendData appends the payload, unless it is absent or null.
func appendData(dst []byte, p core.Payload) []byte {
	before := len(dst)
	dst = append(dst, `,"data":`...)
	from := len(dst)
	if dst = core.AppendJSON(dst, p); string(dst[from:]) == "null" {
		return dst[:before]
	}
	return dst
}

// lostText says for people that a channel is not theirs any more, and why.
func lostText(ev core.Event) []byte {
	text := append([]byte(`You no longer own the channel "`), ev.Topic...)
	text = append(text, `": `...)
	switch {
	case ev.Failure.Text != "":
		return append(text, ev.Failure.Text...)
	case ev.Failure.Code == core.Taken:
		return append(text, "another client owns it now."...)
	case ev.Failure.Code == core.NotOwner:
		return append(text, "another client owns a channel within or around it now."...)
	case ev.Failure.Code == core.Unreachable:
		return append(text, "the server has lost its connection to the cluster."...)
	}
	return append(text, ev.Failure.Code...)
}

// failureText says for people why something failed.
func failureText(f core.Failure) string {
	if f.Text != "" {
		return f.Text
	}
	switch f.Code {
	case core.NoService:
		return "Nobody answers this request."
	case core.Timeout:
		return "The request was not answered in time."
	case core.Gone:
		return "The owner of the channel left before it answered."
	case core.Denied:
		return "You are not allowed to do this."
	case core.Overloaded:
		return "The server is overloaded, try again later."
	case core.Shutdown:
		return "The server is shutting down."
	}
	return string(f.Code)
}
