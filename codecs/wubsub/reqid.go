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
	if len(text) != 36 {
		return id, false
	}
	to := id[:]
	for i, group := range [...]int{8, 4, 4, 4, 12} {
		if i > 0 {
			if text[0] != '-' {
				return id, false
			}
			text = text[1:]
		}
		if _, err := hex.Decode(to, text[:group]); err != nil {
			return id, false
		}
		text, to = text[group:], to[group/2:]
	}
	return id, true
}

// appendReqid appends id in the canonical notation: lower case, with dashes.
func appendReqid(dst []byte, id core.CallID) []byte {
	dst = hex.AppendEncode(dst, id[:4])
	for _, group := range [...][]byte{id[4:6], id[6:8], id[8:10], id[10:]} {
		dst = hex.AppendEncode(append(dst, '-'), group)
	}
	return dst
}
