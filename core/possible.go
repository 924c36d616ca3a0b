package core

// Reasons is a set of reasons.
type Reasons uint64

func reasonsOf(list ...Reason) Reasons {
	var s Reasons
	for _, r := range list {
		s |= 1 << r
	}
	return s
}

// Has reports whether r is in the set.
func (s Reasons) Has(r Reason) bool { return s&(1<<r) != 0 }

// Possible holds the reasons that the counters of an endpoint can have, now or after a
// reload. A metrics page shows them from the start, at 0: if a counter appears with its
// first event, a monitor does not see that event.
type Possible struct{ Rejected, Refused, Dropped, Closed, CallsFailed Reasons }

// RejectedUnknown are the reasons why clients are turned away before their endpoint is
// known.
const RejectedUnknown = Reasons(1<<ReasonLost | 1<<ReasonTimeout | 1<<ReasonTLS | 1<<ReasonHandshake | 1<<ReasonTooLarge |
	1<<ReasonOverload | 1<<ReasonMemory | 1<<ReasonRate | 1<<ReasonLimit | 1<<ReasonDenied | 1<<ReasonDrain)

// ClusterDropped and ClusterRefused are the reasons that the counters of [ClusterStats] can have
// with every engine.
const (
	ClusterDropped = Reasons(1<<ReasonOverload | 1<<ReasonUnavailable | 1<<ReasonTooLarge)
	ClusterRefused = Reasons(1 << ReasonMalformed)
)

// refusedCommands are the reasons for refusing a command of any format.
var refusedCommands = reasonsOf(ReasonMalformed, ReasonUnknownType, ReasonTooLarge, ReasonTooDeep, ReasonDenied, ReasonUnavailable,
	ReasonNotOwner, ReasonTaken, ReasonReserved, ReasonNoService, ReasonNotAsked, ReasonTimeout, ReasonGone, ReasonOverload,
	ReasonDrain, ReasonInternal)

// violations are the reasons for ending a connection, or refusing a message, that breaks
// the format.
var violations = reasonsOf(ReasonMalformed, ReasonWrongFrame, ReasonUnknownType, ReasonInvalidUTF8, ReasonTooLarge, ReasonTooDeep)

// PossibleWith returns the reasons that the counters of an endpoint with a format can have.
func PossibleWith(f Format) Possible {
	p := Possible{
		Rejected: reasonsOf(ReasonHandshake, ReasonOrigin, ReasonDenied, ReasonUnavailable, ReasonLimit, ReasonOverload, ReasonDrain, ReasonInternal),
		Refused:  refusedCommands | violations | reasonsOf(ReasonLost),
		Dropped:  reasonsOf(ReasonSlow, ReasonConflated, ReasonOverload, ReasonUnwritable, ReasonGone, ReasonTLS),
		Closed: violations | reasonsOf(ReasonNormal, ReasonLost, ReasonDrain, ReasonIdle, ReasonNoPong, ReasonProtocol, ReasonDenied,
			ReasonUnavailable, ReasonOverload, ReasonSlow, ReasonTLS, ReasonInternal, ReasonExpired),
		CallsFailed: refusedCommands&^reasonsOf(ReasonUnknownType, ReasonNotAsked) | reasonsOf(ReasonAnswerer, ReasonUnwritable),
	}
	if _, ok := f.(RemoteFormat); ok {
		// A plugin may report any reason, and its process can end.
		const all = 1<<NumReasons - 1
		p.Refused, p.Closed = all, all
		p.Dropped |= reasonsOf(ReasonRestart, ReasonInternal)
		p.CallsFailed |= reasonsOf(ReasonRestart)
	}
	return p
}
