package redis

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// Behind the JSON of a message a node writes its mark, which is white space for everybody else:
//
//	magic   8 symbols that hardly anybody writes
//	form    2 symbols: what the JSON was
//	number  24 symbols: the node
//
// A symbol is a space, a tab, a line feed or a carriage return, and has two bits.
const (
	symbols  = " \t\n\r"
	magic    = "\t \r\t\n \r\n"
	numbered = 24
	markSize = len(magic) + 2 + numbered
)

// form says how a payload was written as JSON.
type form uint8

const (
	formJSON        form = iota // as it is
	formAbsent                  // null
	formText                    // text that is JSON, as it is
	formQuotedText              // a JSON string
	formBinary                  // bytes that are JSON, as they are
	formQuotedBytes             // bytes that are UTF-8, as a JSON string
	formBase64                  // {"$binary":"…"}
	formWide                    // as formText and formQuotedText, of UTF-16
	formQuotedWide
	formEnd
)

// number names a node in marks.
type number uint64

func newNumber() number {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return number(binary.LittleEndian.Uint64(b[:]) & (1<<(2*numbered) - 1))
}

// appendMark appends a mark.
func appendMark(dst []byte, f form, n number) []byte {
	dst = append(dst, magic...)
	dst = append(dst, symbols[f>>2&3], symbols[f&3])
	for i := numbered - 1; i >= 0; i-- {
		dst = append(dst, symbols[n>>(2*i)&3])
	}
	return dst
}

// cutMark takes the mark off a message; ok is false if it has none.
func cutMark(data []byte) (body []byte, f form, n number, ok bool) {
	if len(data) < markSize {
		return data, 0, 0, false
	}
	body, mark := data[:len(data)-markSize], data[len(data)-markSize:]
	if string(mark[:len(magic)]) != magic {
		return data, 0, 0, false
	}
	var all uint64
	for _, c := range mark[len(magic):] {
		i := bytes.IndexByte([]byte(symbols), c)
		if i < 0 {
			return data, 0, 0, false
		}
		all = all<<2 | uint64(i)
	}
	f, n = form(all>>(2*numbered)), number(all&(1<<(2*numbered)-1))
	if f >= formEnd {
		return data, 0, 0, false
	}
	return body, f, n, true
}

// appendMessage appends a payload as JSON, and the mark of a node.
func appendMessage(dst []byte, p core.Payload, n number) []byte {
	f := formJSON
	switch {
	case p.Kind == core.JSON:
		dst = append(dst, p.Data...)
	case p.Kind == core.Absent:
		f = formAbsent
		dst = append(dst, "null"...)
	case p.Kind == core.Binary && !utf8.Valid(p.Data):
		f = formBase64
		dst = core.AppendJSON(dst, p)
	default:
		raw, quoted := formText, formQuotedText
		if p.Kind == core.Binary {
			raw, quoted = formBinary, formQuotedBytes
		} else if p.UTF16 != nil {
			raw, quoted = formWide, formQuotedWide
		}
		if rawjson.Valid(p.Data) {
			f = raw
			dst = append(dst, p.Data...)
		} else {
			f = quoted
			dst = rawjson.AppendQuote(dst, p.Data)
		}
	}
	return appendMark(dst, f, n)
}

var errForm = errors.New("a message is not what its mark says")

// readMarked returns the payload of a message whose mark was cut off. It may retain body.
func readMarked(body []byte, f form) (core.Payload, error) {
	p := core.Payload{Kind: core.Text, Data: body}
	switch f {
	case formJSON:
		p.Kind = core.JSON
	case formAbsent:
		if string(body) != "null" {
			return p, errForm
		}
		return core.Payload{}, nil
	case formText, formWide:
	case formBinary:
		p.Kind = core.Binary
	case formBase64:
		if !rawjson.Valid(body) {
			return p, errForm
		}
		if p = core.FromJSON(body); p.Kind != core.Binary {
			return p, errForm
		}
	default: // a string
		if !utf8.Valid(body) || !rawjson.Valid(body) {
			return p, errForm
		}
		ok := false
		if p.Data, ok = rawjson.Unquote(rawjson.Trim(body), nil); !ok {
			return p, errForm
		}
		if f == formQuotedBytes {
			p.Kind = core.Binary
		}
	}
	if f == formWide || f == formQuotedWide {
		if !utf8.Valid(p.Data) {
			return p, errForm
		}
		p = core.TextUTF16(core.AppendUTF16(nil, p.Data))
	}
	return p, p.Check()
}

// sniff returns the payload of bytes of which nobody says what they are.
func sniff(data []byte) core.Payload {
	if p := core.Sniff(data); p.Kind != core.JSON {
		return p
	}
	return core.FromJSON(data)
}

// payloadSize is about how long a payload is as JSON.
func payloadSize(p core.Payload) int {
	if p.Kind == core.Binary {
		return base64.StdEncoding.EncodedLen(len(p.Data)) + markSize
	}
	return len(p.Data) + markSize
}
