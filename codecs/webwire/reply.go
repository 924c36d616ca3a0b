package webwire

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// codeTooLarge is the code of the error reply that replaces an answer larger than the
// client's buffer. A client in Go that gets a larger message ends its connection for good,
// and one that gets nothing waits in vain.
const codeTooLarge = "too_large"

// appendReply appends the reply to the request whose type and id are ev.Ref.
func (f *Format) appendReply(dst []byte, ev core.Event) []byte {
	if ev.Kind == core.Failed {
		return f.appendFailure(dst, ev.Ref, ev.Failure)
	}
	var out []byte
	switch enc := f.replyEncoding(ev); {
	case ev.Kind == core.SessionOpened:
		out = appendSession(appendHead(dst, typeReply+byte(enc), ev.Ref), ev.Session)
	case f.overflows(ev.Payload):
		return f.appendError(dst, ev.Ref, codeTooLarge, "the answer is too large")
	default:
		out = appendHead(dst, typeReply+byte(enc), ev.Ref)
		if enc == asUTF16 {
			out = append(out, 0)
		}
		out = appendContent(out, enc, ev.Payload)
	}
	if len(out)-len(dst) > f.options.MessageBufferSize {
		return f.appendError(dst, ev.Ref, codeTooLarge, "the answer is too large")
	}
	return out
}

// replyEncoding returns the encoding of a reply. The answer keeps its kind: bytes are
// binary, text that has UTF-16 is UTF-16, and other text, JSON included, is UTF-8, or UTF-16
// if the request was. An answer without a payload is in the encoding of the request. If the
// endpoint wants UTF-8, all text is UTF-8. A restored session is JSON text and the reply to
// closing one is binary, whatever is configured.
func (f *Format) replyEncoding(ev core.Event) encoding {
	kind := ev.Ref[0]
	switch kind {
	case typeRestoreSession:
		return asUTF8
	case typeCloseSession:
		return asBinary
	}
	asked := encoding(kind - typeRequest)
	switch p := ev.Payload; {
	case f.options.ReplyEncoding == UTF8Encoding:
		if isText(p) {
			return asUTF8
		}
		return asBinary
	case p.Kind == core.Absent:
		return asked
	case p.Kind == core.Binary:
		return asBinary
	case isWide(p):
		return asUTF16
	case asked == asUTF16:
		return asUTF16
	}
	return asUTF8
}

// appendFailure appends the reply that says why a request failed. Failures inside the broker
// are reported without details.
func (f *Format) appendFailure(dst, ref []byte, failure core.Failure) []byte {
	switch failure.Code {
	case core.Internal:
		return appendHead(dst, typeInternalReply, ref)
	case core.Shutdown:
		return appendHead(dst, typeShutdownReply, ref)
	case core.SessionUnknown:
		return appendHead(dst, typeSessionNotFound, ref)
	case core.SessionFull:
		return appendHead(dst, typeSessionFull, ref)
	case core.SessionsOff:
		return appendHead(dst, typeSessionsOff, ref)
	}
	return f.appendError(dst, ref, string(failure.Code), failure.Text)
}

// appendError appends an error reply. An answerer's code that the format cannot write
// becomes "internal"; the text is cut where the client's buffer ends. If there is no room
// for the code either, it becomes an internal error reply.
func (f *Format) appendError(dst, ref []byte, code, text string) []byte {
	if code == "" || len(code) > 255 || !isPrintable(code) {
		code = string(core.Internal)
	}
	room := f.options.MessageBufferSize - refSize - 1 - len(code)
	if room < 0 {
		return appendHead(dst, typeInternalReply, ref)
	}
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	if len(text) > room {
		for room > 0 && !utf8.RuneStart(text[room]) {
			room--
		}
		text = text[:room]
	}
	dst = append(appendHead(dst, typeErrorReply, ref), byte(len(code)))
	return append(append(dst, code...), text...)
}

// appendHead appends type and id of a reply.
func appendHead(dst []byte, kind byte, ref []byte) []byte {
	return append(append(dst, kind), ref[1:]...)
}

// sessionCreated appends the message that tells a client of its new session.
func (f *Format) sessionCreated(dst []byte, s core.Session) ([]byte, core.FrameKind, error) {
	out := appendSession(append(dst, typeSessionCreated), s)
	if len(out)-len(dst) > f.options.MessageBufferSize {
		return dst, core.NoFrame, errTooLarge
	}
	return out, core.BinaryFrame, nil
}

// appendSession appends the JSON of a session, without "i" if it has no information.
func appendSession(dst []byte, s core.Session) []byte {
	dst = rawjson.AppendQuote(append(dst, `{"k":`...), []byte(s.Key))
	dst = appendTimes(append(dst, ','), s)
	if info := rawjson.Trim(s.Info); len(info) > 0 && !rawjson.IsNull(info) {
		dst = append(append(dst, `,"i":`...), info...)
	}
	return append(dst, '}')
}

// appendTimes appends when a session was made and last looked up (RFC 3339).
func appendTimes(dst []byte, s core.Session) []byte {
	dst = s.Created.UTC().AppendFormat(append(dst, `"c":"`...), time.RFC3339Nano)
	dst = s.LastLookup.UTC().AppendFormat(append(dst, `","l":"`...), time.RFC3339Nano)
	return append(dst, '"')
}
