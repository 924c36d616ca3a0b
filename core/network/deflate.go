package network

import (
	"bytes"
	"io"
	"sync"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/klauspost/compress/flate"
)

// permessage-deflate (RFC 7692). The server keeps no context, so that a message is compressed
// once for all its receivers. Clients are asked for the same only if they have offered it,
// because some ignore it otherwise: for the others the window is kept (inflate.go).

// deflateFrom is the size from which messages are compressed.
const deflateFrom = 128

// minWindow and maxWindow are the window sizes of RFC 7692, as powers of two.
const minWindow, maxWindow = 8, 15

// deflateOffer negotiates the extension. Its window is 0 until an offer is accepted.
type deflateOffer struct {
	windows *windows
	window  wsflate.WindowBits
	history *history // nil if the client keeps no context
}

// negotiate answers one offer; an empty answer declines it (RFC 7692, section 5).
func (d *deflateOffer) negotiate(offer httphead.Option) httphead.Option {
	var p wsflate.Parameters
	if d.window != 0 || !bytes.Equal(offer.Name, wsflate.ExtensionNameBytes) || p.Parse(offer) != nil {
		return httphead.Option{}
	}
	answer := wsflate.Parameters{ServerNoContextTakeover: true, ClientNoContextTakeover: p.ClientNoContextTakeover}
	if !p.ClientNoContextTakeover {
		bits := wsflate.WindowBits(maxWindow)
		if p.ClientMaxWindowBits >= minWindow {
			// Else it is offered without a value.
			bits = p.ClientMaxWindowBits
			answer.ClientMaxWindowBits = bits
		}
		if d.history = d.windows.open(bits.Bytes()); d.history == nil {
			return httphead.Option{}
		}
	}
	d.window = maxWindow
	if p.ServerMaxWindowBits != 0 {
		d.window = p.ServerMaxWindowBits
		answer.ServerMaxWindowBits = p.ServerMaxWindowBits
	}
	return answer.Option()
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

// deflated returns f compressed for a window, or f itself if it is small or does not
// compress. It is compressed once, by the loop that asks first, and lives as long as f.
func (f *frame) deflated(window wsflate.WindowBits) *frame {
	if f.payload < deflateFrom || f.purpose.isControl() {
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
