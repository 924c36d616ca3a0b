package vws

import (
	"bytes"
	"fmt"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// Encode appends what the client reads for ev: answers to what it sent, unless their Ref is
// empty, and events. The format has nothing for anything else: clients offer services by topic,
// and hear of requests and of what they have lost by events. It fails where EncodeMessage does.
func (c codec) Encode(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	switch ev.Kind {
	case core.Message:
		return c.format.EncodeMessage(dst, ev)
	case core.Done, core.Pong:
		if len(ev.Ref) > 0 {
			return append(beginAnswer(dst, kindAck, ev.Ref), '}'), core.TextFrame, nil
		}
	case core.Failed:
		if ref, ofCall := bytes.CutPrefix(ev.Ref, []byte(callID)); ofCall {
			return c.format.EncodeMessage(dst, core.FailureByTopic(ref, ev.Failure))
		}
		if len(ev.Ref) > 0 {
			dst = append(beginAnswer(dst, kindNack, ev.Ref), `,"e":`...)
			dst = rawjson.AppendQuote(dst, []byte(failureText(ev)))
			return append(dst, '}'), core.TextFrame, nil
		}
	}
	return dst, core.NoFrame, nil
}

// beginAnswer appends an answer up to its id, id included.
func beginAnswer(dst []byte, kind string, ref []byte) []byte {
	dst = append(dst, `{"k":"`...)
	dst = append(dst, kind...)
	dst = append(dst, '"')
	if string(ref) != noID {
		dst = append(dst, `,"i":`...)
		dst = append(dst, ref...)
	}
	return dst
}

// EncodeMessage appends the event that all subscribers read for ev. It fails if
// that is bigger than max_event_size.
func (f *Format) EncodeMessage(dst []byte, ev core.Event) ([]byte, core.FrameKind, error) {
	before := len(dst)
	out := append(dst, `{"d":`...)
	out = core.AppendJSON(out, ev.Payload)
	out = append(out, `,"t":`...)
	out = rawjson.AppendQuote(out, ev.Topic)
	if len(ev.Headers) > 0 {
		out = append(out, `,"h":`...)
		out = append(out, ev.Headers...)
	}
	out = append(out, '}')
	if size := len(out) - before; f.maxEvent > 0 && size > f.maxEvent {
		return dst, core.NoFrame, fmt.Errorf("encoding event: %d bytes, but max_event_size is %d", size, f.maxEvent)
	}
	return out, core.TextFrame, nil
}

// failureText says for people why something failed, in the original's words
// where it has some for the case.
func failureText(ev core.Event) string {
	if ev.Failure.Text != "" {
		return ev.Failure.Text
	}
	switch ev.Failure.Code {
	case core.Denied:
		switch ev.Verb {
		case core.Publish:
			return "event not allowed"
		case core.Subscribe:
			return "subscription not allowed"
		}
		return "request not allowed"
	case core.NotOwner:
		return "the channel of this topic has another owner"
	case core.Overloaded:
		return "event bus channel full"
	case core.Shutdown:
		return "Server shutting down"
	case core.Internal:
		return "internal error"
	}
	return string(ev.Failure.Code)
}
