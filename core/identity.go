package core

import (
	"context"
	"errors"
	"time"
)

// Identity is who a client is, according to its credential. It is immutable and may be
// read by any goroutine. Identities are the same in all formats; the nil Identity is a
// client that was not authenticated.
type Identity struct {
	// Subject names the user; empty if the credential names none.
	Subject string
	// Method is the kind of authenticator that identified the client, for logs.
	Method string
	// Claims are the other claims of the credential, as encoding/json decodes an object
	// with numbers as json.Number; nil if there are none.
	Claims map[string]any
	// Expires is when the credential expires and the connection ends; zero is never.
	Expires time.Time
}

// User returns the subject, for logs and limits: "" for the nil Identity.
func (i *Identity) User() string {
	if i == nil {
		return ""
	}
	return i.Subject
}

// Expired reports whether the credential has expired at now; false for the nil Identity.
func (i *Identity) Expired(now time.Time) bool {
	return i != nil && !i.Expires.IsZero() && !now.Before(i.Expires)
}

// ErrNoCredential is why an [Authenticator] refuses a client that shows no credential at all.
var ErrNoCredential = errors.New("no credential")

// Authenticator finds out who a client is. It may block, is never called on an event
// loop, and may be called from many goroutines at once. When ctx ends, nobody waits for
// the answer any more.
type Authenticator interface {
	// Authenticate is called before the upgrade. It returns the identity with Allow;
	// Deny if the client shows no valid credential; Unavailable if the credential could not
	// be checked. A nil Identity with Allow is an anonymous client. why is for
	// the log and contains no part of the credential; it may be nil.
	Authenticate(ctx context.Context, h Handshake) (id *Identity, v Verdict, why error)
}

// Challenger is an Authenticator that tells refused clients how to authenticate.
type Challenger interface {
	// Challenges returns values of WWW-Authenticate (RFC 9110, section 11.6.1). Any goroutine.
	Challenges() []string
}

// Right is one of the things that an [Access] grants.
type Right uint8

// The rights.
const (
	// MayPublish: publish to the topic.
	MayPublish Right = iota
	// MaySubscribe: subscribe to the topic or, if pattern, to all that the pattern matches.
	MaySubscribe
	// MayCall: call the service.
	MayCall
	// MayServe: offer the service, or own the channel.
	MayServe
	// MayPublishOwned: publish to the topic although it is in a channel that another
	// connection owns.
	MayPublishOwned
)

// Access says what a client may do. It is called on event loops: it must not block, and
// must not retain topic. Any goroutine.
type Access interface {
	// May reports whether the client has the right r to topic. topic is written as the client
	// writes it, without the topic prefix of its endpoint; pattern says that it is a pattern
	// (MaySubscribe).
	May(by *Identity, r Right, topic []byte, pattern bool) bool
}

// NamingAccess is an Access that can tell what is allowed from what nothing forbids. Without it nobody hears the topics of
// [SysTopic].
type NamingAccess interface {
	Access
	// Named reports whether May is true because a list names the topic.
	Named(by *Identity, r Right, topic []byte, pattern bool) bool
}
