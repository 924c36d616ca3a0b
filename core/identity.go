package core

import (
	"context"
	"time"
)

// Identity is who a client is, in the words of the credential that it showed. It is
// not changed after it was made and may be read by any goroutine. All formats have the
// same identities; the nil Identity is a client that nobody asked who it is.
type Identity struct {
	// Subject names the user; empty if the credential names none.
	Subject string
	// Method is what told: the kind of an authenticator, for logs.
	Method string
	// Claims are what else the credential says, as encoding/json decodes an object
	// with numbers as json.Number; nil if nothing.
	Claims map[string]any
	// Expires is when the credential ends, and the connection with it; zero is never.
	Expires time.Time
}

// User returns the subject, for logs and limits: "" for the nil Identity.
func (i *Identity) User() string {
	if i == nil {
		return ""
	}
	return i.Subject
}

// Expired reports whether the credential has ended at now; not for the nil Identity.
func (i *Identity) Expired(now time.Time) bool {
	return i != nil && !i.Expires.IsZero() && !now.Before(i.Expires)
}

// Authenticator finds out who a client is. It may block, is never called on an event
// loop, and may be called from many goroutines at once. When ctx ends the answer is not
// waited for any more.
type Authenticator interface {
	// Authenticate is asked before the upgrade. It returns the identity with Allow;
	// Deny if the client shows no credential or none that is good; Unavailable if that
	// could not be found out. A nil Identity with Allow is an anonymous client. why is for
	// the log, and holds nothing of the credential; it may be nil.
	Authenticate(ctx context.Context, h Handshake) (id *Identity, v Verdict, why error)
}

// Challenger is an Authenticator that says how a client that it refuses could show who it is.
type Challenger interface {
	// Challenges are values of WWW-Authenticate (RFC 9110, section 11.6.1). Any goroutine.
	Challenges() []string
}

// Right is one of the things that an [Access] grants.
type Right uint8

// The rights.
const (
	// MayPublish: publish to the topic.
	MayPublish Right = iota
	// MaySubscribe: hear the topic or, if pattern, all that the pattern matches.
	MaySubscribe
	// MayCall: call the service.
	MayCall
	// MayServe: offer the service, or own the channel.
	MayServe
	// MayPublishOwned: publish to the topic though it lies in a channel that another
	// connection owns.
	MayPublishOwned
)

// Access says what a client may do. It is asked on event loops: it must not block, nor
// keep topic. Any goroutine.
type Access interface {
	// May reports whether the client may. topic is what the client calls it, without
	// the topic prefix of its endpoint; pattern says that it is one (MaySubscribe).
	May(by *Identity, r Right, topic []byte, pattern bool) bool
}
