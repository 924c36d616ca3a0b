package contract

import (
	"errors"
	"fmt"

	"github.com/polywire/polywire/core"
)

// Fields of Frame, Payload and Failure.
const (
	frameKind    field = 1
	frameData    field = 2
	payloadKind  field = 1
	payloadData  field = 2
	payloadUTF16 field = 3
	failureCode  field = 1
	failureText  field = 2
)

var (
	errFrameKind   = errors.New("a frame of an unknown kind")
	errPayloadKind = errors.New("a payload of an unknown kind")
	errCall        = errors.New("the id of a call that has not 16 bytes")
)

func appendFrame(dst []byte, num field, f core.Frame) []byte {
	dst, start := begin(dst, num, len(f.Data))
	dst = appendNumber(dst, frameKind, f.Kind)
	if len(f.Data) > 0 {
		dst = appendBytes(dst, frameData, f.Data)
	}
	return end(dst, start)
}

func readFrame(b []byte) (frame core.Frame, err error) {
	f := fields{rest: b}
	for {
		if !f.next() {
			return frame, f.err
		}
		if err := f.typed(f.num != frameKind); err != nil {
			return frame, fmt.Errorf("reading a frame: %w", err)
		}
		switch f.num {
		case frameKind:
			if f.value > uint64(core.BinaryFrame) {
				return frame, errFrameKind
			}
			frame.Kind = core.FrameKind(f.value)
		case frameData:
			frame.Data = f.data
		}
	}
}

// appendPayload appends nothing for an absent payload.
func appendPayload(dst []byte, num field, p *core.Payload) []byte {
	if p.Kind == core.Absent {
		return dst
	}
	dst, start := begin(dst, num, len(p.Data))
	dst = appendNumber(dst, payloadKind, p.Kind)
	dst = appendBytes(dst, payloadData, p.Data)
	dst = appendBytes(dst, payloadUTF16, p.UTF16)
	return end(dst, start)
}

func readPayload(b []byte) (p core.Payload, err error) {
	f := fields{rest: b}
	for {
		if !f.next() {
			return p, f.err
		}
		if err := f.typed(f.num != payloadKind); err != nil {
			return p, fmt.Errorf("reading a payload: %w", err)
		}
		switch f.num {
		case payloadKind:
			if f.value > uint64(core.Binary) {
				return p, errPayloadKind
			}
			p.Kind = core.PayloadKind(f.value)
		case payloadData:
			p.Data = f.data
		case payloadUTF16:
			p.UTF16 = f.data
		}
	}
}

func appendFailure(dst []byte, num field, failure core.Failure) []byte {
	if !failure.Failed() {
		return dst
	}
	dst, start := begin(dst, num, 0)
	dst = appendString(dst, failureCode, string(failure.Code))
	dst = appendString(dst, failureText, failure.Text)
	return end(dst, start)
}

func readFailure(b []byte) (failure core.Failure, err error) {
	f := fields{rest: b}
	for {
		if !f.next() {
			return failure, f.err
		}
		switch f.num {
		case failureCode:
			failure.Code = core.Code(f.data)
		case failureText:
			failure.Text = string(f.data)
		}
	}
}

// appendCall appends nothing for the id of no call.
func appendCall(dst []byte, num field, id core.CallID) []byte {
	if id == (core.CallID{}) {
		return dst
	}
	return appendBytes(dst, num, id[:])
}

func readCall(b []byte) (id core.CallID, err error) {
	if len(b) == 0 {
		return id, nil
	}
	if len(b) != len(id) {
		return id, errCall
	}
	copy(id[:], b)
	return id, nil
}
