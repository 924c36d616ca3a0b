package webwire

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

var (
	errNameTooLong = fmt.Errorf("a topic that as a name is over %d bytes", maxName)
	errTooLarge    = errors.New("a message over the client's buffer size")
	errRequest     = errors.New("a request to a client, which this format does not have")
	errRef         = errors.New("a reply without the request's type and id")
)

// shrink is how many times shorter than a payload its text can be: a character
// of a JSON string may be written as \u0041.
const shrink = 6

// EncodeMessage appends the signal of a Message event. It fails if no such signal is
// possible: the name of its topic is too long, it is larger than the buffer that clients
// were told, or topic and payload are both empty, which makes no message.
//
// Bytes make a binary signal, text that came in UTF-16 the same bytes again, and everything
// else is UTF-8. A signal on the default topic goes out without a name, unless it has no
// payload either.
func (f *Format) EncodeMessage(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	enc := asUTF8
	switch {
	case ev.Payload.Kind == core.Binary:
		enc = asBinary
	case isWide(ev.Payload) && len(ev.Payload.UTF16) > 0:
		enc = asUTF16
	}
	switch {
	case f.overflows(ev.Payload):
		return dst, core.NoFrame, errTooLarge
	case len(ev.Topic) > maxName:
		// A name is never shorter than its topic.
		return dst, core.NoFrame, errNameTooLong
	}
	var out []byte
	var err error
	if bytes.Equal(ev.Topic, f.defaultTopic) {
		out, err = appendSignal(dst, enc, nil, ev.Payload)
	}
	if len(out)-len(dst) <= 2 {
		out, err = appendSignal(dst, enc, ev.Topic, ev.Payload)
	}
	switch size := len(out) - len(dst); {
	case err != nil:
		return dst, core.NoFrame, err
	case size == 2:
		return dst, core.NoFrame, errNothing
	case size > f.options.MessageBufferSize:
		return dst, core.NoFrame, errTooLarge
	}
	return out, core.BinaryFrame, nil
}

// appendSignal appends the signal of a topic in an encoding.
func appendSignal(dst []byte, enc encoding, topic []byte, p core.Payload) ([]byte, error) {
	out, err := appendName(append(dst, typeSignal+byte(enc), 0), topic)
	if err != nil {
		return nil, err
	}
	name := len(out) - len(dst) - 2
	if name > maxName {
		return nil, errNameTooLong
	}
	out[len(dst)+1] = byte(name)
	if enc == asUTF16 && name%2 != 0 {
		out = append(out, 0)
	}
	return appendContent(out, enc, p), nil
}

// Encode appends what the client reads for ev. The outcome of a signal is not reported; the
// outcome of a request is a reply, which carries its id. There is nothing for OfferLost: clients
// offer services by topic, and hear of it by a signal.
func (c codec) Encode(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	switch ev.Kind {
	case core.Welcome:
		return append(dst, c.format.acceptConf...), core.BinaryFrame, nil
	case core.Message:
		return c.format.EncodeMessage(dst, ev)
	case core.Request:
		return dst, core.NoFrame, errRequest
	case core.SessionClosed:
		return append(dst, typeSessionClosed), core.BinaryFrame, nil
	case core.SessionOpened:
		if ev.Verb != core.RestoreSession {
			return c.format.sessionCreated(dst, ev.Session)
		}
	case core.Done:
		if ev.Verb != core.Subscribe && ev.Verb != core.Unsubscribe && ev.Verb != core.CloseSession || len(ev.Ref) == 0 {
			return dst, core.NoFrame, nil
		}
	case core.Failed:
		if len(ev.Ref) == 0 {
			return dst, core.NoFrame, nil
		}
	case core.Answer:
	default:
		return dst, core.NoFrame, nil
	}
	if len(ev.Ref) != refSize {
		return dst, core.NoFrame, errRef
	}
	return c.format.appendReply(dst, ev), core.BinaryFrame, nil
}

// overflows reports whether p is certainly larger than the buffer, before all of it is
// written in vain.
func (f *Format) overflows(p core.Payload) bool {
	return len(p.Data) > f.options.MessageBufferSize && len(rawjson.Trim(p.Data)) > shrink*f.options.MessageBufferSize
}

// isWide reports whether p came in UTF-16 that can go out again.
func isWide(p core.Payload) bool {
	return p.Kind == core.Text && p.UTF16 != nil && len(p.UTF16)%2 == 0
}

// appendContent appends p in an encoding, without padding. Bytes that are not text are
// written unchanged as binary; the other encodings write them as JSON text.
func appendContent(dst []byte, enc encoding, p core.Payload) []byte {
	switch {
	case enc == asBinary && p.Kind == core.Binary:
		return append(dst, p.Data...)
	case enc == asUTF16 && isWide(p):
		return append(dst, p.UTF16...)
	case enc == asUTF16:
		return core.AppendUTF16(dst, core.AppendText(nil, p))
	}
	return core.AppendText(dst, p)
}

// isText reports whether p can be written as text as it is.
func isText(p core.Payload) bool { return p.Kind != core.Binary || utf8.Valid(p.Data) }
