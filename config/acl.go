package config

import (
	"slices"
	"strings"

	"github.com/polywire/polywire/core"
)

// ACL says what the clients of an endpoint may do. Everything else is denied.
type ACL struct {
	Publish   ACLists `koanf:"publish"`
	Subscribe ACLists `koanf:"subscribe"`
	Call      ACLists `koanf:"call"`
	Serve     ACLists `koanf:"serve"`
	// PublishOwned is for topics in channels that another client owns; a client also needs the
	// right to publish.
	PublishOwned ACLists `koanf:"publish_owned"`
}

// ACLists are the topics that are allowed, except those that are denied. Deny alone allows the
// rest. A plain list is Allow.
type ACLists struct {
	Allow []core.Template `koanf:"allow"`
	Deny  []core.Template `koanf:"deny"`
}

func (ACLists) short() string { return "allow" }

// acl checks what the decoding cannot: that an acl has a value.
func (e *endpointReader) acl() { e.checkWritten("acl", "to allow all, leave it out") }

// checkWritten reports a key that is written without a value. A key that keeps clients out must not
// mean the same as if it were left out.
func (e *endpointReader) checkWritten(key, hint string) {
	if value, written := e.fields[key]; written && value == nil {
		e.fault(key, "is empty; %s", hint)
	}
}

// HearsSys reports whether an access list names topics on which the broker tells what clients do.
func (c *Config) HearsSys() bool {
	named := func(acl *ACL) bool {
		return acl != nil && slices.ContainsFunc(acl.Subscribe.Allow, func(t core.Template) bool { return strings.HasPrefix(t.String(), core.SysTopic) })
	}
	return slices.ContainsFunc(c.Endpoints, func(ep Endpoint) bool { return named(ep.ACL) }) ||
		slices.ContainsFunc(c.Bridges, func(b Bridge) bool { return named(b.ACL) })
}
