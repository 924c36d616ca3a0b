package network

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"github.com/polywire/polywire/core"
)

// headerRoom is the space that a server's longest frame header takes.
const headerRoom = 10

// keepFrame is the biggest buffer that goes back to the pool.
const keepFrame = 64 << 10

// frame is one encoded WebSocket frame, shared by all its receivers on all loops.
// Its bytes do not change after encoding. It goes back to the pool when the last
// reference is released.
type frame struct {
	// Static after encoding.
	bytes   []byte // header and payload
	payload int    // length of the payload
	buf     []byte // the memory of bytes and key
	purpose purpose
	key     []byte // the address, if newer messages of it may replace this one
	hash    uint64 // of key
	budget  *budget
	charged int             // bytes that count against budget; 0 without one
	read    time.Time       // when the message was read that is in it; only with delays
	delays  *core.Durations // where it is counted when it is written; nil if it is not

	// Guarded by mu: the compressed frame for each window size, once it was
	// requested.
	mu     sync.Mutex
	packed [maxWindow - minWindow + 1]*frame

	// Atomic.
	refs atomic.Int32
}

// purpose says what a frame is for, and so what happens to it when the receiver does not
// read fast enough.
type purpose uint8

const (
	// owed: an answer, an outcome, a request. No policy drops it.
	owed purpose = iota
	// published: a message of a subscription. A policy may drop it.
	published
	// control: a control frame. It is not for the application, and it always fits.
	control
	// response: the response to the upgrade, treated like control. Without it the client
	// understands nothing of what follows, so that it is never dropped alone.
	response
)

// isControl reports whether a frame is not for the application.
func (p purpose) isControl() bool { return p >= control }

// lent is a frame on loan from one turn of a loop, which releases it at its end (loop.lend). To
// hold it longer, call keep. Only an output may store it without keep, while it is listed for
// the end of the turn.
type lent struct{ *frame }

// keep returns the frame with a reference of the caller's own.
func (l lent) keep() *frame {
	l.retain()
	return l.frame
}

// deflated returns l compressed for a window, or as it is.
func (l lent) deflated(window wsflate.WindowBits) lent { return lent{l.frame.deflated(window)} }

var framePool = sync.Pool{New: func() any { return new(frame) }}

// newFrame returns an empty frame with one reference.
func newFrame() *frame {
	f := framePool.Get().(*frame)
	f.refs.Store(1)
	return f
}

func (f *frame) retain() { f.refs.Add(1) }

func (f *frame) release() {
	if f.refs.Add(-1) > 0 {
		return
	}
	for i, z := range f.packed {
		f.packed[i] = nil
		if z != nil && z != f {
			z.release()
		}
	}
	f.budget.add(-f.charged)
	f.bytes, f.purpose, f.key, f.budget, f.charged, f.delays = nil, owed, nil, nil, 0, nil
	if cap(f.buf) > keepFrame {
		f.buf = nil
	}
	framePool.Put(f)
}

// room returns an empty slice to which a payload is appended, with space for a
// header before it.
func (f *frame) room() []byte {
	if cap(f.buf) < headerRoom {
		f.buf = make([]byte, 0, 256)
	}
	return f.buf[:headerRoom]
}

// seal takes the slice from room with the payload appended, and writes the header before
// the payload.
func (f *frame) seal(b []byte, op ws.OpCode) {
	f.buf = b
	n := len(b) - headerRoom
	f.payload = n
	start := headerRoom
	switch {
	case n < 126:
		start -= 2
		b[start+1] = byte(n)
	case n < 1<<16:
		start -= 4
		b[start+1] = 126
		binary.BigEndian.PutUint16(b[start+2:], uint16(n))
	default:
		start -= 10
		b[start+1] = 127
		binary.BigEndian.PutUint64(b[start+2:], uint64(n))
	}
	b[start] = 0x80 | byte(op)
	f.bytes = b[start:]
}

// encodeWith fills f with what encode appends and reports whether there is
// anything to send.
func (f *frame) encodeWith(encode func(dst []byte, ev core.Event) ([]byte, core.FrameKind, error), ev core.Event) (bool, error) {
	b, kind, err := encode(f.room(), ev)
	if kind == core.NoFrame {
		return false, err
	}
	op := ws.OpText
	if kind == core.BinaryFrame {
		op = ws.OpBinary
	}
	f.seal(b, op)
	return true, err
}

// kind returns the kind of a data frame.
func (f *frame) kind() core.FrameKind {
	if ws.OpCode(f.bytes[0]&15) == ws.OpBinary {
		return core.BinaryFrame
	}
	return core.TextFrame
}

// controlFrame returns a control frame with one reference.
func controlFrame(op ws.OpCode, payload []byte) *frame {
	f := newFrame()
	f.purpose = control
	f.seal(append(f.room(), payload...), op)
	return f
}

// responseFrame returns the response to an upgrade request, as if it were a frame, with one
// reference. The frame owns b from here on.
func responseFrame(b []byte) *frame {
	f := newFrame()
	f.purpose, f.bytes = response, b
	return f
}

// closeFrame returns a close frame with one reference; code 0 is a close frame
// without a code.
func closeFrame(code uint16, text string) *frame {
	f := newFrame()
	f.purpose = control
	b := f.room()
	if code != 0 {
		b = binary.BigEndian.AppendUint16(b, code)
		b = append(b, text[:min(len(text), maxControl-2)]...)
	}
	f.seal(b, ws.OpClose)
	return f
}
