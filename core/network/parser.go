package network

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/core"
)

// maxControl is the longest payload of a control frame (RFC 6455, section 5.5).
const maxControl = 125

// keepBuffer is the biggest message buffer that a parser keeps after the message.
const keepBuffer = 4 << 10

// errLength: a frame length is not written in its shortest form
// (RFC 6455, section 5.2) or does not fit 63 bits.
var errLength = errors.New("frame length is not minimal")

// errTooLarge: a message exceeds the size limit.
var errTooLarge = errors.New("message exceeds the size limit")

// errUTF8: text is not UTF-8.
var errUTF8 = errors.New("text is not valid UTF-8")

// frameHandler receives what a parser finds. The payload is borrowed until the
// call returns; the handler may overwrite it. Returning false stops the
// parser after this frame.
type frameHandler interface {
	// onInflated is called before the onMessage of a compressed message; more is the growth
	// by inflation in bytes, negative if the message shrinks.
	onInflated(more int)
	onMessage(op ws.OpCode, payload []byte) bool
	onControl(op ws.OpCode, payload []byte) bool
}

// parser turns a client's byte stream into messages (RFC 6455, server side). It
// is fed chunks of any size. A message that is whole within one chunk is
// unmasked in place and handed on without a copy. Not safe for concurrent use.
type parser struct {
	maxMessage int
	deflate    bool     // permessage-deflate was negotiated
	history    *history // for deflate; nil if the client's compressor keeps none
	deaf       bool     // data is ignored from now on

	head  [ws.MaxHeaderSize]byte // a header cut by the end of a chunk
	nhead uint8

	inFrame bool      // a header is complete and its payload is being read
	frame   ws.Header // that header
	off     int64     // payload bytes of that frame read so far

	op     ws.OpCode // opcode of the incomplete message; 0 (continuation) if none
	packed bool      // that message is compressed
	buf    pieces    // the incomplete message, if it was cut
	ctl    []byte    // the incomplete control payload, if it was cut
	spare  []byte    // memory for the next message that is cut; empty
	text   utf8Stream
}

// feed parses b, which it overwrites (payloads are unmasked in place), and calls h
// for each complete frame. It returns the number of bytes used: all of them unless
// h stopped it or the stream is invalid.
func (p *parser) feed(b []byte, h frameHandler) (used int, err error) {
	for {
		if !p.inFrame {
			n, complete, err := p.header(b[used:])
			used += n
			if err != nil || !complete {
				return used, err
			}
		}
		chunk := b[used:]
		if left := p.frame.Length - p.off; int64(len(chunk)) > left {
			chunk = chunk[:left]
		}
		ws.Cipher(chunk, p.frame.Mask, int(p.off))
		p.off += int64(len(chunk))
		used += len(chunk)
		done := p.off == p.frame.Length

		more := true
		if p.frame.OpCode.IsControl() {
			more = p.control(chunk, done, h)
		} else if more, err = p.data(chunk, done, h); err != nil {
			return used, err
		}
		if done {
			p.inFrame = false
		}
		if !more || !done {
			return used, nil
		}
	}
}

// between reports whether no message is incomplete: the parser may be given to another
// client now.
func (p *parser) between() bool {
	return p.nhead == 0 && !p.inFrame && p.op == 0 && p.buf.size == 0 && p.ctl == nil
}

// parserBytes is the memory of a parser without its buffers.
const parserBytes = 256

// memory returns the memory of a parser that is not between messages.
func (p *parser) memory() int { return parserBytes + p.buf.memory() + cap(p.ctl) }

// deafen drops the incomplete message, and the data of all later frames; control
// frames are still handled.
func (p *parser) deafen() {
	p.deaf, p.buf, p.text = true, pieces{}, utf8Stream{}
}

// header reads one frame header and checks it. n is the number of bytes used.
func (p *parser) header(b []byte) (n int, complete bool, err error) {
	head := b
	if p.nhead > 0 {
		// Continue a header that was cut: at most 14 bytes are ever copied.
		n = copy(p.head[p.nhead:], b)
		head = p.head[:int(p.nhead)+n]
	}
	size := headerSize(head)
	if len(head) < size {
		if p.nhead == 0 {
			n = copy(p.head[:], head)
		}
		p.nhead += uint8(n)
		return n, false, nil
	}
	n = size - int(p.nhead)
	p.nhead = 0

	h := ws.Header{
		Fin:    head[0]&0x80 != 0,
		Rsv:    head[0] >> 4 & 7,
		OpCode: ws.OpCode(head[0] & 15),
		Masked: head[1]&0x80 != 0,
	}
	rest := head[2:size]
	switch l := head[1] & 0x7f; l {
	case 126:
		h.Length = int64(binary.BigEndian.Uint16(rest))
		rest = rest[2:]
		if h.Length < 126 {
			return n, false, errLength
		}
	case 127:
		u := binary.BigEndian.Uint64(rest)
		rest = rest[8:]
		if u < 1<<16 || u > 1<<63-1 {
			return n, false, errLength
		}
		h.Length = int64(u)
	default:
		h.Length = int64(l)
	}
	copy(h.Mask[:], rest)

	state := ws.StateServerSide
	if p.op != 0 {
		state |= ws.StateFragmented
	}
	if h.OpCode.IsData() && h.OpCode != ws.OpContinuation {
		// The first reserved bit marks a compressed message (RFC 7692, section 6).
		// Set for every message: the last one may have been another client's.
		if p.packed = p.deflate && h.Rsv&4 != 0; p.packed {
			h.Rsv &^= 4
		}
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return n, false, err
	}
	if !h.OpCode.IsControl() && h.Length > int64(p.maxMessage-p.buf.size) {
		return n, false, errTooLarge
	}
	p.frame, p.off, p.inFrame = h, 0, true
	return n, true, nil
}

// headerSize returns the size of the header that begins with b, if b shows it; it is more
// than len(b) as long as b is not the whole header.
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

// control takes a piece of a control frame's payload.
func (p *parser) control(chunk []byte, done bool, h frameHandler) bool {
	if done && len(p.ctl) == 0 {
		return h.onControl(p.frame.OpCode, chunk)
	}
	if p.ctl == nil {
		p.ctl = make([]byte, 0, maxControl)
	}
	p.ctl = append(p.ctl, chunk...)
	if !done {
		return true
	}
	payload := p.ctl
	p.ctl = nil
	return h.onControl(p.frame.OpCode, payload)
}

// data takes a piece of a data frame's payload.
func (p *parser) data(chunk []byte, done bool, h frameHandler) (more bool, err error) {
	if p.op == 0 {
		p.op = p.frame.OpCode
	}
	whole := done && p.frame.Fin
	op := p.op
	if whole {
		p.op = 0
	}
	if p.deaf {
		return true, nil
	}
	if op == ws.OpText && !p.packed && !p.text.feed(chunk, whole) {
		return false, errUTF8
	}
	if whole && p.buf.size == 0 {
		return p.message(op, chunk, h)
	}
	if p.buf.size == 0 && p.spare != nil && len(chunk) > 0 {
		p.buf = pieces{list: [][]byte{append(p.spare, chunk...)}, size: len(chunk)}
		p.spare = nil
		return true, nil
	}
	// The buffer grows with what arrives, never with what a header announces.
	if !whole {
		p.buf.add(chunk)
		return true, nil
	}
	payload := p.buf.join(chunk)
	more, err = p.message(op, payload, h)
	if cap(payload) <= keepBuffer {
		p.spare = payload[:0]
	}
	return more, err
}

// message hands a whole message on, inflated if it is compressed.
func (p *parser) message(op ws.OpCode, payload []byte, h frameHandler) (more bool, err error) {
	if !p.packed {
		return h.onMessage(op, payload), nil
	}
	z := takeInflater()
	defer giveInflater(z)
	plain, err := z.inflate(payload, p.maxMessage, p.history)
	if err != nil {
		return false, err
	}
	if op == ws.OpText && !utf8.Valid(plain) {
		return false, errUTF8
	}
	h.onInflated(len(plain) - len(payload))
	return h.onMessage(op, plain), nil
}

// reasonOf returns the reason for a parse error.
func reasonOf(err error) core.Reason {
	switch {
	case errors.Is(err, errTooLarge):
		return core.ReasonTooLarge
	case errors.Is(err, errUTF8):
		return core.ReasonInvalidUTF8
	}
	return core.ReasonProtocol
}
