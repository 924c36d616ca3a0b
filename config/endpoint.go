package config

import (
	"reflect"
	"strings"
	"time"

	"github.com/polywire/polywire/core"
)

// endpointReader sets the defaults of one decoded endpoint and checks it.
type endpointReader struct {
	*report
	path   string
	fields map[string]any // raw, as given
	plugin pluginMaker
}

// given reports whether any source has set key.
func (e *endpointReader) given(key string) bool { return e.fields[key] != nil }

func (e *endpointReader) fault(key, format string, args ...any) {
	e.add(join(e.path, key), format, args...)
}

// read sets the defaults of what was not given and checks the rest.
func (e *endpointReader) read(ep *Endpoint, protocols []core.Protocol) {
	if e.fields == nil {
		return // not a mapping, which is already reported
	}
	e.common(ep)
	e.checkName(ep.Name)
	p, ok := e.translator(ep, protocols)
	if !ok {
		return
	}
	if !e.given("listen") {
		ep.Listen = p.Listen
	}
	if !e.given("path") {
		ep.Path = p.Path
	}
	e.checkAddress(ep)
	e.tls(&ep.TLS)
	before := len(e.problems)
	e.options(ep, p)
	e.checkLimits(ep)
	e.auth(ep)
	e.acl()
	e.authorizer(ep)
	if len(e.problems) == before {
		e.format(ep, p)
	}
}

// common sets the defaults that are the same for every protocol.
func (e *endpointReader) common(ep *Endpoint) {
	d := endpointDefaults()
	if !e.given("slow_consumer") {
		ep.SlowConsumer = d.SlowConsumer
	}
	if !e.given("call_timeout") {
		ep.CallTimeout = d.CallTimeout
	}
	if !e.given("max_calls") {
		ep.MaxCalls = d.MaxCalls
	}
	if !e.given("proxy_protocol") {
		ep.ProxyProtocol = d.ProxyProtocol
	}
}

// translator finds the endpoint's protocol: a built-in one, or that of a plugin.
func (e *endpointReader) translator(ep *Endpoint, protocols []core.Protocol) (core.Protocol, bool) {
	if e.given("plugin") {
		return e.pluginProtocol(ep)
	}
	return e.protocol(ep.Protocol, protocols)
}

// protocol finds the endpoint's built-in protocol.
func (e *endpointReader) protocol(name string, protocols []core.Protocol) (core.Protocol, bool) {
	names := make([]string, len(protocols))
	for i, p := range protocols {
		if p.Name == name {
			return p, true
		}
		names[i] = p.Name
	}
	hint := suggest(name, names)
	if hint == "" {
		hint = "; there is " + strings.Join(names, ", ")
	}
	if name == "" {
		e.fault("protocol", "is missing%s", hint)
	} else {
		e.fault("protocol", "unknown protocol %q%s", name, hint)
	}
	return core.Protocol{}, false
}

// options decodes the options of the protocol, which then checks them.
func (e *endpointReader) options(ep *Endpoint, p core.Protocol) {
	ep.Options = nil
	if p.Options == nil {
		if e.given("options") {
			e.fault("options", "the protocol %s has no options", p.Name)
		}
		return
	}
	ep.Options = p.Options()
	path := join(e.path, "options")
	before := len(e.problems)
	e.decode(path, e.fields["options"], reflect.ValueOf(ep.Options).Elem())
	if p.Validate == nil || len(e.problems) > before {
		return
	}
	e.addNamed(path, p.Validate(ep.Options))
}

// addNamed reports the errors that err joins. Each may begin with a key below path, as in "key:
// text".
func (e *endpointReader) addNamed(path string, err error) {
	for _, err := range split(err) {
		key, text, named := strings.Cut(err.Error(), ": ")
		if named && !strings.ContainsAny(key, " \t") {
			e.add(join(path, key), "%s", text)
		} else {
			e.add(path, "%s", err)
		}
	}
}

// split returns the errors that err joins.
func split(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// format makes the wire format and takes its defaults.
func (e *endpointReader) format(ep *Endpoint, p core.Protocol) {
	f, err := p.New(ep.Options, int(ep.MaxMessageSize))
	if err == nil && !e.given("max_message_size") {
		ep.MaxMessageSize = Size(f.Profile().MaxMessage)
		f, err = p.New(ep.Options, int(ep.MaxMessageSize))
	}
	if err != nil {
		e.fault("options", "%s", err)
		return
	}
	ep.Format = f
	e.checkCookies(ep)
	e.liveness(ep, f.Profile())
}

// liveness takes the format's own times if none are given. If only the ping interval is given, the
// pong keeps the margin that the format leaves for it.
func (e *endpointReader) liveness(ep *Endpoint, p core.Profile) {
	if !e.given("idle_timeout") {
		ep.IdleTimeout = p.IdleTimeout
	}
	if !e.given("ping_interval") {
		ep.PingInterval = p.PingInterval
	}
	switch {
	case e.given("pong_timeout"):
	case ep.PingInterval == 0 || p.PongTimeout == 0:
		ep.PongTimeout = 0
	default:
		ep.PongTimeout = ep.PingInterval + max(p.PongTimeout-p.PingInterval, time.Second)
	}
	if ep.PongTimeout > 0 && ep.PongTimeout <= ep.PingInterval {
		e.fault("pong_timeout", "must be longer than ping_interval, which is %s", ep.PingInterval)
	}
	if ep.PongTimeout > 0 && ep.PingInterval == 0 {
		e.fault("pong_timeout", "is no use without pings; set ping_interval")
	}
}
