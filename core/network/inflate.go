package network

import (
	"bytes"
	stdflate "compress/flate"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/gobwas/ws/wsflate"
)

var errInflate = errors.New("compressed message cannot be read")

// history is the end of a client's compressed stream, to which its next message may refer
// (RFC 7692, section 7.2.2). It takes as much memory as the client has sent, up to the
// window. Owned by the connection's loop.
type history struct {
	window  int // bytes
	past    []byte
	charged int // how much of it is counted in the inbound budget
}

// add appends a message to the past.
func (h *history) add(plain []byte) {
	plain = plain[max(0, len(plain)-h.window):]
	old := h.past[max(0, len(h.past)+len(plain)-h.window):]
	if need := len(old) + len(plain); need > cap(h.past) {
		// Not by append, which would take more than the window.
		h.past = make([]byte, len(old), min(max(need, 2*cap(h.past)), h.window))
	} else {
		h.past = h.past[:len(old)]
	}
	copy(h.past, old)
	h.past = append(h.past, plain...)
}

// windows bounds the histories of all connections, by their maximum size: a client that has
// a history can fill it at any time, and nothing can be taken back.
type windows struct {
	// Static after construction.
	limit int64

	// Atomic.
	reserved atomic.Int64
}

// open returns a history for a client, or nil if there are too many. Any goroutine.
func (w *windows) open(size int) *history {
	if w.reserved.Add(int64(size)) > w.limit {
		w.reserved.Add(int64(-size))
		return nil
	}
	return &history{window: size}
}

// close releases what open returned. h may be nil. Any goroutine, once.
func (w *windows) close(h *history) {
	if h != nil {
		w.reserved.Add(int64(-h.window))
	}
}

// inflater inflates messages, one at a time. It is the wsflate.Decompressor of its
// reader and uses the standard library's inflater: the other one treats the tail that wsflate
// puts after a message as corrupt.
type inflater struct {
	in     bytes.Reader
	past   []byte
	flate  io.ReadCloser
	reader *wsflate.Reader
	out    []byte
}

// inflaters is the pool of idle inflaters. An inflater has 40 KiB of its own and a buffer for
// the output.
var inflaters = sync.Pool{New: func() any {
	z := &inflater{out: make([]byte, pieceSize)}
	z.reader = wsflate.NewReader(&z.in, func(r io.Reader) wsflate.Decompressor {
		z.flate = stdflate.NewReader(r)
		return z
	})
	return z
}}

func takeInflater() *inflater { return inflaters.Get().(*inflater) }

// giveInflater returns an inflater to the pool; what it returned is not valid any more.
func giveInflater(z *inflater) {
	z.past = nil
	z.in.Reset(nil)
	inflaters.Put(z)
}

func (z *inflater) Read(b []byte) (int, error) { return z.flate.Read(b) }

// Reset makes the inflater read from r. It is wsflate.ReadResetter.
func (z *inflater) Reset(r io.Reader) {
	// It returns no error.
	_ = z.flate.(stdflate.Resetter).Reset(r, z.past)
}

// inflate returns the message whose compressed form is p, up to max bytes, and adds it
// to h, which may be nil. The message is borrowed until giveInflater.
func (z *inflater) inflate(p []byte, max int, h *history) ([]byte, error) {
	if h != nil {
		z.past = h.past
	}
	z.in.Reset(p)
	z.reader.Reset(&z.in)
	var before pieces
	n := 0
	for {
		k, err := z.reader.Read(z.out[n:])
		n += k
		switch {
		case before.size+n > max:
			return nil, errTooLarge
		case errors.Is(err, io.EOF):
			plain := z.out[:n]
			if before.size > 0 {
				plain = before.join(plain)
			}
			if h != nil {
				h.add(plain)
			}
			return plain, nil
		case err != nil:
			return nil, fmt.Errorf("%w: %w", errInflate, err)
		}
		if n == len(z.out) {
			before.add(z.out)
			n = 0
		}
	}
}
