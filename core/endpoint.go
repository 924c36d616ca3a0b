package core

// Endpoint is an endpoint as the engine sees it. Static after construction.
type Endpoint struct {
	// Name and Protocol are labels, for logs and metrics.
	Name, Protocol string
	// TopicPrefix is added to every topic of the endpoint's clients and removed on the way
	// out; clients cannot reach topics outside it.
	TopicPrefix string
	// CallsAtOnce bounds the pending calls of one connection. Unlike with Limits, further
	// messages wait; 0 is no bound. Calls by topic are messages like any other and do not
	// count.
	CallsAtOnce int
	// Authenticator finds out who a client is; nil authenticates nobody.
	Authenticator Authenticator
	// Access is asked about every publish, subscription, call and offer; nil allows all
	// but MayPublishOwned.
	Access Access
	// Authorizer is asked about every connection and command that Access allows; nil
	// allows all.
	Authorizer Authorizer
	// Sessions keeps the endpoint's sessions; nil turns them off.
	Sessions SessionStore
	// SessionKeys makes the keys of its sessions; nil is the default.
	SessionKeys SessionKeys
	// MaxSessionConnections bounds the connections of one session; 0 is no bound.
	MaxSessionConnections int
	// Limits bound what the clients may have and send; nil is no limits. Only they may
	// change while the endpoint serves.
	Limits *LiveLimits
	// Possible are the reasons that Stats can have.
	Possible Possible
	// Stats are the endpoint's counters; never nil.
	Stats *Stats
}
