package wubsub

import (
	"bytes"
	"encoding/hex"

	"github.com/polywire/polywire/core"
)

// parseReqid reads a UUID in any usual notation (RFC 9562, section 4): with
// dashes or without, in either case, in braces, or as a URN.
func parseReqid(text []byte) (id core.CallID, ok bool) {
	const urn = "urn:uuid:"
	switch {
	case len(text) == len(urn)+36 && bytes.EqualFold(text[:len(urn)], []byte(urn)):
		text = text[len(urn):]
	case len(text) == 38 && text[0] == '{' && text[37] == '}':
		text = text[1:37]
	}
	if len(text) == 32 {
		_, err := hex.Decode(id[:], text)
		return id, err == nil
	}
	return core.ParseCallID(text)
}
