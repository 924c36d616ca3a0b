package stocking

import (
	"strconv"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// EncodeMessage appends the broadcast of a Message event: byte for byte the frame
// of a sender that speaks stocking too.
func (f *Format) EncodeMessage(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	return f.Encode(dst, ev)
}

// Encode appends what a client reads for ev. There is nothing for Request and OfferLost:
// clients offer services by topic, and hear of both by messages.
func (f *Format) Encode(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	switch ev.Kind {
	case core.Welcome:
		return append(dst, '0'), core.TextFrame, nil
	case core.Pong:
		return append(dst, '3'), core.TextFrame, nil
	case core.Message:
		dst = appendRoom(append(dst, "5,"...), ev.Topic)
		return core.AppendText(append(dst, ','), ev.Payload), core.TextFrame, nil
	case core.Answer:
		return appendAnswer(dst, ev), core.TextFrame, nil
	case core.Done:
		if ev.Verb == core.Publish && ev.Unheard {
			dst = appendRoom(append(dst, `1,0,Channel "`...), ev.Topic)
			return append(dst, `" not found`...), core.TextFrame, nil
		}
	case core.Failed:
		return f.appendFailure(dst, ev)
	}
	return dst, core.NoFrame, nil
}

// appendAnswer appends the result of a call.
func appendAnswer(dst []byte, ev core.Event) []byte {
	dst = append(append(append(dst, "4,"...), ev.Ref...), ',')
	if ev.Payload.Kind == core.Absent {
		return dst
	}
	return append(core.AppendJSON(append(dst, `{"c":-1,"p":`...), ev.Payload), '}')
}

// appendFailure appends the failure of a call, or of a command that the format
// itself has no answer for.
func (f *Format) appendFailure(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	if ev.Verb != core.Call {
		return append(append(dst, "1,0,"...), failureText(ev.Failure)...), core.TextFrame, nil
	}
	if string(ev.Ref) == noAnswer {
		return dst, core.NoFrame, nil
	}
	if ev.Failure.Code == core.NoService && len(f.unknownRoute) > 0 {
		ev.Payload = core.Payload{Kind: core.JSON, Data: f.unknownRoute}
		return appendAnswer(dst, ev), core.TextFrame, nil
	}
	dst = append(append(append(dst, "4,"...), ev.Ref...), `,{"c":`...)
	dst = strconv.AppendUint(dst, failureCode(ev.Failure.Code), 10)
	dst = rawjson.AppendQuote(append(dst, `,"p":`...), []byte(failureText(ev.Failure)))
	return append(dst, '}'), core.TextFrame, nil
}

// failureCode returns the answerer's own code if it is a number, and else the
// format's default error code. -1 means success, so only 0 and up are codes.
func failureCode(code core.Code) uint64 {
	n, err := strconv.ParseUint(string(code), 10, 31)
	if err != nil {
		return 0
	}
	return n
}

func failureText(f core.Failure) string {
	if f.Text != "" {
		return f.Text
	}
	return string(f.Code)
}
