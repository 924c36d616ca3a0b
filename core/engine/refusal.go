package engine

import "github.com/polywire/polywire/core"

// refusal is why something is not done: as the client is told, and as it is counted.
// The zero value is no refusal.
type refusal struct {
	core.Failure
	reason core.Reason
}

// The refusals of the engine. Read only.
var (
	refusedTooLarge    = refusal{core.Failure{Code: core.Invalid, Text: "the address is too long"}, core.ReasonTooLarge}
	refusedTooDeep     = refusal{core.Failure{Code: core.Invalid, Text: "the address has too many levels"}, core.ReasonTooDeep}
	refusedNested      = refusal{core.Failure{Code: core.Invalid, Text: "the payload is nested too deeply"}, core.ReasonTooDeep}
	refusedReserved    = refusal{core.Failure{Code: core.Denied, Text: "the address belongs to the broker"}, core.ReasonReserved}
	refusedDenied      = refusal{core.Failure{Code: core.Denied}, core.ReasonDenied}
	refusedNotOwner    = refusal{core.Failure{Code: core.NotOwner, Text: "the channel is not the sender's"}, core.ReasonNotOwner}
	refusedTaken       = refusal{core.Failure{Code: core.Taken, Text: "the channel or service has an owner"}, core.ReasonTaken}
	refusedWithin      = refusal{core.Failure{Code: core.NotOwner, Text: "another connection has what the channel or service lies in, or what lies in it"}, core.ReasonTaken}
	refusedUndecided   = refusal{core.Failure{Code: core.Unreachable, Text: "who owns the channel cannot be decided now"}, core.ReasonUnavailable}
	refusedUnknownVerb = refusal{core.Failure{Code: core.Invalid, Text: "unknown command"}, core.ReasonUnknownType}
	refusedTooMany     = refusal{core.Failure{Code: core.Overloaded, Text: "the connection has too many of these"}, core.ReasonOverload}
	refusedPatterns    = refusal{core.Failure{Code: core.Overloaded, Text: "the connection has as many patterns as it may have (limits.patterns)"}, core.ReasonOverload}
	refusedHeld        = refusal{core.Failure{Code: core.Overloaded, Text: "the calls that are being answered hold too much memory"}, core.ReasonOverload}
	refusedSlow        = refusal{core.Failure{Code: core.Overloaded, Text: "the answerer does not read as fast as it is asked"}, core.ReasonOverload}
	refusedBusy        = refusal{core.Failure{Code: core.Overloaded, Text: "the service has too many unanswered calls"}, core.ReasonOverload}

	refusedNoService  = refusal{core.Failure{Code: core.NoService, Text: "nobody answers the service"}, core.ReasonNoService}
	refusedTimeout    = refusal{core.Failure{Code: core.Timeout, Text: "the answer did not come in time"}, core.ReasonTimeout}
	refusedRef        = refusal{core.Failure{Code: core.Invalid, Text: "the id of the call is too long"}, core.ReasonTooLarge}
	refusedKnown      = refusal{core.Failure{Code: core.Invalid, Text: "there is a call with this id"}, core.ReasonMalformed}
	refusedNoRef      = refusal{core.Failure{Code: core.Invalid, Text: "a call is published to $call/<ref>/<service>"}, core.ReasonMalformed}
	refusedNoName     = refusal{core.Failure{Code: core.Invalid, Text: "a service is offered as $serve/<service>, without wildcards"}, core.ReasonMalformed}
	refusedEnded      = refusal{core.Failure{Code: core.Gone, Text: "the call has ended"}, core.ReasonGone}
	refusedLeft       = refusal{core.Failure{Code: core.Gone, Text: "the client has left"}, core.ReasonGone}
	refusedNobody     = refusal{core.Failure{Code: core.Gone, Text: "no connection has published this"}, core.ReasonGone}
	refusedGone       = refusal{core.Failure{Code: core.Gone, Text: "the answerer left"}, core.ReasonGone}
	refusedLeaving    = refusal{core.Failure{Code: core.Gone, Text: "the connection is closing"}, core.ReasonGone}
	refusedShutdown   = refusal{core.Failure{Code: core.Shutdown, Text: "the broker is shutting down"}, core.ReasonDrain}
	refusedNotAsked   = refusal{core.Failure{Code: core.Invalid, Text: "no such request waits for this answer"}, core.ReasonNotAsked}
	refusedAnswer     = refusal{core.Failure{Code: core.Internal, Text: "the answer is nested too deeply"}, core.ReasonTooDeep}
	refusedUnwritable = refusal{core.Failure{Code: core.Internal, Text: "the request cannot be written in the answerer's format"}, core.ReasonUnwritable}
	refusedUnreadable = refusal{core.Failure{Code: core.Internal, Text: "the answer cannot be written in the caller's format"}, core.ReasonUnwritable}
	refusedInternal   = refusal{core.Failure{Code: core.Internal}, core.ReasonInternal}

	refusedSessionsOff   = refusal{core.Failure{Code: core.SessionsOff, Text: "the endpoint has no sessions"}, core.ReasonDenied}
	refusedSessionExists = refusal{core.Failure{Code: core.SessionExists, Text: "the connection has a session"}, core.ReasonTaken}
	refusedSessionFull   = refusal{core.Failure{Code: core.SessionFull, Text: "the session has too many connections"}, core.ReasonOverload}
	refusedNoSession     = refusal{core.Failure{Code: core.SessionUnknown, Text: "there is no such session"}, core.ReasonDenied}
)

// refusalOf returns how a failure that somebody else gave (an answerer, a Go handler,
// a session store) is told, unchanged, and counted: under the reason of its code, or
// under own if the code is none of the broker's.
func refusalOf(f core.Failure, own core.Reason) refusal {
	r := refusal{Failure: f, reason: own}
	switch f.Code {
	case core.NoService:
		r.reason = core.ReasonNoService
	case core.Timeout:
		r.reason = core.ReasonTimeout
	case core.Gone:
		r.reason = core.ReasonGone
	case core.Denied, core.SessionUnknown, core.SessionsOff:
		r.reason = core.ReasonDenied
	case core.NotOwner:
		r.reason = core.ReasonNotOwner
	case core.Taken, core.SessionExists:
		r.reason = core.ReasonTaken
	case core.Overloaded, core.SessionFull:
		r.reason = core.ReasonOverload
	case core.Unreachable:
		r.reason = core.ReasonUnavailable
	case core.Shutdown:
		r.reason = core.ReasonDrain
	case core.Invalid:
		r.reason = core.ReasonMalformed
	case core.Internal:
		r.reason = core.ReasonInternal
	}
	return r
}
