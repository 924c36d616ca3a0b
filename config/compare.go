package config

import (
	"reflect"
	"slices"
)

// fixed are the keys of an endpoint that cannot change while it serves: it is closed
// and opened anew, and its clients have to connect again. All others are applied to
// the running endpoint.
var fixed = []string{"protocol", "listen", "path", "options", "plugin", "topic_prefix", "max_message_size", "proxy_protocol", "authorizer"}

// booted are the keys outside the endpoints that only a new process takes.
var booted = []string{
	"admin.listen", "admin.hosts", "admin.reload_token", "calls.max_per_service", "log.format",
	"network.loops", "network.handshake_timeout", "network.http_idle_timeout", "network.max_header", "network.max_header_fields", "network.send_buffer", "network.outbound_budget", "network.inbound_budget",
}

// Change is what becomes of one endpoint under another configuration.
type Change struct {
	// Old and New are the endpoint in the two configurations; nil where it is not.
	Old, New *Endpoint
	// Live are the keys that change and can be applied to the running endpoint.
	Live []string
	// Fixed are the keys that change and cannot: the endpoint is opened anew.
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

// Compare returns what becomes of each endpoint when next replaces old: first those of
// next in its order, then those that are gone. An endpoint is known by its name.
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

// fixedBetween returns the keys that cannot change from old to next while the endpoint
// serves: also tls where it is turned on or off, as the clients' address changes with it.
func fixedBetween(old, next *Endpoint) []string {
	if old.TLS.On() != next.TLS.On() {
		return append(slices.Clone(fixed), "tls")
	}
	return fixed
}

// Elsewhere returns the keys outside the endpoints that change from old to next: those that
// a running broker applies, and those that need a restart.
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
	return divide(keys, booted)
}

func find(c *Config, name string) *Endpoint {
	for i := range c.Endpoints {
		if c.Endpoints[i].Name == name {
			return &c.Endpoints[i]
		}
	}
	return nil
}

// differences returns the keys of the fields in which a and b, two structs of one
// type, differ.
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

// divide returns those of keys that are not among some, and those that are; none is an
// empty list.
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
