package network

import (
	"sync/atomic"

	"github.com/polywire/polywire/core"
)

// Stats are the counters of the front door, for what happens before an endpoint
// is known. Atomic.
type Stats struct {
	// AcceptErrors counts failed accepts, such as those without a free file descriptor.
	AcceptErrors atomic.Uint64
	// Rejected counts connections turned away before their endpoint was known.
	Rejected core.Counters
	// Handshakes are the times of those that were turned away.
	Handshakes core.Durations
	// Panics counts handlers that panicked; each ended one connection.
	Panics atomic.Uint64
}
