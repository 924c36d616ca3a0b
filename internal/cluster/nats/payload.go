package nats

import (
	"errors"
	"unicode/utf8"

	natsgo "github.com/nats-io/nats.go"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// The headers of a payload.
const (
	// kindHeader says how to read the bytes, if they would be read otherwise without it.
	kindHeader = "Polywire-Kind"
	// headersHeader has the headers of a publish: a JSON object of strings, on one line.
	headersHeader = "Polywire-Headers"
)

// The values of kindHeader.
const (
	kindAbsent = "absent"
	kindJSON   = "json"
	kindText   = "text"
	kindUTF16  = "utf16" // the bytes are UTF-16, little-endian, without byte order mark
	kindBinary = "binary"
)

var (
	errKind    = errors.New("the header " + kindHeader + " names no kind")
	errHeaders = errors.New("the header " + headersHeader + " is not a JSON object of strings")
)

// pack returns what travels of a payload: its bytes, and the value of kindHeader, empty if
// sniff finds the kind out. JSON is never looked at: most payloads are JSON.
func pack(p core.Payload) (kind string, data []byte) {
	switch {
	case p.Kind == core.Absent:
		return kindAbsent, nil
	case p.Kind == core.Text && p.UTF16 != nil:
		return kindUTF16, p.UTF16
	case p.Kind == core.Text && rawjson.Valid(p.Data):
		return kindText, p.Data
	case p.Kind == core.Binary && utf8.Valid(p.Data):
		return kindBinary, p.Data
	}
	return "", p.Data
}

// unpack returns the payload of bytes that came with a value of kindHeader. It retains data.
func unpack(kind string, data []byte) (core.Payload, error) {
	p := core.Payload{Data: data}
	switch kind {
	case "":
		return core.Sniff(data), nil
	case kindAbsent:
	case kindJSON:
		p.Kind = core.JSON
	case kindText:
		p.Kind = core.Text
	case kindUTF16:
		if len(data)%2 != 0 {
			return core.Payload{}, errKind
		}
		p = core.TextUTF16(data)
	case kindBinary:
		p.Kind = core.Binary
	default:
		return core.Payload{}, errKind
	}
	if err := p.Check(); err != nil {
		return core.Payload{}, err
	}
	return p, nil
}

// payloadOf returns the payload of a message. It retains the message's bytes.
func payloadOf(m *natsgo.Msg) (core.Payload, error) { return unpack(m.Header.Get(kindHeader), m.Data) }

// withHeaders returns h with the headers of a publish, if there are any. h may be nil.
func withHeaders(h natsgo.Header, headers []byte) natsgo.Header {
	headers = rawjson.Trim(headers)
	if len(headers) == 0 {
		return h
	}
	line := make([]byte, len(headers))
	for i, c := range headers {
		if c < ' ' {
			c = ' ' // JSON has line ends and tabs only between its values
		}
		line[i] = c
	}
	if h == nil {
		h = natsgo.Header{}
	}
	h.Set(headersHeader, string(line))
	return h
}

// headersOf returns the headers of the publish that a message carries; nil if there are none.
func headersOf(m *natsgo.Msg) ([]byte, error) {
	value := m.Header.Get(headersHeader)
	if value == "" {
		return nil, nil
	}
	headers := []byte(value)
	if !utf8.Valid(headers) || !rawjson.Valid(headers) || !rawjson.IsObject(headers) {
		return nil, errHeaders
	}
	for members := rawjson.Object(headers); members.Next(); {
		if !rawjson.IsString(members.Value()) {
			return nil, errHeaders
		}
	}
	return headers, nil
}

// withKind returns h with the kind of a payload, if that needs to be said. h may be nil.
func withKind(h natsgo.Header, kind string) natsgo.Header {
	if kind == "" {
		return h
	}
	if h == nil {
		h = natsgo.Header{}
	}
	h.Set(kindHeader, kind)
	return h
}
