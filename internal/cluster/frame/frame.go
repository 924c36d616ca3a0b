// Package frame is what one node of a cluster says to another one, as bytes: calls and answers, and
// what keeps nodes in step. How they get there is up to the engine.
package frame

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// version begins a frame:
//
//	byte     version
//	byte     kind
//	text     who says it
//	16 bytes call, of ask, answer and cancel
//	…        what the kind has: numbers as uvarints, texts with their length before them
//
// A payload is a byte, and the bytes behind it up to the end.
const version = 1

// Kind is what is said to one node.
type Kind uint8

// The kinds.
const (
	Ask      Kind = iota + 1
	Answer        // to an ask
	Cancel        // nobody waits for the answer any more
	Describe      // tell me all your services
	State         // what Describe has asked for
	Sync          // say when you have got everything up to here
	Synced
	Taken // your name is that of this node
	Look  // a record was changed so that you have to look at it
)

// The first byte of a payload.
const (
	payloadAbsent = iota
	payloadJSON
	payloadText
	payloadWide
	payloadBinary
)

const (
	// MaxTimeout bounds what somebody says that a caller waits.
	MaxTimeout = 24 * time.Hour
	// maxFailure bounds the code and the text of a failure.
	maxFailure = 64 << 10
)

var errFrame = errors.New("a message to this node makes no sense")

// Frame is what one node says to another one. Read returns one that retains the bytes it was read of.
type Frame struct {
	Kind    Kind
	From    core.NodeID
	Call    core.CallID   // of an ask, an answer or a cancellation; zero in an ask that wants no answer
	Service []byte        // of an ask
	Timeout time.Duration // of an ask
	Payload core.Payload  // of an ask, or of an answer that is no failure
	Failure core.Failure  // of an answer
	Reason  core.Reason   // under which the failure is counted
	Sync    uint64        // the number of a sync
	Rev     uint64        // up to which position of the channels a sync asks
	Notice  []byte        // of a state, a taken and a look
}

// Append appends a frame. A failure is shortened to what Read takes: an answerer can fail with any text.
func (f *Frame) Append(dst []byte) []byte {
	dst = append(dst, version, byte(f.Kind))
	dst = appendText(dst, f.From)
	switch f.Kind {
	case Ask:
		dst = append(dst, f.Call[:]...)
		dst = appendText(dst, f.Service)
		dst = binary.AppendUvarint(dst, uint64(max(f.Timeout.Milliseconds(), 0)))
		dst = appendPayload(dst, f.Payload)
	case Answer:
		dst = append(dst, f.Call[:]...)
		dst = appendText(dst, shortened(string(f.Failure.Code)))
		dst = appendText(dst, shortened(f.Failure.Text))
		dst = appendText(dst, f.Reason.String())
		if !f.Failure.Failed() {
			dst = appendPayload(dst, f.Payload)
		}
	case Cancel:
		dst = append(dst, f.Call[:]...)
	case State, Taken, Look:
		dst = append(dst, f.Notice...)
	case Sync, Synced:
		dst = binary.AppendUvarint(dst, f.Sync)
		dst = binary.AppendUvarint(dst, f.Rev)
	}
	return dst
}

func shortened(text string) string {
	if len(text) > maxFailure/3 {
		text = text[:maxFailure/3]
	}
	return strings.ToValidUTF8(text, "")
}

func appendText[T ~string | ~[]byte](dst []byte, text T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

func appendPayload(dst []byte, p core.Payload) []byte {
	switch {
	case p.Kind == core.Text && p.UTF16 != nil:
		return append(append(dst, payloadWide), p.UTF16...)
	case p.Kind == core.Text:
		return append(append(dst, payloadText), p.Data...)
	case p.Kind == core.Binary:
		return append(append(dst, payloadBinary), p.Data...)
	case p.Kind == core.JSON:
		return append(append(dst, payloadJSON), p.Data...)
	}
	return append(dst, payloadAbsent)
}

// reader reads the parts of a frame that anybody may have sent.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	part := r.rest[:n:n]
	r.rest = r.rest[n:]
	return part
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) text() []byte { return r.bytes(r.number()) }

func (r *reader) call() (id core.CallID) {
	if b := r.bytes(uint64(len(id))); b != nil {
		copy(id[:], b)
	}
	return id
}

func (r *reader) payload() (p core.Payload) {
	k := r.bytes(1)
	if r.bad {
		return p
	}
	data := r.rest
	switch k[0] {
	case payloadAbsent:
		r.bad = len(data) > 0
		return p
	case payloadJSON:
		p.Kind, p.Data = core.JSON, data
	case payloadText:
		p.Kind, p.Data = core.Text, data
	case payloadWide:
		if len(data)%2 != 0 {
			r.bad = true
			return p
		}
		p = core.TextUTF16(data)
	case payloadBinary:
		p.Kind, p.Data = core.Binary, data
	default:
		r.bad = true
	}
	r.bad = r.bad || p.Check() != nil
	return p
}

// Read reads a frame, which anybody may have sent. It retains the bytes.
func Read(data []byte) (f Frame, err error) {
	r := &reader{rest: data}
	head := r.bytes(2)
	if r.bad || head[0] != version {
		return f, errFrame
	}
	f.Kind = Kind(head[1])
	f.From = core.NodeID(r.text())
	if r.bad || !roster.ValidNode(f.From) {
		return f, errFrame
	}
	switch f.Kind {
	case Ask:
		f.Call, f.Service = r.call(), r.text()
		f.Timeout = time.Duration(min(r.number(), uint64(MaxTimeout/time.Millisecond))) * time.Millisecond
		f.Payload = r.payload()
		r.bad = r.bad || !utf8.Valid(f.Service)
	case Answer:
		f.Call = r.call()
		f.Failure = core.Failure{Code: core.Code(r.text()), Text: string(r.text())}
		// One that a newer node has is not known here.
		f.Reason, _ = core.ReasonNamed(string(r.text()))
		if !f.Failure.Failed() {
			f.Payload = r.payload()
		}
		r.bad = r.bad || len(f.Failure.Code)+len(f.Failure.Text) > maxFailure || !utf8.ValidString(f.Failure.Error()) || f.Call == (core.CallID{})
	case Cancel:
		f.Call = r.call()
		r.bad = r.bad || f.Call == (core.CallID{})
	case Describe:
	case State, Taken, Look:
		f.Notice = r.rest
		r.bad = f.Kind == Taken && !roster.ValidNode(core.NodeID(r.rest))
	case Sync, Synced:
		f.Sync, f.Rev = r.number(), r.number()
	default:
		return f, errFrame
	}
	if r.bad {
		return f, errFrame
	}
	return f, nil
}
