package redis

import (
	"encoding/binary"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/polywire/polywire/cluster/roster"
	"github.com/polywire/polywire/core"
)

// frameVersion begins what is said to one node:
//
//	byte     version
//	byte     kind
//	text     who says it
//	16 bytes call, of ask, answer and cancel
//	…        what the kind has: numbers as uvarints, texts with their length before them
//
// A payload is a byte, and the bytes behind it up to the end.
const frameVersion = 1

// kind is what is said to one node.
type kind uint8

const (
	kindAsk kind = iota + 1
	kindAnswer
	kindCancel
	kindDescribe // tell me all your services
	kindState    // a notice
	kindSync     // say when you have got everything up to here
	kindSynced
	kindTaken // your name is that of this node
	kindLook  // a record was changed so that you have to look at it
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
	// maxTimeout bounds what somebody says that a caller waits.
	maxTimeout = 24 * time.Hour
	// maxFailure bounds the code and the text of a failure.
	maxFailure = 64 << 10
)

var errFrame = errors.New("a message to this node makes no sense")

// frame is what one node says to another one.
type frame struct {
	kind    kind
	from    core.NodeID
	call    core.CallID
	service []byte
	timeout time.Duration
	payload core.Payload
	failure core.Failure
	reason  core.Reason
	sync    uint64 // the number of a sync, and the revision of the channels
	rev     uint64
	notice  []byte
}

// append appends a frame.
func (f *frame) append(dst []byte) []byte {
	dst = append(dst, frameVersion, byte(f.kind))
	dst = appendText(dst, f.from)
	switch f.kind {
	case kindAsk:
		dst = append(dst, f.call[:]...)
		dst = appendText(dst, f.service)
		dst = binary.AppendUvarint(dst, uint64(max(f.timeout.Milliseconds(), 0)))
		dst = appendPayload(dst, f.payload)
	case kindAnswer:
		dst = append(dst, f.call[:]...)
		dst = appendText(dst, f.failure.Code)
		dst = appendText(dst, f.failure.Text)
		dst = appendText(dst, f.reason.String())
		if !f.failure.Failed() {
			dst = appendPayload(dst, f.payload)
		}
	case kindCancel:
		dst = append(dst, f.call[:]...)
	case kindState, kindTaken, kindLook:
		dst = append(dst, f.notice...)
	case kindSync, kindSynced:
		dst = binary.AppendUvarint(dst, f.sync)
		dst = binary.AppendUvarint(dst, f.rev)
	}
	return dst
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

// frameReader reads the parts of a frame that anybody may have sent.
type frameReader struct {
	rest []byte
	bad  bool
}

func (r *frameReader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	part := r.rest[:n:n]
	r.rest = r.rest[n:]
	return part
}

func (r *frameReader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *frameReader) text() []byte { return r.bytes(r.number()) }

func (r *frameReader) call() (id core.CallID) {
	if b := r.bytes(uint64(len(id))); b != nil {
		copy(id[:], b)
	}
	return id
}

func (r *frameReader) payload() (p core.Payload) {
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

// readFrame reads a message to this node. It retains the message's bytes.
func readFrame(data []byte) (f frame, err error) {
	r := &frameReader{rest: data}
	head := r.bytes(2)
	if r.bad || head[0] != frameVersion {
		return f, errFrame
	}
	f.kind = kind(head[1])
	f.from = core.NodeID(r.text())
	if r.bad || !roster.ValidNode(f.from) {
		return f, errFrame
	}
	switch f.kind {
	case kindAsk:
		f.call, f.service = r.call(), r.text()
		f.timeout = time.Duration(min(r.number(), uint64(maxTimeout/time.Millisecond))) * time.Millisecond
		f.payload = r.payload()
		r.bad = r.bad || !utf8.Valid(f.service)
	case kindAnswer:
		f.call = r.call()
		f.failure = core.Failure{Code: core.Code(r.text()), Text: string(r.text())}
		// One that a newer node has is not known here.
		f.reason, _ = core.ReasonNamed(string(r.text()))
		if !f.failure.Failed() {
			f.payload = r.payload()
		}
		r.bad = r.bad || len(f.failure.Code)+len(f.failure.Text) > maxFailure || !utf8.ValidString(f.failure.Error()) || f.call == (core.CallID{})
	case kindCancel:
		f.call = r.call()
		r.bad = r.bad || f.call == (core.CallID{})
	case kindDescribe:
	case kindState, kindTaken, kindLook:
		f.notice = r.rest
		r.bad = f.kind == kindTaken && !roster.ValidNode(core.NodeID(r.rest))
	case kindSync, kindSynced:
		f.sync, f.rev = r.number(), r.number()
	default:
		return f, errFrame
	}
	if r.bad {
		return f, errFrame
	}
	return f, nil
}
