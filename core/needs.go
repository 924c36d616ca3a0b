package core

import "time"

// Needs are things that the broker does for a format besides its codec. If a format has
// needs, its options have a method Needs() core.Needs. The zero value needs nothing.
type Needs struct {
	// AuthorizerURL is the webhook that authorizes every connection and command;
	// "" for none. AuthorizerTimeout is the timeout of its answers.
	AuthorizerURL     string
	AuthorizerTimeout time.Duration
	// Sessions is where sessions are kept; "" is SessionsNone.
	Sessions string
	// SessionsDir is the folder of SessionsFile.
	SessionsDir string
	// SessionLimits bound the store.
	SessionLimits SessionLimits
	// MaxSessionConnections bounds the connections of one session; 0 is no bound.
	MaxSessionConnections int
	// CallsAtOnce bounds the pending calls of one connection; 0 is no bound.
	CallsAtOnce int
	// HTTPPath is the path at which the format accepts messages by plain HTTP; "" for none.
	HTTPPath string
}

// SessionLimits bound a session store. The zero value is no limits.
type SessionLimits struct {
	// Max bounds the number of sessions: one more evicts the least recently used one. A
	// session is used when it is created or looked up. 0 is no bound.
	Max int
	// MaxAge is how long an unused session is kept; 0 is for ever.
	MaxAge time.Duration
}

// Since returns the expiry limit at now: a session whose last use is before it is not kept
// any longer. It is zero if sessions are kept for ever.
func (l SessionLimits) Since(now time.Time) time.Time {
	if l.MaxAge <= 0 {
		return time.Time{}
	}
	return now.Add(-l.MaxAge)
}

// HasSessions reports whether the format has sessions.
func (n Needs) HasSessions() bool { return n.Sessions != "" && n.Sessions != SessionsNone }

// The values of Needs.Sessions.
const (
	// SessionsMemory keeps sessions in the process: they end with it.
	SessionsMemory = "memory"
	// SessionsFile keeps them in files.
	SessionsFile = "file"
	// SessionsCluster keeps them where all nodes of the cluster have them: see [SharedSessions].
	SessionsCluster = "cluster"
	// SessionsNone turns sessions off.
	SessionsNone = "off"
)
