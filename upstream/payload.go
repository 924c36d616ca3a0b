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

// payloadOf returns the payload of a body. A body that does not say what it is, and
// one that calls itself text, is text if it is UTF-8 and else binary.
func payloadOf(contentType string, body []byte) (core.Payload, error) {
	media, _, err := mime.ParseMediaType(contentType)
	switch {
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
