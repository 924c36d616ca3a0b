package core

import (
	"sync/atomic"
	"time"
)

// Limits are what the clients of one endpoint may have, send and ask. A zero is no bound
// but the broker's own. Limits are not changed after they were made.
type Limits struct {
	// Connections bounds the open connections of the endpoint.
	Connections int
	// ConnectionsPerAddress bounds those of one client address; an IPv6 address
	// stands for its /64.
	ConnectionsPerAddress int
	// ConnectionsPerUser bounds those of one Identity.Subject. Clients without one
	// are not counted.
	ConnectionsPerUser int
	// Messages and Bytes bound what one connection sends. Who sends faster is read
	// slower; nothing is lost.
	Messages, Bytes Rate
	// Subscriptions bounds the subscriptions of one connection.
	Subscriptions int
	// Patterns bounds those of them that are patterns. Each may be an audience of its
	// own of one publish: it is what one connection can make others work for. One of more
	// than 16 levels counts once for each 16. 0 is the broker's own bound, 512.
	Patterns int
	// TopicLength bounds topics, patterns, channels and services in bytes, as the
	// client writes them; TopicDepth the levels between their slashes.
	TopicLength, TopicDepth int
	// JSONDepth bounds how deeply arrays and objects are nested in a payload.
	JSONDepth int
	// Calls bounds the unanswered calls of one connection; further ones fail.
	Calls int
	// CallTimeout is how long a call waits that does not say so itself.
	CallTimeout time.Duration
}

// Rate is an amount of something for each period. A zero Amount is no bound.
type Rate struct {
	Amount int
	Per    time.Duration
	// Burst is how much may come at once after a pause; 0 is Amount.
	Burst int
}

// LiveLimits are limits that may be changed while they are in force. A nil one has
// none. Any goroutine.
type LiveLimits struct{ current atomic.Pointer[Limits] }

// NewLiveLimits returns limits that begin as l.
func NewLiveLimits(l Limits) *LiveLimits {
	live := new(LiveLimits)
	live.Set(l)
	return live
}

// noLimits is read only.
var noLimits Limits

// Get returns the limits in force, which must not be changed. A decision that looks
// at several of them calls it once.
func (l *LiveLimits) Get() *Limits {
	if l == nil {
		return &noLimits
	}
	return l.current.Load()
}

// Set puts other limits in force. What a client has already it keeps.
func (l *LiveLimits) Set(n Limits) { l.current.Store(&n) }
