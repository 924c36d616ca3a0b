package core

import (
	"crypto/rand"
	"encoding/hex"
	"strings"

	"github.com/polywire/polywire/core/rawjson"
)

// The names of the headers of a trace context. They are written in lower case
// everywhere (W3C Trace Context, section 3).
const (
	traceParent = "traceparent"
	traceState  = "tracestate"
)

// The bounds of tracestate: the length that must at least be passed on, and the number of
// members that it may have (W3C Trace Context, section 3.3).
const (
	maxTraceState   = 512
	maxTraceMembers = 32
)

// flagSampled says that the trace is recorded. It is the only flag that is passed on,
// because some parsers refuse others.
const flagSampled = 1

// Trace is a W3C trace context: the place in a trace at which a call was made. The
// zero value is none.
type Trace struct {
	// ID names the trace, Span the operation within it.
	ID   [16]byte
	Span [8]byte
	// Flags is 1 if the trace is recorded, else 0.
	Flags byte
	// State is the tracestate header, passed on unread; empty for none.
	State string
}

// ParseTrace reads the values of the headers traceparent and tracestate. It returns
// the zero Trace if parent is not valid. A state that is not valid is left out.
func ParseTrace(parent, state string) Trace {
	const size = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-00")
	switch {
	case len(parent) < size, parent[2] != '-' || parent[35] != '-' || parent[52] != '-':
		return Trace{}
	case parent[:2] == "ff", parent[:2] == "00" && len(parent) > size, len(parent) > size && parent[size] != '-':
		return Trace{}
	}
	var t Trace
	var version, flags [1]byte
	if !lowerHex(version[:], parent[:2]) || !lowerHex(t.ID[:], parent[3:35]) || !lowerHex(t.Span[:], parent[36:52]) ||
		!lowerHex(flags[:], parent[53:size]) || t.ID == [16]byte{} || t.Span == [8]byte{} {
		return Trace{}
	}
	t.Flags = flags[0] & flagSampled
	if validTraceState(state) {
		t.State = state
	}
	return t
}

// lowerHex decodes s, which fills dst, and has no upper case.
func lowerHex(dst []byte, s string) bool {
	_, err := hex.Decode(dst, []byte(s))
	return err == nil && strings.ToLower(s) == s
}

// validTraceState reports whether s may be passed on: a list of key=value, in
// printable ASCII, within its bounds.
func validTraceState(s string) bool {
	if len(s) > maxTraceState || strings.Count(s, ",") >= maxTraceMembers {
		return false
	}
	for _, ch := range []byte(s) {
		if (ch < ' ' || ch > '~') && ch != '\t' {
			return false
		}
	}
	for member := range strings.SplitSeq(s, ",") {
		member = strings.Trim(member, " \t")
		if key, _, ok := strings.Cut(member, "="); member != "" && (!ok || key == "") {
			return false
		}
	}
	return true
}

// TraceFromHeaders reads the trace context among the headers of a command: a JSON
// object of strings, or nil. It returns the zero Trace if there is none.
func TraceFromHeaders(headers []byte) Trace {
	if headers == nil {
		return Trace{}
	}
	var parent, state string
	members := rawjson.Object(headers)
	for members.Next() {
		var to *string
		switch {
		case members.KeyIs(traceParent):
			to = &parent
		case members.KeyIs(traceState):
			to = &state
		default:
			continue
		}
		text, _ := rawjson.Unquote(members.Value(), nil)
		*to = string(text)
	}
	return ParseTrace(parent, state)
}

// Recorded reports whether what happens within t is recorded.
func (t Trace) Recorded() bool { return t.Flags&flagSampled != 0 && t.ID != [16]byte{} }

// In returns headers, a JSON object of strings or nil, with t as trace context, in place of the one that is among
// them. The result is new.
func (t Trace) In(headers []byte) []byte {
	out := append(make([]byte, 0, len(headers)+128), `{"traceparent":"`...)
	out = append(append(out, t.Parent()...), '"')
	if t.State != "" {
		out = rawjson.AppendQuote(append(out, `,"tracestate":`...), []byte(t.State))
	}
	if headers != nil {
		for members := rawjson.Object(headers); members.Next(); {
			if members.KeyIs(traceParent) || members.KeyIs(traceState) {
				continue
			}
			out = rawjson.AppendQuote(append(out, ','), members.Key())
			out = append(append(out, ':'), members.Value()...)
		}
	}
	return append(out, '}')
}

// Child returns the context of an operation within t: the same trace and a new span. The
// child of the zero Trace begins a new trace that is marked as recorded; otherwise services
// that sample like their callers would record nothing.
func (t Trace) Child() Trace {
	if t.ID == [16]byte{} {
		t.Flags = flagSampled
		fillRandom(t.ID[:])
	}
	fillRandom(t.Span[:])
	return t
}

// fillRandom fills id with a random value that is not zero.
func fillRandom(id []byte) {
	// crypto/rand.Read never returns an error.
	_, _ = rand.Read(id)
	id[0] |= 1
}

// Parent returns the traceparent header of t.
func (t Trace) Parent() string {
	text := hex.AppendEncode([]byte("00-"), t.ID[:])
	text = hex.AppendEncode(append(text, '-'), t.Span[:])
	text = hex.AppendEncode(append(text, '-'), []byte{t.Flags})
	return string(text)
}

// TraceID returns the id of the trace as logs show it.
func (t Trace) TraceID() string { return hex.EncodeToString(t.ID[:]) }
