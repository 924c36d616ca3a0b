package main

import (
	"bytes"

	"github.com/polywire/polywire/core"
)

// A command's Ref says what the client reads at its outcome. It begins with a kind; the
// rest is text that came in headers, which cannot hold a NUL.
//
//	C                                       CONNECTED
//	R receipt                               RECEIPT
//	Q receipt NUL reply-to NUL correlation  the outcome of a call
//
// An empty Ref, or an empty receipt, is nothing.
const (
	refConnected = 'C'
	refReceipt   = 'R'
	refCall      = 'Q'
)

// receiptRef returns the Ref of a frame that may ask for a receipt, nil if it does not.
func receiptRef(f *frame) []byte {
	id := f.get("receipt")
	if len(id) == 0 {
		return nil
	}
	return append([]byte{refReceipt}, id...)
}

// callRef returns the Ref of a call.
func callRef(f *frame) []byte {
	parts := [][]byte{f.get("receipt"), f.get("reply-to"), f.get("correlation-id")}
	return append([]byte{refCall}, bytes.Join(parts, []byte{0})...)
}

// outcome is a Ref taken apart.
type outcome struct {
	connected            bool
	receipt              []byte
	replyTo, correlation []byte
}

func outcomeOf(ev core.Event) (o outcome) {
	if len(ev.Ref) == 0 {
		return o
	}
	switch rest := ev.Ref[1:]; ev.Ref[0] {
	case refConnected:
		o.connected = true
	case refReceipt:
		o.receipt = rest
	case refCall:
		parts := bytes.SplitN(rest, []byte{0}, 3)
		o.receipt, o.replyTo, o.correlation = parts[0], parts[1], parts[2]
	}
	return o
}

// withoutReceipt returns ref without what it says about a receipt.
func withoutReceipt(ref []byte) []byte {
	if len(ref) == 0 || ref[0] != refCall {
		return nil
	}
	_, rest, _ := bytes.Cut(ref, []byte{0})
	return append([]byte{refCall, 0}, rest...)
}
