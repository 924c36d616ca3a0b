package admin

// Role is what somebody may do at the admin server.
type Role uint8

// The roles. Operate includes the others; Read and Publish do not include each other.
const (
	// Read: look at lists, metrics and traces.
	Read Role = 1 << iota
	// Publish: publish, and call services.
	Publish
	// Operate: change what the broker does, and see what clients send.
	Operate
)
