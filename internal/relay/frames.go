package relay

import (
	"bytes"
	"errors"
	"io"

	"github.com/gobwas/ws"
)

// Message is a whole message or a control frame of one direction. Data is borrowed.
type Message struct {
	Op   ws.OpCode
	Data []byte
	// Size is how many bytes it had if it was too long to be kept, 0 otherwise; Data is nil then.
	Size int64
}

// frames takes the bytes of one direction apart. Owned by its dialog.
type frames struct {
	max        int
	fromServer bool
	inflate    *inflater // nil without compression

	in []byte // what is not whole yet
	// skip is what is still to come of the payload of a frame that is too long.
	skip int64
	last bool // the frame that is skipped is the last of its message

	// The message that is put together of fragments; op 0 is none.
	op         ws.OpCode
	parts      []byte
	size       int64
	compressed bool
}

// feed takes bytes, which it may change, and tells whole messages. An error says how the sender breaks the
// protocol; nothing can be read after it.
func (f *frames) feed(data []byte, tell func(Message) error) error {
	if len(f.in) > 0 {
		f.in = append(f.in, data...)
		data = f.in
	}
	for {
		if f.skip > 0 {
			n := min(f.skip, int64(len(data)))
			data, f.skip = data[n:], f.skip-n
			if f.skip > 0 {
				break
			}
			if err := f.ended(nil, f.last, tell); err != nil {
				return err
			}
		}
		rest, whole, err := f.frame(data, tell)
		if err != nil {
			return err
		}
		data = rest
		if !whole && f.skip == 0 {
			break
		}
	}
	if len(data) != len(f.in) { // else it is all there already
		f.in = append(f.in[:0], data...)
	}
	if len(f.in) == 0 && cap(f.in) > 64<<10 {
		f.in = nil
	}
	return nil
}

// frame reads one frame; whole is false if it has to wait for more.
func (f *frames) frame(data []byte, tell func(Message) error) (rest []byte, whole bool, err error) {
	r := bytes.NewReader(data)
	h, err := ws.ReadHeader(r)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return data, false, nil
	}
	if err == nil {
		err = f.check(h)
	}
	if err != nil {
		return data, false, err
	}
	// The state changes only once the frame is used: its head is read again when more has come.
	begin := func() {
		if h.OpCode != ws.OpContinuation {
			f.op, f.compressed = h.OpCode, h.Rsv1()
		}
	}
	body := data[len(data)-r.Len():]
	if !h.OpCode.IsControl() {
		if f.size+h.Length > int64(f.max) {
			begin()
			f.size += h.Length
			f.parts, f.skip, f.last = nil, h.Length, h.Fin
			if h.Length == 0 {
				return body, true, f.ended(nil, h.Fin, tell)
			}
			return body, true, nil
		}
	}
	if int64(len(body)) < h.Length {
		return data, false, nil
	}
	payload, rest := body[:h.Length:h.Length], body[h.Length:]
	if h.Masked {
		ws.Cipher(payload, h.Mask, 0)
	}
	if h.OpCode.IsControl() {
		return rest, true, tell(Message{Op: h.OpCode, Data: payload})
	}
	begin()
	f.size += h.Length
	return rest, true, f.ended(payload, h.Fin, tell)
}

// ended adds the payload of a data frame to the message, and tells it if it was the last one.
func (f *frames) ended(payload []byte, last bool, tell func(Message) error) error {
	long := f.size > int64(f.max)
	if !last {
		if !long {
			f.parts = append(f.parts, payload...)
		}
		return nil
	}
	m := Message{Op: f.op, Data: payload}
	if len(f.parts) > 0 {
		m.Data = append(f.parts, payload...)
	}
	size, compressed := f.size, f.compressed
	f.op, f.parts, f.size, f.compressed = 0, nil, 0, false
	switch {
	case long && compressed && f.inflate.keeps:
		return errWindow
	case long:
		m.Data, m.Size = nil, size
	case compressed:
		var err error
		if m.Data, err = f.inflate.message(m.Data); err != nil {
			return err
		}
	}
	return tell(m)
}

// errWindow is the error for messages that were compressed with reference to one that was not kept.
var errWindow = errors.New("a compressed message was too long to be kept, and later ones refer to it")

// check checks a frame against RFC 6455, section 5.
func (f *frames) check(h ws.Header) error {
	state := ws.StateServerSide
	if f.fromServer {
		state = ws.StateClientSide
	}
	if f.op != 0 {
		state |= ws.StateFragmented
	}
	if h.Rsv1() && f.inflate != nil && !h.OpCode.IsControl() && h.OpCode != ws.OpContinuation {
		h.Rsv = ws.Rsv(false, h.Rsv2(), h.Rsv3())
	}
	return ws.CheckHeader(h, state)
}
