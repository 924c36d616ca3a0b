// Package sessions has the session stores: the memory of the process, and files as the
// original webwire server writes them. Each is a [core.SessionStore].
package sessions

import (
	"fmt"
	"log/slog"

	"github.com/polywire/polywire/core"
)

// errUnknown is the error for a session that does not exist.
var errUnknown = core.Failure{Code: core.SessionUnknown, Text: "there is no such session"}

// Open returns the store that a format needs; nil if it needs none. The store logs to log
// what it cannot do.
func Open(n core.Needs, log *slog.Logger) (core.SessionStore, error) {
	switch {
	case !n.HasSessions():
		return nil, nil
	case n.Sessions == core.SessionsMemory:
		return NewMemory(), nil
	case n.Sessions == core.SessionsFile:
		store, err := OpenFiles(FileOptions{Dir: n.SessionsDir, Limits: n.SessionLimits, Logger: log})
		if err != nil {
			return nil, fmt.Errorf("opening session store: %w", err)
		}
		return store, nil
	}
	return nil, fmt.Errorf("there is no session store %q", n.Sessions)
}

// Same reports whether two formats need the same store. Different limits make another store
// of a folder, which finds the same sessions.
func Same(a, b core.Needs) bool {
	return a.HasSessions() && a.Sessions == b.Sessions && a.SessionsDir == b.SessionsDir &&
		(a.Sessions == core.SessionsMemory || a.SessionLimits == b.SessionLimits)
}
