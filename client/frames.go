package client

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// frames turns what a server sends into messages (RFC 6455). It is fed pieces of any size; a message that is
// whole in one piece is not copied. One goroutine at a time.
type frames struct {
	max int // bytes of a message; static

	head    [ws.MaxHeaderSize]byte // of the header that is cut by the end of a piece
	nhead   int
	inFrame bool      // the header of a frame is read, and its payload is not complete
	frame   ws.Header // that header
	left    int       // bytes of its payload that are to come

	op      ws.OpCode // of the message that is not complete; 0 if there is none
	message []byte    // what is there of it
	control []byte    // what is there of a control frame
}

// framesTo takes what frames finds. The bytes are borrowed. An error ends feed.
type framesTo interface {
	onMessage(op ws.OpCode, message []byte) error
	onControl(op ws.OpCode, body []byte) error
}

// feed takes the next piece. After an error it is not to be called again.
func (f *frames) feed(b []byte, to framesTo) error {
	for {
		if !f.inFrame {
			n, err := f.header(b)
			if b = b[n:]; err != nil || !f.inFrame {
				return err
			}
		}
		piece := b[:min(len(b), f.left)]
		b = b[len(piece):]
		f.left -= len(piece)
		f.inFrame = f.left > 0
		var err error
		if f.frame.OpCode.IsControl() {
			err = f.takeControl(piece, to)
		} else {
			err = f.take(piece, to)
		}
		if err != nil || f.inFrame {
			return err
		}
	}
}

// header reads the header of a frame, and returns how many bytes it has used.
func (f *frames) header(b []byte) (used int, err error) {
	head := b
	if f.nhead > 0 {
		used = copy(f.head[f.nhead:], b)
		head = f.head[:f.nhead+used]
	}
	size := headerSize(head)
	if len(head) < size {
		if f.nhead == 0 {
			used = copy(f.head[:], head)
		}
		f.nhead += used
		return used, nil
	}
	used = size - f.nhead
	f.nhead = 0
	h := ws.Header{
		Fin: head[0]&0x80 != 0, Rsv: head[0] >> 4 & 7, OpCode: ws.OpCode(head[0] & 15),
		Masked: head[1]&0x80 != 0, Length: int64(head[1] & 0x7f),
	}
	switch h.Length {
	case 126:
		h.Length = int64(binary.BigEndian.Uint16(head[2:]))
	case 127:
		length := binary.BigEndian.Uint64(head[2:])
		if length>>63 != 0 {
			return used, ws.ErrHeaderLengthMSB
		}
		h.Length = int64(length)
	}
	state := ws.StateClientSide
	if f.op != 0 {
		state |= ws.StateFragmented
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return used, err
	}
	if !h.OpCode.IsControl() && h.Length > int64(f.max-len(f.message)) {
		return used, errTooLarge
	}
	f.frame, f.left, f.inFrame = h, int(h.Length), true
	return used, nil
}

// headerSize returns the size of the header that begins with b, as far as b shows it.
func headerSize(b []byte) int {
	if len(b) < 2 {
		return 2
	}
	size := 2
	switch b[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if b[1]&0x80 != 0 {
		size += 4
	}
	return size
}

// take takes a piece of a message.
func (f *frames) take(piece []byte, to framesTo) error {
	if f.op == 0 {
		f.op = f.frame.OpCode
	}
	if f.inFrame || !f.frame.Fin {
		// The buffer grows with what comes, not with what a header announces.
		f.message = append(f.message, piece...)
		return nil
	}
	message := piece
	if len(f.message) > 0 {
		f.message = append(f.message, piece...)
		message = f.message
	}
	op := f.op
	f.op, f.message = 0, f.message[:0]
	if cap(f.message) > keptBuffer {
		f.message = nil
	}
	if op == ws.OpText && !utf8.Valid(message) {
		return wsutil.ErrInvalidUTF8
	}
	return to.onMessage(op, message)
}

// takeControl takes a piece of a control frame.
func (f *frames) takeControl(piece []byte, to framesTo) error {
	body := piece
	if f.inFrame || len(f.control) > 0 {
		f.control = append(f.control, piece...)
		body = f.control
	}
	if f.inFrame {
		return nil
	}
	f.control = f.control[:0]
	return to.onControl(f.frame.OpCode, body)
}
