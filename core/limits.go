package core

import (
	"sync/atomic"
	"time"
)

// Limits bound what the clients of one endpoint may have, send and request. A zero means only
// the broker's own bound. Limits are immutable.
type Limits struct {
	// Connections bounds the open connections of the endpoint.
	Connections int
	// ConnectionsPerAddress bounds those of one client address; an IPv6 address
	// stands for its /64.
	ConnectionsPerAddress int
	// ConnectionsPerUser bounds those of one Identity.Subject. Clients without one
	// are not counted.
	ConnectionsPerUser int
	// UsersOfCluster says that ConnectionsPerUser bounds those at all nodes of the cluster, at the
	// endpoints of one name; else those of this broker.
	UsersOfCluster bool
	// Messages and Bytes bound what one connection sends. A client that sends faster is read
	// more slowly; nothing is lost.
	Messages, Bytes Rate
	// Subscriptions bounds the subscriptions of one connection.
	Subscriptions int
	// Patterns bounds the subscriptions that are patterns. Each pattern may add an audience
	// to a publish: the bound limits how much work one connection causes others. A pattern of
	// more than 16 levels counts once for each 16. 0 is the broker's own bound, 512.
	Patterns int
	// TopicLength bounds topics, patterns, channels and services in bytes, as the
	// client writes them; TopicDepth the levels between their slashes.
	TopicLength, TopicDepth int
	// JSONDepth bounds how deeply arrays and objects are nested in a payload.
	JSONDepth int
	// Calls bounds the pending calls of one connection; further ones fail.
	Calls int
	// CallTimeout is the timeout of calls that do not set their own.
	CallTimeout time.Duration
}

// Rate is an amount of something for each period. A zero Amount is no bound.
type Rate struct {
	Amount int
	Per    time.Duration
	// Burst is how much may come at once after a pause; 0 is Amount.
	Burst int
}

// LiveLimits are limits that may be replaced while they are in force. A nil LiveLimits has
// no limits. Any goroutine.
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

// Set replaces the limits in force. A client keeps what it has already.
func (l *LiveLimits) Set(n Limits) { l.current.Store(&n) }
