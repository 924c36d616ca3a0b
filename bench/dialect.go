package main

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// delivered is the size of the text that a subscriber reads, in every dialect.
const delivered = 128

// seqDigits is how many decimal digits of the sequence number a message carries.
const seqDigits = 10

// dialect is how a kind of server is spoken to.
type dialect struct {
	// subPath and pubPath are the request targets of subscribers and publisher.
	subPath, pubPath string
	// subscribe is the text that a subscriber sends first; "" if the path says it.
	subscribe string
	// announce is the text that the publisher sends first; "" for none.
	announce string
	// publish is the text that publishes; SEQ in it stands for the sequence number.
	publish string
	// receive is what a subscriber reads for it, with the same SEQ.
	receive string
}

// seqMark stands for the sequence number in a template.
const seqMark = "SEQ"

// plainHub is the dialect of the peers: what is sent is what is received.
func plainHub() dialect {
	text := fill("", "")
	return dialect{subPath: "/sub", pubPath: "/pub", publish: text, receive: text}
}

// wubsub is protocols.md, section 1: the owner of a channel publishes a topic.
func wubsub() dialect {
	const prefix = `{"type":"ps-recv","channel":"bench","topic":"t","data":"`
	receive := fill(prefix, `"}`)
	return dialect{
		subPath:   "/",
		pubPath:   "/",
		subscribe: `{"type":"ps-sub","channel":"bench","topic":"t"}`,
		announce:  `{"type":"register","channel":"bench","data":{"name":"bench","pubsub":{"topics":["t"]}}}`,
		publish:   strings.Replace(receive, "ps-recv", "ps-pub", 1),
		receive:   receive,
	}
}

// wsify is protocols.md, section 2: a broadcast reaches the members of a channel.
func wsify() dialect {
	content := fill(`"`, `"`)
	return dialect{
		subPath:   "/ws",
		pubPath:   "/ws",
		subscribe: `{"command":"join","args":{"channel":"bench"}}`,
		publish:   `{"command":"broadcast","args":{"channel":"bench","content":` + content + `}}`,
		receive:   content,
	}
}

// fill returns prefix, seqMark, padding and suffix, to be delivered bytes long
// once the sequence number stands in the mark's place.
func fill(prefix, suffix string) string {
	padding := delivered - len(prefix) - seqDigits - len(suffix)
	return prefix + seqMark + strings.Repeat("x", padding) + suffix
}

// write puts a sequence number into a template.
func write(template string, seq uint64) string {
	return strings.Replace(template, seqMark, fmt.Sprintf("%0*d", seqDigits, seq), 1)
}

// serverFrame returns the text frame that a server writes (RFC 6455, section 5.2).
func serverFrame(text string) []byte {
	return append(frameHead(text, 0), text...)
}

// clientFrame returns the text frame that a client writes. Its masking key is
// zero: valid, and the payload stays as it is.
func clientFrame(text string) []byte {
	const maskBit = 0x80
	frame := append(frameHead(text, maskBit), 0, 0, 0, 0)
	return append(frame, text...)
}

func frameHead(text string, maskBit byte) []byte {
	const finText = 0x81
	if len(text) < 126 {
		return []byte{finText, maskBit | byte(len(text))}
	}
	return binary.BigEndian.AppendUint16([]byte{finText, maskBit | 126}, uint16(len(text)))
}
