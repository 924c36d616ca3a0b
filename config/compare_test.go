package config_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/polywire/polywire/config"
)

func TestCompare(t *testing.T) {
	const base = `
endpoints:
  - {name: a, protocol: hook, listen: ":3000", path: /a, options: {key: x}}
  - {name: b, protocol: hook, listen: ":3001", options: {key: x}}
`
	for _, c := range []struct {
		name, edit, want string
	}{
		{"nothing", "", "a unchanged; b unchanged"},
		{"written another way", `"/a", options: => "/a", slow_consumer: disconnect, options:`, "a unchanged; b unchanged"},
		{"a setting", `/a, options: => /a, max_calls: 9, ping_interval: 1m, options:`, "a live [ping_interval max_calls]; b unchanged"},
		{"the path", `/a, => /c,`, "a fixed [path]; b unchanged"},
		{"an option, and a setting", `":3001", options: {key: x} => ":3001", max_calls: 9, options: {key: y}`, "a unchanged; b live [max_calls] fixed [options]"},
		{"another name", `name: b, => name: c,`, "a unchanged; c added; b removed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, to, _ := strings.Cut(c.edit, " => ")
			changes := config.Compare(load(t, config.Source{}, base), load(t, config.Source{}, strings.Replace(base, from, to, 1)))
			var got []string
			for _, change := range changes {
				got = append(got, change.Name()+describe(change))
			}
			if all := strings.Join(got, "; "); all != c.want {
				t.Errorf("got  %s\nwant %s", all, c.want)
			}
		})
	}
}

func describe(c config.Change) string {
	switch {
	case c.Unchanged():
		return " unchanged"
	case c.Old == nil:
		return " added"
	case c.New == nil:
		return " removed"
	}
	s := ""
	if len(c.Live) > 0 {
		s += fmt.Sprint(" live ", c.Live)
	}
	if len(c.Fixed) > 0 {
		s += fmt.Sprint(" fixed ", c.Fixed)
	}
	return s
}

func TestElsewhere(t *testing.T) {
	const endpoint = "endpoints: [{name: a, protocol: hook, listen: ':3000', options: {key: x}}]\n"
	old := load(t, config.Source{}, endpoint)
	next := load(t, config.Source{}, endpoint+`
log: {level: debug, format: json}
network: {loops: 3, max_connections: 7}
drain: {timeout: 1m}
calls: {max_per_service: 7}
services: [{match: a, builtin: echo}]
admin: {listen: ""}
`)
	live, restart := config.Elsewhere(old, next)
	if want := []string{"services", "log.level", "network.max_connections", "drain.timeout"}; !slices.Equal(live, want) {
		t.Errorf("live %v, want %v", live, want)
	}
	if want := []string{"calls.max_per_service", "admin.listen", "log.format", "network.loops"}; !slices.Equal(restart, want) {
		t.Errorf("restart %v, want %v", restart, want)
	}
	if live, restart := config.Elsewhere(next, next); len(live) > 0 || len(restart) > 0 {
		t.Errorf("nothing changes, but %v and %v", live, restart)
	}
}

// Every key of an endpoint is either applied live or not; whoever adds one decides which, and makes
// Broker.Reload apply it.
func TestEveryKeyIsClassified(t *testing.T) {
	live := []string{
		"name", // another name is another endpoint
		"outbound_limit", "slow_consumer", "ping_interval", "pong_timeout", "idle_timeout", "origins", "health",
		"call_timeout", "max_calls", "limits", "auth", "acl",
		"tls", // but turning it on or off is not
	}
	fixed := []string{"protocol", "listen", "path", "options", "plugin", "topic_prefix", "max_message_size", "proxy_protocol", "authorizer"}
	for field := range reflect.TypeFor[config.Endpoint]().Fields() {
		key := field.Tag.Get("koanf")
		if key != "-" && !slices.Contains(live, key) && !slices.Contains(fixed, key) {
			t.Errorf("%s is neither live nor fixed", key)
		}
	}
}
