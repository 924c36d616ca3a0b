package core

import (
	"encoding/hex"

	"github.com/google/uuid"
)

// CallID names one call. It is a random (version 4) UUID, so that a connection that was not
// asked cannot guess it. The zero value (the nil UUID) names no call.
type CallID [16]byte

// NewCallID returns a new id, which is not zero. Any goroutine. A program that makes many calls
// calls uuid.EnableRandPool when it starts: it reads the system's randomness for many at once then.
func NewCallID() CallID { return CallID(uuid.New()) }

// callIDLen is the length of the canonical text of an id.
const callIDLen = 36

// Append appends the canonical text of id (RFC 9562, section 4): 36 characters, in
// lower case, with dashes.
func (id CallID) Append(dst []byte) []byte {
	dst = hex.AppendEncode(dst, id[:4])
	for _, group := range [...][]byte{id[4:6], id[6:8], id[8:10], id[10:]} {
		dst = hex.AppendEncode(append(dst, '-'), group)
	}
	return dst
}

// ParseCallID reads the canonical text of an id, in either case. ok is false if
// text is anything else.
func ParseCallID(text []byte) (id CallID, ok bool) {
	if len(text) != callIDLen {
		return CallID{}, false
	}
	u, err := uuid.ParseBytes(text)
	if err != nil {
		return CallID{}, false
	}
	return CallID(u), true
}
