package core

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"

	"github.com/polywire/polywire/core/rawjson"
)

// This file defines how a payload of one format becomes a payload of another
// (docs/formats/README.md, "One payload"). Formats that carry JSON write with AppendJSON and
// read with FromJSON; formats that carry text write with AppendText.
//
//	              AppendJSON                        AppendText
//	JSON          as it is written                  a string as its characters, unless that would
//	                                                lose what it was; all else as it is written
//	Text          itself if it is JSON,             itself
//	              else a JSON string
//	Binary        as Text if it is UTF-8,           as Text if it is UTF-8,
//	              else {"$binary":"<base64>"}       else {"$binary":"<base64>"}
//	Absent        null                              nothing
//
// So a JSON value that passes through a text format and back is the same value.
// White space around a JSON value is not part of it and is left out.

// binaryOpen and binaryEnd enclose the base64 text of bytes that are not UTF-8.
const (
	binaryOpen = `{"$binary":"`
	binaryEnd  = `"}`
)

// strictBase64 takes only what StdEncoding writes, line breaks aside.
var strictBase64 = base64.StdEncoding.Strict()

// AppendJSON appends p as one JSON value, null for an absent payload, and
// returns the extended buffer. The caller must ensure that a payload of kind JSON holds
// one valid JSON value, and one of kind Text valid UTF-8. Any goroutine.
func AppendJSON(dst []byte, p Payload) []byte {
	switch p.Kind {
	case JSON:
		return append(dst, rawjson.Trim(p.Data)...)
	case Text:
		return appendTextAsJSON(dst, p.Data)
	case Binary:
		if utf8.Valid(p.Data) {
			return appendTextAsJSON(dst, p.Data)
		}
		return appendBinaryObject(dst, p.Data)
	}
	return append(dst, "null"...)
}

// AppendText appends p as UTF-8 text, nothing for an absent payload, and
// returns the extended buffer. A JSON string becomes its characters, but keeps
// its quotes where it would be ambiguous without them: if the characters
// themselves are JSON, or if it escapes half a surrogate pair, which UTF-8 text
// cannot hold. p must be as AppendJSON demands. Any goroutine.
func AppendText(dst []byte, p Payload) []byte {
	switch p.Kind {
	case JSON:
		text, exact := rawjson.AppendUnquoted(dst, p.Data)
		if exact && !rawjson.Valid(text[len(dst):]) {
			return text
		}
		return append(dst, rawjson.Trim(p.Data)...)
	case Binary:
		if !utf8.Valid(p.Data) {
			return appendBinaryObject(dst, p.Data)
		}
		fallthrough
	case Text:
		return append(dst, p.Data...)
	}
	return dst
}

// FromJSON returns the payload that raw, one valid JSON value, stands for: the
// bytes if raw is what AppendJSON writes for bytes that are not UTF-8, else
// raw itself, borrowed. An object with $binary that AppendJSON would not have
// written (of UTF-8 bytes, or in another base64) stays JSON, because it could
// not be written again as it was. It allocates for Binary only. Any goroutine.
func FromJSON(raw []byte) Payload {
	if data, ok := fromBinaryObject(raw); ok {
		return Payload{Kind: Binary, Data: data}
	}
	return Payload{Kind: JSON, Data: raw}
}

func appendTextAsJSON(dst, text []byte) []byte {
	if rawjson.Valid(text) {
		return append(dst, rawjson.Trim(text)...)
	}
	return rawjson.AppendQuote(dst, text)
}

func appendBinaryObject(dst, data []byte) []byte {
	dst = append(dst, binaryOpen...)
	dst = base64.StdEncoding.AppendEncode(dst, data)
	return append(dst, binaryEnd...)
}

// fromBinaryObject reads what appendBinaryObject writes, with white space and
// escapes inside the base64 string (some encoders escape slashes) allowed.
func fromBinaryObject(raw []byte) (data []byte, ok bool) {
	raw = rawjson.Trim(raw)
	if !rawjson.IsObject(raw) || !bytes.HasPrefix(rawjson.Trim(raw[1:]), []byte(`"$binary"`)) {
		return nil, false
	}
	m := rawjson.Object(raw)
	if !m.Next() {
		return nil, false
	}
	text, ok := rawjson.Unquote(m.Value(), nil)
	if !ok || m.Next() || m.Err() != nil || bytes.ContainsAny(text, "\r\n") {
		return nil, false
	}
	data, err := strictBase64.AppendDecode(nil, text)
	if err != nil || utf8.Valid(data) {
		return nil, false
	}
	return data, true
}
