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
	// MaxSessionConnections bounds the connections of one session; 0 is no bound.
	MaxSessionConnections int
	// CallsAtOnce bounds the calls of one connection that run at once; 0 is no bound.
	CallsAtOnce int
	// HTTPPath is the path at which the plain HTTP of the format takes messages; "" if
	// there is none.
	HTTPPath string
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
