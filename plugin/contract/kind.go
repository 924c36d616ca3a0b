package contract

import (
	"slices"

	"github.com/polywire/polywire/core"
)

// eventKinds are the events by their numbers in codec.proto. These are in the order in which
// the contract got them, not in that of package core: a number never changes, because programs
// out there know it.
var eventKinds = [...]core.EventKind{
	core.Welcome, core.Done, core.Failed, core.Message, core.Request, core.Answer, core.SessionOpened, core.SessionClosed,
	core.Pong, core.Goodbye, core.OfferLost,
}

// numberOf returns the number of an event. For a value of k that is no event this is -1, as
// a field of an enum is written, and no event has that.
func numberOf(k core.EventKind) uint64 { return uint64(slices.Index(eventKinds[:], k)) }

// eventOf returns the event of a number. It is not known if the other side is newer.
func eventOf(number uint64) (k core.EventKind, known bool) {
	if number >= uint64(len(eventKinds)) {
		return 0, false
	}
	return eventKinds[number], true
}
