package upstream

import (
	"errors"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

var errNotJSON = errors.New("the answer calls itself JSON and is not")

// payloadOf returns the payload of a body. A body that does not say what it is, or says that
// it is text, is text if it is UTF-8 and else binary. Text in UTF-16 stays UTF-16 for formats
// that have it.
func payloadOf(contentType string, body []byte) (core.Payload, error) {
	media, parameters, err := mime.ParseMediaType(contentType)
	switch {
	case err == nil && strings.HasPrefix(media, "text/") && isUTF16(parameters["charset"]) && len(body)%2 == 0:
		return core.TextUTF16(littleEndian(parameters["charset"], body)), nil
	case err == nil && (media == "application/json" || strings.HasSuffix(media, "+json")):
		if !rawjson.Valid(body) || !utf8.Valid(body) {
			return core.Payload{}, errNotJSON
		}
		return core.Payload{Kind: core.JSON, Data: rawjson.Trim(body)}, nil
	case err == nil && media == "application/octet-stream", !utf8.Valid(body):
		return core.Payload{Kind: core.Binary, Data: body}, nil
	}
	return core.Payload{Kind: core.Text, Data: body}, nil
}

// isUTF16 reports whether a charset is UTF-16, with either byte order or with a byte order
// mark (RFC 2781).
func isUTF16(charset string) bool {
	switch strings.ToLower(charset) {
	case "utf-16", "utf-16le", "utf-16be":
		return true
	}
	return false
}

// littleEndian returns UTF-16 in little-endian order and without byte order mark. Without
// one, UTF-16 that does not name its order is big-endian.
func littleEndian(charset string, body []byte) []byte {
	big := !strings.EqualFold(charset, "utf-16le")
	if strings.EqualFold(charset, "utf-16") && len(body) > 0 {
		switch [2]byte(body) {
		case [2]byte{0xff, 0xfe}:
			big, body = false, body[2:]
		case [2]byte{0xfe, 0xff}:
			body = body[2:]
		}
	}
	if big {
		for i := 0; i < len(body); i += 2 {
			body[i], body[i+1] = body[i+1], body[i]
		}
	}
	return body
}
