package core

// Reason says why something was refused, dropped or closed: the label of a
// counter and the cause of a goodbye. The set is closed, so that counters are
// arrays and labels stay few.
type Reason uint8

// The reasons.
const (
	// ReasonNormal: the client left, or said goodbye, as it should.
	ReasonNormal Reason = iota
	// ReasonLost: the TCP connection ended without a close handshake.
	ReasonLost
	// ReasonDrain: the broker is shutting down.
	ReasonDrain
	// ReasonIdle: the client sent nothing for too long.
	ReasonIdle
	// ReasonNoPong: the client did not answer pings in time.
	ReasonNoPong
	// ReasonProtocol: the client broke RFC 6455.
	ReasonProtocol
	// ReasonMalformed: a message cannot be read as the format demands.
	ReasonMalformed
	// ReasonWrongFrame: a text frame where the format wants binary, or the reverse.
	ReasonWrongFrame
	// ReasonUnknownType: a message of a type or command that the format does not have.
	ReasonUnknownType
	// ReasonInvalidUTF8: text that is not UTF-8.
	ReasonInvalidUTF8
	// ReasonTooLarge: a message, a header or a document exceeds its limit.
	ReasonTooLarge
	// ReasonTooDeep: a JSON document nested too deeply.
	ReasonTooDeep
	// ReasonDenied: an authorizer denied it.
	ReasonDenied
	// ReasonUnavailable: an authorizer could not be asked.
	ReasonUnavailable
	// ReasonNotOwner: a publish to a channel that the sender does not own.
	ReasonNotOwner
	// ReasonTaken: an offer of what another connection owns.
	ReasonTaken
	// ReasonReserved: a topic that belongs to the broker.
	ReasonReserved
	// ReasonNoService: a call that nobody answers.
	ReasonNoService
	// ReasonNotAsked: a reply that nobody waits for, or from somebody who was not asked.
	ReasonNotAsked
	// ReasonTimeout: a deadline passed.
	ReasonTimeout
	// ReasonGone: the other side of a call left.
	ReasonGone
	// ReasonAnswerer: a call that its answerer failed, with a code of its own.
	ReasonAnswerer
	// ReasonOverload: a bound of the broker was reached.
	ReasonOverload
	// ReasonMemory: the process holds more memory than its watermark.
	ReasonMemory
	// ReasonRate: a rate limit was exceeded.
	ReasonRate
	// ReasonLimit: one address or user has as many connections as it may have.
	ReasonLimit
	// ReasonSlow: a receiver reads more slowly than the broker writes to it.
	ReasonSlow
	// ReasonConflated: a message that a newer one of its topic replaced before it
	// was written.
	ReasonConflated
	// ReasonOrigin: a foreign Origin.
	ReasonOrigin
	// ReasonHandshake: an HTTP request head that is not a valid upgrade.
	ReasonHandshake
	// ReasonTLS: a TLS handshake that failed, or a broken TLS stream.
	ReasonTLS
	// ReasonUnwritable: an event that the receiver's format cannot write.
	ReasonUnwritable
	// ReasonInternal: a fault of the broker itself.
	ReasonInternal
	// ReasonExpired: the client's credential ended ([Identity].Expires).
	ReasonExpired
	// ReasonRestart: a plugin ended, and its unfinished work could not be repeated.
	ReasonRestart

	// NumReasons is the number of reasons.
	NumReasons
)

var reasonNames = [NumReasons]string{
	"normal", "lost", "drain", "idle", "no_pong", "protocol", "malformed", "wrong_frame",
	"unknown_type", "invalid_utf8", "too_large", "too_deep", "denied", "unavailable",
	"not_owner", "taken", "reserved", "no_service", "not_asked", "timeout", "gone",
	"answerer", "overload", "memory", "rate", "limit", "slow", "conflated", "origin", "handshake", "tls", "unwritable",
	"internal", "expired", "restart",
}

// String returns the reason as metrics label it.
func (r Reason) String() string {
	if r < NumReasons {
		return reasonNames[r]
	}
	return "unknown"
}

// ReasonNamed returns the reason that String writes as name; false if there is none.
func ReasonNamed(name string) (Reason, bool) {
	for r, other := range reasonNames {
		if other == name {
			return Reason(r), true
		}
	}
	return ReasonNormal, false
}

// CloseCode returns the default WebSocket close code (RFC 6455, section 7.4) for r, used
// where the format does not define one.
func (r Reason) CloseCode() uint16 {
	switch r {
	case ReasonNormal:
		return 1000
	case ReasonDrain, ReasonIdle, ReasonNoPong, ReasonLost:
		return 1001
	case ReasonWrongFrame:
		return 1003
	case ReasonInvalidUTF8:
		return 1007
	case ReasonDenied, ReasonOrigin, ReasonReserved, ReasonNotOwner, ReasonTaken, ReasonLimit, ReasonExpired:
		return 1008
	case ReasonTooLarge:
		return 1009
	case ReasonInternal, ReasonAnswerer:
		return 1011
	case ReasonRestart:
		return 1012
	case ReasonOverload, ReasonMemory, ReasonRate, ReasonSlow, ReasonUnavailable:
		return 1013
	}
	return 1002
}
