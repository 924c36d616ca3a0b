// Package contract is ../codec.proto in Go, as both sides use it: the broker, which
// asks, and the SDK, which answers.
//
// The two messages of the stream, Questions and Answers, are not unmarshalled into the
// generated types: a frame would be copied and boxed several times on its way through.
// They are written into and read from their bytes right here, from and to the types of
// package core; what is read points into the message. codec.proto stays the one
// description of these bytes, and the tests of this package read with the generated
// types what it writes, and the reverse. All else (Describe, Serve) uses the
// generated types.
package contract

import (
	"github.com/hashicorp/go-plugin"

	"github.com/polywire/polywire/core"
)

// Version is the version of the contract. A change that an older side could not ignore
// is a new one.
const Version = 1

// Handshake is what host and plugin must have in common before they talk.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{ProtocolVersion: Version, MagicCookieKey: "POLYWIRE_PLUGIN", MagicCookieValue: "codec"}
}

// Name is under which go-plugin knows the one service of a plugin.
const Name = "codec"

// ReasonOf returns the reason of a name, as [core.Reason.String] gives it.
func ReasonOf(name string) (r core.Reason, known bool) {
	for r := range core.NumReasons {
		if r.String() == name {
			return r, true
		}
	}
	return core.ReasonMalformed, false
}
