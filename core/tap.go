package core

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// ErrNoEndpoint says that there is no endpoint of the given name.
var ErrNoEndpoint = errors.New("there is no such endpoint")

// TapKind says what a TapEvent is about.
type TapKind string

// The kinds. Pings and pongs are not reported.
const (
	// TapRequest is an HTTP request, an upgrade or not: its head, and its body behind it.
	TapRequest TapKind = "request"
	// TapResponse is the answer to a request, in the same form. 101 opens a WebSocket.
	TapResponse TapKind = "response"
	// TapText and TapBinary are messages, as they were before compression and masking.
	TapText   TapKind = "text"
	TapBinary TapKind = "binary"
	// TapClose is the payload of a close frame.
	TapClose TapKind = "close"
	// TapFault says how the client broke the protocol. What it sent is not reported.
	TapFault TapKind = "fault"
	// TapDropped is a message that the client does not get because it reads too slowly. The
	// message itself may have been reported before.
	TapDropped TapKind = "dropped"
	// TapEnd is the end of the connection. The client has ended it, or the server.
	TapEnd TapKind = "end"
	// TapLost says that Lost events of the connection, with Size bytes, are missing here: the
	// reader of the tap was too slow. Connection 0 stands for connections of which nothing was
	// reported.
	TapLost TapKind = "lost"
	// TapPublished is a message as the broker carries it, of a tap on topics: Data is its payload. What its publisher
	// has said comes before it as TapText or TapBinary, if it was kept, and what its receivers are told behind it.
	TapPublished TapKind = "message"
	// TapUnwritable is a message that cannot be written in the format of its receivers. Data says why.
	TapUnwritable TapKind = "unwritable"
	// TapPassedOn is a message that was handed to a bridge.
	TapPassedOn TapKind = "passed_on"
	// TapOver is the last event: the tap has ended. Data says why.
	TapOver TapKind = "over"
)

// TapEvent is something that a tapped endpoint, connection or topic has seen. It holds what clients send, with their
// credentials.
type TapEvent struct {
	// Connection is the number of the connection; each HTTP request that is no upgrade has a number
	// of its own.
	Connection uint64
	Time       time.Time
	Kind       TapKind
	// FromServer says that the broker has said it, or done it.
	FromServer bool
	// Data belongs to the event. It is empty if a message has more bytes than the tap was to
	// report; a request or response is cut then.
	Data []byte
	// Size is how many bytes there were.
	Size int
	// Lost is for TapLost.
	Lost uint64
	// Redacted says that something of Data is left out, or replaced, on purpose.
	Redacted bool
	// Message is the message that a tap on topics tells of; nil of other taps.
	Message *TapMessage
}

// tapJSON is a TapEvent as JSON. Of data that is not UTF-8 there is base64 instead of text.
type tapJSON struct {
	Connection uint64      `json:"connection"`
	Direction  string      `json:"direction"`
	Time       time.Time   `json:"time"`
	Kind       TapKind     `json:"kind"`
	Size       int         `json:"size"`
	Code       uint16      `json:"code,omitempty"` // of a close frame; text is the rest of it
	Text       string      `json:"text,omitempty"`
	Base64     []byte      `json:"base64,omitempty"`
	Lost       uint64      `json:"lost,omitempty"`
	Redacted   bool        `json:"redacted,omitempty"`
	Message    *TapMessage `json:"message,omitempty"`
}

// Directions of a TapEvent in JSON.
const (
	tapIn  = "in"
	tapOut = "out"
)

// MarshalJSON writes the event as one line.
func (e TapEvent) MarshalJSON() ([]byte, error) {
	j := tapJSON{
		Connection: e.Connection, Direction: tapIn, Time: e.Time, Kind: e.Kind, Size: e.Size, Lost: e.Lost,
		Redacted: e.Redacted, Message: e.Message,
	}
	if e.FromServer {
		j.Direction = tapOut
	}
	data := e.Data
	if e.Kind == TapClose && len(data) >= 2 {
		if j.Code = binary.BigEndian.Uint16(data); j.Code != 0 {
			data = data[2:]
		}
	}
	if e.Kind != TapBinary && utf8.Valid(data) {
		j.Text = string(data)
	} else {
		j.Base64 = data
	}
	// Without escapes for HTML: people read it too.
	var line bytes.Buffer
	to := json.NewEncoder(&line)
	to.SetEscapeHTML(false)
	if err := to.Encode(j); err != nil {
		return nil, fmt.Errorf("writing an event of a tap: %w", err)
	}
	return bytes.TrimRight(line.Bytes(), "\n"), nil
}

// UnmarshalJSON reads what MarshalJSON has written.
func (e *TapEvent) UnmarshalJSON(b []byte) error {
	var j tapJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return fmt.Errorf("reading an event of a tap: %w", err)
	}
	if j.Direction != tapIn && j.Direction != tapOut {
		return fmt.Errorf("reading an event of a tap: %.20q is no direction", j.Direction)
	}
	*e = TapEvent{
		Connection: j.Connection, Time: j.Time, Kind: j.Kind, FromServer: j.Direction == tapOut,
		Data: append(j.Base64, j.Text...), Size: j.Size, Lost: j.Lost,
		Redacted: j.Redacted, Message: j.Message,
	}
	if j.Code != 0 {
		e.Data = append(binary.BigEndian.AppendUint16(nil, j.Code), e.Data...)
	}
	return nil
}
