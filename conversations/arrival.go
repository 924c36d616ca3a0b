package conversations

import (
	"encoding/binary"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// arrivalKind is the kind of an arrival.
type arrivalKind uint8

const (
	textMessage arrivalKind = iota
	binaryMessage
	pingFrame
	pongFrame
	closeFrame
	// endOfStream: the server closed the TCP connection in order.
	endOfStream
	// reset: the server reset the TCP connection.
	reset
	// brokenFrame: the server violated RFC 6455; data says how.
	brokenFrame
)

var arrivalNames = [...]string{"text", "binary", "ping", "pong", "close", "eof", "reset", "broken frame:"}

// arrival is a message, a control frame or the end of a connection, as received.
type arrival struct {
	kind arrivalKind
	data []byte
}

// ends reports whether nothing follows a.
func (a arrival) ends() bool { return a.kind == endOfStream || a.kind == reset }

// closeCode returns the code of a close frame and its reason; 0 if it has none.
func (a arrival) closeCode() (code uint16, reason string) {
	if len(a.data) < 2 {
		return 0, ""
	}
	return binary.BigEndian.Uint16(a.data), string(a.data[2:])
}

// String describes a for reports.
func (a arrival) String() string {
	name := arrivalNames[a.kind]
	switch a.kind {
	case endOfStream, reset:
		return name
	case closeFrame:
		code, reason := a.closeCode()
		return fmt.Sprintf("%s %d %q", name, code, reason)
	case binaryMessage:
		return name + " " + showBytes(a.data)
	}
	return name + " " + showText(a.data)
}

// showText shows data as it is if a person can read it, else as a quoted string.
func showText(data []byte) string {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size < 2 || !unicode.IsPrint(r) {
			return fmt.Sprintf("%q", shorten(string(data)))
		}
		i += size
	}
	return shorten(string(data))
}

// showBytes shows the beginning of data in hexadecimal.
func showBytes(data []byte) string {
	const most = 64
	if len(data) > most {
		return fmt.Sprintf("% x … (%d bytes)", data[:most], len(data))
	}
	return fmt.Sprintf("% x", data)
}
