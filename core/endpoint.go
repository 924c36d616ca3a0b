package core

// Endpoint is what the engine knows of an endpoint. Static after construction.
type Endpoint struct {
	// Name and Protocol are labels, for logs and metrics.
	Name, Protocol string
	// TopicPrefix is put before every topic of the endpoint's clients and taken
	// off again on the way out; they cannot see out of it.
	TopicPrefix string
	// CallsAtOnce bounds the unanswered calls of one connection, as Limits do, but its
	// further messages wait; 0 is no bound. Topic-borne calls are messages like any
	// other and do not count.
	CallsAtOnce int
	// Authenticator finds out who a client is; nil asks nobody.
	Authenticator Authenticator
	// Access is asked about every publish, subscription, call and offer; nil allows all
	// but MayPublishOwned.
	Access Access
	// Authorizer is asked about every connection and command; nil allows all. What
	// Access does not allow it is not asked about.
	Authorizer Authorizer
	// Sessions keeps the endpoint's sessions; nil turns them off.
	Sessions SessionStore
	// SessionKeys makes the keys of its sessions; nil is the default.
	SessionKeys SessionKeys
	// MaxSessionConnections bounds the connections of one session; 0 is no bound.
	MaxSessionConnections int
	// Limits bound what the clients may have and send; nil has none. They alone may
	// change while the endpoint serves.
	Limits *LiveLimits
	// Possible are the reasons that Stats can have.
	Possible Possible
	// Stats are the endpoint's counters; never nil.
	Stats *Stats
}
