package config

import (
	"reflect"
	"slices"
)

// fixed are the keys of an endpoint that cannot change while it serves: the endpoint is closed and
// opened again, and its clients have to reconnect. All other keys are applied to the running
// endpoint.
var fixed = []string{"protocol", "listen", "path", "options", "plugin", "topic_prefix", "max_message_size", "proxy_protocol", "authorizer"}

// booted are the keys outside the endpoints that need a restart.
var booted = []string{
	"cluster.engine", "cluster.node", "cluster.url", "cluster.credentials", "cluster.tls", "cluster.embedded", "cluster.prefix", "cluster.queue_limit",
	"traces.url", "traces.headers", "traces.sample", "traces.service",
	"admin.listen", "admin.hosts", "admin.redact", "api.listen", "api.hosts", "calls.max_per_service", "log.format",
	"network.loops", "network.handshake_timeout", "network.http_idle_timeout", "network.max_header", "network.max_header_fields", "network.send_buffer", "network.outbound_budget", "network.inbound_budget",
}

// Change is what happens to one endpoint under another configuration.
type Change struct {
	// Old and New are the endpoint in the two configurations; nil if it is not in one.
	Old, New *Endpoint
	// Live are the changed keys that can be applied to the running endpoint.
	Live []string
	// Fixed are the changed keys that cannot: the endpoint is reopened.
	Fixed []string
}

// Name is the name of the endpoint.
func (c Change) Name() string {
	if c.New != nil {
		return c.New.Name
	}
	return c.Old.Name
}

// Unchanged reports whether nothing about the endpoint changes.
func (c Change) Unchanged() bool {
	return c.Old != nil && c.New != nil && len(c.Live)+len(c.Fixed) == 0
}

// Ends reports whether the connections of the endpoint end.
func (c Change) Ends() bool { return c.Old != nil && (c.New == nil || len(c.Fixed) > 0) }

// Compare returns what happens to each endpoint when next replaces old: first those of next in its
// order, then those that are removed. Endpoints are matched by name.
func Compare(old, next *Config) []Change {
	var changes []Change
	for i := range next.Endpoints {
		c := Change{New: &next.Endpoints[i]}
		if c.Old = find(old, c.New.Name); c.Old != nil {
			c.Live, c.Fixed = divide(differences(*c.Old, *c.New), fixedBetween(c.Old, c.New))
		}
		changes = append(changes, c)
	}
	for i := range old.Endpoints {
		if ep := &old.Endpoints[i]; find(next, ep.Name) == nil {
			changes = append(changes, Change{Old: ep})
		}
	}
	return changes
}

// fixedBetween returns the changed keys that cannot be applied while the endpoint serves. tls is
// one of them if it is turned on or off, because the address that clients dial changes.
func fixedBetween(old, next *Endpoint) []string {
	if old.TLS.On() != next.TLS.On() {
		return append(slices.Clone(fixed), "tls")
	}
	return fixed
}

// Elsewhere returns the changed keys outside the endpoints: those that a running broker applies,
// and those that need a restart.
func Elsewhere(old, next *Config) (live, restart []string) {
	var keys []string
	x, y := reflect.ValueOf(*old), reflect.ValueOf(*next)
	for i := range x.NumField() {
		key := x.Type().Field(i).Tag.Get("koanf")
		a, b := x.Field(i), y.Field(i)
		switch {
		case key == "endpoints":
		case a.Kind() == reflect.Struct:
			for _, inner := range differences(a.Interface(), b.Interface()) {
				keys = append(keys, join(key, inner))
			}
		case !reflect.DeepEqual(a.Interface(), b.Interface()):
			keys = append(keys, key)
		}
	}
	return divide(keys, bootedBetween(old, next))
}

// bootedBetween returns the keys outside the endpoints that cannot be applied to a running broker. Who may ask a server
// changes only where it listens already: a new address may be one that needs more than the old one.
func bootedBetween(old, next *Config) []string {
	keys := slices.Clone(booted)
	for _, one := range []struct {
		key       string
		old, next *Admin
	}{{"admin", &old.Admin, &next.Admin}, {"api", &old.API, &next.API}} {
		if one.old.Listen != one.next.Listen {
			for _, inner := range []string{"auth", "tokens", "allow", "reload_token", "tls"} {
				keys = append(keys, join(one.key, inner))
			}
		} else if one.old.TLS.On() != one.next.TLS.On() {
			keys = append(keys, join(one.key, "tls"))
		}
	}
	return keys
}

func find(c *Config, name string) *Endpoint {
	for i := range c.Endpoints {
		if c.Endpoints[i].Name == name {
			return &c.Endpoints[i]
		}
	}
	return nil
}

// differences returns the keys of the fields in which the structs a and b of one type differ.
func differences(a, b any) []string {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	var keys []string
	for i := range x.NumField() {
		key := x.Type().Field(i).Tag.Get("koanf")
		if key != "-" && !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			keys = append(keys, key)
		}
	}
	return keys
}

// divide splits keys into those that are not in some and those that are. The results are never nil.
func divide(keys, some []string) (without, within []string) {
	without, within = []string{}, []string{}
	for _, key := range keys {
		if slices.Contains(some, key) {
			within = append(within, key)
		} else {
			without = append(without, key)
		}
	}
	return without, within
}
