package admin

import (
	"cmp"
	"strings"
)

// Role is what somebody may do at an admin server: a set.
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

// RoleNames are the names of the roles in the configuration.
var RoleNames = map[string]Role{"read": Read, "publish": Publish, "operate": Operate}

// may reports whether r has one of the roles of a set.
func (r Role) may(any Role) bool { return r&(any|Operate) != 0 }

// String returns the names of the set, "none" if it is empty.
func (r Role) String() string { return cmp.Or(strings.Join(r.names(), ","), "none") }

// or returns the names of the set as alternatives.
func (r Role) or() string { return strings.Join(r.names(), " or ") }

func (r Role) names() []string {
	var names []string
	for _, one := range []struct {
		role Role
		name string
	}{{Read, "read"}, {Publish, "publish"}, {Operate, "operate"}} {
		if r&one.role != 0 {
			names = append(names, one.name)
		}
	}
	return names
}
