package core

import "time"

// Needs are things that the broker does for a format beside its codec. The options of
// a format that has some have a method Needs() core.Needs. The zero value needs nothing.
type Needs struct {
	// AuthorizerURL is the webhook that is asked about every connection and command;
	// "" for none. AuthorizerTimeout is how long its answer is waited for.
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
	// CallsAtOnce bounds the calls of one connection that run at once; 0 is no bound.
	CallsAtOnce int
	// HTTPPath is the path at which the plain HTTP of the format takes messages; "" if
	// there is none.
	HTTPPath string
}

// SessionLimits bound a session store. The zero value does not.
type SessionLimits struct {
	// Max bounds the sessions: one more puts out that which was not used for the longest
	// time, which is to be created or looked up. 0 is no bound.
	Max int
	// MaxAge is how long a session is kept that is not used; 0 is for ever.
	MaxAge time.Duration
}

// Since returns the time before which a session must have been used last to be kept no
// longer; zero if it is kept for ever.
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
	// SessionsNone turns sessions off.
	SessionsNone = "off"
)
