package admin

// Bridge is a bridge to an old server.
type Bridge struct {
	// Name is that of its counters.
	Name string
	// Health returns why the old server cannot be reached; nil if it can.
	Health func() error
	// Standby returns the node of the cluster that runs the bridge instead of this one; empty if none does.
	Standby func() string
}
