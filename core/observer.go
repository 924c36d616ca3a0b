package core

import "time"

// Moment is a kind of thing that happens to a client.
type Moment uint8

// The moments.
const (
	// MomentConnected: the client is connected.
	MomentConnected Moment = iota
	// MomentDisconnected: its connection has ended, and with it all that it heard, offered and owned.
	MomentDisconnected
	// MomentSubscribed and MomentUnsubscribed: it begins, or ceases, to hear a topic or a pattern.
	MomentSubscribed
	MomentUnsubscribed
	// MomentOffered and MomentWithdrawn: it begins, or ceases, to own a channel or to answer services.
	MomentOffered
	MomentWithdrawn
	// MomentSessionOpened: it has got a session. MomentSessionClosed: its store has deleted one.
	MomentSessionOpened
	MomentSessionClosed
	// MomentRefused: something that it asked for was refused.
	MomentRefused

	// NumMoments is the number of moments.
	NumMoments
)

var momentNames = [NumMoments]string{
	"connected", "disconnected", "subscribed", "unsubscribed", "offered", "withdrawn", "session_opened", "session_closed", "refused",
}

// String returns the moment as configurations and events name it.
func (m Moment) String() string {
	if m < NumMoments {
		return momentNames[m]
	}
	return "unknown"
}

// MomentNamed returns the moment that String writes as name; false if there is none.
func MomentNamed(name string) (Moment, bool) {
	for m, other := range momentNames {
		if other == name {
			return Moment(m), true
		}
	}
	return NumMoments, false
}

// Observation is a moment of a client. It borrows nothing, and is not changed once it was shown. Fields that mean
// nothing for its moment are zero.
type Observation struct {
	Moment Moment
	At     time.Time
	// Endpoint is the client's endpoint; nil for a session that the program closes, and then nothing of a client is set.
	Endpoint *Endpoint
	// Connection, Remote and User are those of the client, as [Client] has them.
	Connection   uint64
	Remote, User string
	// Opened is when a connection that has ended was opened.
	Opened time.Time
	// Topic is the topic or pattern as the client writes it: that which it hears, or that which was refused, of
	// Verb. Empty in MomentUnsubscribed: it hears nothing any more.
	Topic string
	Verb  Verb
	// Channel and Services are what is offered or withdrawn, as the client writes it. Those that are too many are
	// counted in More alone.
	Channel  string
	Services []string
	More     int
	// Session is the key of a session, which is a secret. Restored says that it was there before.
	Session  string
	Restored bool
	// Reason is why a connection ended, or something was refused or taken away; Text says more.
	Reason Reason
	Text   string
	// LeftOut is how many refusals of the endpoint for the same reason were not shown since the last one.
	LeftOut uint64
}

// Observer is shown what happens to clients. Its methods are called by event loops and other goroutines at once, and
// must not block.
type Observer interface {
	// Wants reports whether it is to be shown a moment.
	Wants(Moment) bool
	// Observe shows it one. Those of one connection are shown in order, except for MomentSessionClosed.
	Observe(*Observation)
}
