package network

import (
	"bytes"
	stdflate "compress/flate"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/klauspost/compress/flate"
)

// permessage-deflate (RFC 7692), without context takeover in either direction: the
// server may always ask for that. So a message is compressed once for all its
// receivers, and an idle connection keeps no compression state.

// deflateFrom is the size from which messages are compressed.
const deflateFrom = 128

// minWindow and maxWindow are the window sizes of RFC 7692, as powers of two.
const minWindow, maxWindow = 8, 15

var errInflate = errors.New("compressed message cannot be read")

// deflateOffer negotiates the extension. Its window is 0 until an offer is accepted.
type deflateOffer struct{ window wsflate.WindowBits }

// negotiate answers one offer; an empty answer declines it (RFC 7692, section 5).
func (d *deflateOffer) negotiate(offer httphead.Option) (httphead.Option, error) {
	var p wsflate.Parameters
	if d.window != 0 || !bytes.Equal(offer.Name, wsflate.ExtensionNameBytes) || p.Parse(offer) != nil {
		return httphead.Option{}, nil
	}
	d.window = maxWindow
	answer := wsflate.Parameters{ServerNoContextTakeover: true, ClientNoContextTakeover: true}
	if p.ServerMaxWindowBits != 0 {
		d.window = p.ServerMaxWindowBits
		answer.ServerMaxWindowBits = p.ServerMaxWindowBits
	}
	return answer.Option(), nil
}

// deflaters are the idle compressors of each window size.
var deflaters [maxWindow + 1]sync.Pool

// appendDeflated appends the compressed form of p to dst.
func appendDeflated(dst, p []byte, window wsflate.WindowBits) ([]byte, error) {
	w, _ := deflaters[window].Get().(*wsflate.Writer)
	out := bytes.NewBuffer(dst)
	if w == nil {
		w = wsflate.NewWriter(out, func(w io.Writer) wsflate.Compressor {
			if window < maxWindow {
				// The only error is a window out of bounds.
				c, _ := flate.NewWriterWindow(w, window.Bytes())
				return c
			}
			// The only error is a level out of bounds.
			c, _ := flate.NewWriter(w, flate.BestSpeed)
			return c
		})
	} else {
		w.Reset(out)
	}
	if _, err := w.Write(p); err != nil {
		return dst, err
	}
	if err := w.Flush(); err != nil {
		return dst, err
	}
	deflaters[window].Put(w)
	return out.Bytes(), nil
}

// inflater is a decompressor that wsflate can use again: the standard library's, as
// the other one takes the tail that wsflate puts behind a message for corrupt.
type inflater struct{ io.ReadCloser }

func newInflater(r io.Reader) wsflate.Decompressor { return inflater{stdflate.NewReader(r)} }

// Reset makes the inflater read from r. It is wsflate.ReadResetter.
func (i inflater) Reset(r io.Reader) {
	// Without a dictionary it returns no error.
	_ = i.ReadCloser.(stdflate.Resetter).Reset(r, nil)
}

var inflaters sync.Pool

// inflate returns the message whose compressed form is p, up to max bytes.
func inflate(p []byte, max int) ([]byte, error) {
	r, _ := inflaters.Get().(*wsflate.Reader)
	if r == nil {
		r = wsflate.NewReader(bytes.NewReader(p), newInflater)
	} else {
		r.Reset(bytes.NewReader(p))
	}
	var out bytes.Buffer
	n, err := out.ReadFrom(io.LimitReader(r, int64(max)+1))
	switch {
	case n > int64(max):
		err = errTooLarge
	case err != nil:
		err = fmt.Errorf("%w: %w", errInflate, err)
	}
	inflaters.Put(r)
	return out.Bytes(), err
}

// deflated returns f compressed for a window, or f itself if it is small or does not
// compress. It is compressed once, whichever loop asks first, and lives as long as f.
func (f *frame) deflated(window wsflate.WindowBits) *frame {
	if f.payload < deflateFrom || f.purpose == control {
		return f
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	z := f.packed[window-minWindow]
	if z == nil {
		z = newFrame()
		b, err := appendDeflated(z.room(), f.bytes[len(f.bytes)-f.payload:], window)
		if err != nil || len(b)-headerRoom >= f.payload {
			// A compressor that writes to memory does not fail; what does not shrink is
			// sent as it is.
			z.release()
			z = f
		} else {
			z.seal(b, ws.OpCode(f.bytes[0]&15))
			z.bytes[0] |= 0x40
			z.inherit(f)
		}
		f.packed[window-minWindow] = z
	}
	return z
}
