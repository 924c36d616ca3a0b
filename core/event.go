package core

import "time"

// EventKind is the kind of an [Event].
type EventKind uint8

// The events of the language. The comment of each names the Event fields that
// it uses.
const (
	// Welcome: the connection is open; a format with a greeting sends it now.
	Welcome EventKind = iota
	// Done: the command succeeded. Verb, Ref, Topic, As; for an accepted Call also Call;
	// for a Publish also Unheard.
	Done
	// Failed: the command did not succeed. Verb, Ref, Topic, As, Failure; for a Call that
	// was accepted and then failed also Call.
	Failed
	// Message: a message on a topic that the client subscribes to. Topic, As, Payload,
	// Headers; if it stands for a request also Call, which is not written.
	Message
	// Request: a call for this client to answer. Call, Topic (the service), As
	// as in its Offer, Payload, OneWay.
	Request
	// Answer: the answer to the client's call. Call, Ref, Topic, As, Payload.
	Answer
	// SessionOpened: the connection has a session now. Verb (OpenSession,
	// RestoreSession), Ref, Session.
	SessionOpened
	// SessionClosed: the session was closed by the server.
	SessionClosed
	// OfferLost: what the client offers is not its own any more, although it did not withdraw
	// it. Topic (the channel, or the service that was shared), As as in its Offer, Failure
	// (why).
	OfferLost
	// Pong answers a Ping. Ref, As.
	Pong
	// Goodbye: the connection is about to be closed. Reason. A format that has a message
	// besides the close frame sends it now; the close frame itself is [Format.Goodbye].
	Goodbye
)

var eventNames = [...]string{
	"welcome", "done", "failed", "message", "request", "answer",
	"session_opened", "session_closed", "offer_lost", "pong", "goodbye",
}

// String returns the kind in lower case, as logs and errors show it.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "unknown"
}

// Event is something to tell a client, encoded in the client's format. It is passed
// by value; its byte slices are borrowed (see the package comment).
type Event struct {
	Kind EventKind
	// Verb is the command whose outcome this is.
	Verb Verb
	// Ref, Topic and As are those of the command (for Message: of the
	// subscription; for Request: of the offer).
	Ref   []byte
	Topic []byte
	As    uint32

	// Call is the id of the call.
	Call CallID
	// OneWay, on Request and on a Message that stands for one: the caller wants no answer.
	OneWay bool
	// Payload is the content of Message, Request and Answer.
	Payload Payload
	// Headers are those of the Publish.
	Headers []byte
	// Unheard, on Done of a Publish: the topic has no subscriber at this moment.
	Unheard bool
	// Failure says why a command Failed, or an offer was lost.
	Failure Failure
	// Session is the session that was opened.
	Session Session
	// Reason is the cause of a Goodbye.
	Reason Reason

	// Author is the format in which the author of Message, Request or Answer speaks:
	// [ClusterProtocol] for another node, "" if it is not known. No format writes it.
	Author string
	// Read is that of the Publish of a Message. No format writes it.
	Read time.Duration
}

// IsRequest reports whether e is a call for the client to answer, also by topic.
func (e Event) IsRequest() bool {
	return e.Kind == Request || e.Kind == Message && (e.OneWay || e.Call != CallID{})
}

// PendingCall returns the call that e asks the client to answer; zero if there is none, or
// if no answer is wanted.
func (e Event) PendingCall() CallID {
	if e.Kind == Request || e.Kind == Message {
		return e.Call
	}
	return CallID{}
}

// Clone returns a copy of e that owns all its bytes. They are one allocation.
func (e Event) Clone() Event {
	e, _ = e.CloneInto(nil)
	return e
}

// CloneInto is Clone with the bytes in memory, which is overwritten, or in a new buffer
// if memory is too small. It returns the buffer, which belongs to the copy.
func (e Event) CloneInto(memory []byte) (Event, []byte) {
	n := len(e.Ref) + len(e.Topic) + e.Payload.Size() + len(e.Headers) + len(e.Session.Info)
	a := arena(memory[:0])
	if cap(a) < n {
		a = make(arena, 0, n)
	}
	e.Ref = a.clone(e.Ref)
	e.Topic = a.clone(e.Topic)
	e.Payload = a.clonePayload(e.Payload)
	e.Headers = a.clone(e.Headers)
	e.Session.Info = a.clone(e.Session.Info)
	return e, a
}
