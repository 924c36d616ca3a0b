// Package contract is ../codec.proto in Go, for both sides: the broker, which asks, and the
// SDK, which answers.
//
// The two messages of the stream, Questions and Answers, are not unmarshalled into the
// generated types: that would copy and box a frame several times on its way. This package
// writes and reads their bytes itself, from and to the types of package core; what is read
// points into the message. codec.proto stays the only description of these bytes, and the
// tests of this package read with the generated types what it writes, and the reverse. All
// else (Describe, Serve) uses the generated types.
package contract

import (
	"github.com/hashicorp/go-plugin"

	"github.com/polywire/polywire/core"
)

// Version is the version of the contract. A change that an older side could not ignore
// needs a new version.
const Version = 1

// Handshake returns what host and plugin must share before they talk.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{ProtocolVersion: Version, MagicCookieKey: "POLYWIRE_PLUGIN", MagicCookieValue: "codec"}
}

// Name is the name under which go-plugin knows the only service of a plugin.
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
