package main

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// delivered is the size of the message that a subscriber reads, in every dialect.
const delivered = 128

// seqDigits is how many decimal digits of the sequence number a message carries.
const seqDigits = 10

// seqMark stands for the sequence number in a template.
const seqMark = "SEQ"

// dialect is how clients speak to a kind of server.
type dialect struct {
	// subPath and pubPath are the request targets of subscribers and publisher.
	subPath, pubPath string
	// binary says that messages are in binary frames.
	binary bool
	// greeting is what every client reads first; "" for nothing.
	greeting string
	// subscribe is what a subscriber sends first; "" if it need not.
	subscribe string
	// subscribed is what it reads in reply; "" for nothing.
	subscribed string
	// announce is what the publisher sends first; "" for nothing.
	announce string
	// publish is what the publisher sends; SEQ in it stands for the sequence number.
	publish string
	// receive is what a subscriber reads for it, with the same SEQ.
	receive string
}

// plainHub is the dialect of the peers: a message is received as it was sent.
func plainHub(content string) dialect {
	return dialect{subPath: "/sub", pubPath: "/pub", publish: content, receive: content}
}

// text returns a content that is n bytes long once the sequence number has replaced the mark. No
// dialect has to escape anything in it, and as it begins with a word it is not JSON.
func text(n int) string {
	const word = "seq"
	return word + seqMark + strings.Repeat("x", n-len(word)-seqDigits)
}

// sized returns the dialect in which a message is delivered as 128 bytes.
func sized(speak func(content string) dialect) dialect {
	return speak(text(delivered - overhead(speak)))
}

// overhead returns by how much a message is longer than its content.
func overhead(speak func(content string) dialect) int {
	return len(speak("").receive)
}

// write puts a sequence number into a template.
func write(template string, seq uint64) string {
	return strings.Replace(template, seqMark, fmt.Sprintf("%0*d", seqDigits, seq), 1)
}

// opening is what a client of the dialect sends and receives before it is used: the greeting, then
// its first message and the answer.
func (d dialect) opening(say, answer string) opening {
	var o opening
	if d.greeting != "" {
		o.greeting = d.serverFrame(d.greeting)
	}
	if say != "" {
		o.say = d.clientFrame(say)
	}
	if answer != "" {
		o.answer = d.serverFrame(answer)
	}
	return o
}

// serverFrame returns the frame that a server writes (RFC 6455, section 5.2).
func (d dialect) serverFrame(message string) []byte {
	return append(frameHead(nil, d.binary, len(message), 0), message...)
}

// clientFrame returns the frame that a client writes. Its masking key is zero:
// valid, and the payload stays as it is.
func (d dialect) clientFrame(message string) []byte {
	return append(clientHead(nil, d.binary, len(message)), message...)
}

// clientHead appends the frame header of a client's message of n bytes.
func clientHead(dst []byte, binary bool, n int) []byte {
	const maskBit = 0x80
	return append(frameHead(dst, binary, n, maskBit), 0, 0, 0, 0)
}

func frameHead(dst []byte, binaryFrame bool, n int, maskBit byte) []byte {
	const finText, finBinary = 0x81, 0x82
	first := byte(finText)
	if binaryFrame {
		first = finBinary
	}
	if n < 126 {
		return append(dst, first, maskBit|byte(n))
	}
	return binary.BigEndian.AppendUint16(append(dst, first, maskBit|126), uint16(n))
}
