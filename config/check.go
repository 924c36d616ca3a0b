package config

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/polywire/polywire/core"
)

// maxMessage is the highest max_message_size.
const maxMessage = 1 << 30

// maxServiceCalls is the highest limit of unanswered calls of one service.
const maxServiceCalls = 1 << 24

// minCallBudget is the lowest calls.budget.
const minCallBudget = 1 << 20

func (e *endpointReader) checkName(name string) {
	switch {
	case name == "":
		e.fault("name", "is missing")
	case !isWord(name):
		e.fault("name", "%q may hold letters, digits, - and _ only", name)
	}
}

// isWord reports whether s is letters, digits, - and _, and not empty.
func isWord(s string) bool {
	for _, c := range s {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return s != ""
}

// checkAddress checks listen and path.
func (e *endpointReader) checkAddress(ep *Endpoint) {
	if ep.Listen == "" && e.given("listen") {
		e.fault("listen", "must not be empty; leave it out for the usual address of the protocol, if it has one")
	} else if ep.Listen == "" {
		e.fault("listen", "is missing; the protocol %s has no usual address", ep.Protocol)
	} else if problem := badAddress(ep.Listen); problem != "" {
		e.fault("listen", "%s", problem)
	}
	ep.Listen = cleanAddress(ep.Listen)
	e.checkPath("path", ep.Path)
	e.checkPath("health", ep.Health)
}

// checkPath checks an optional path.
func (e *endpointReader) checkPath(key, path string) {
	switch {
	case path == "":
	case path[0] != '/':
		e.fault(key, "must begin with a slash, not be %q", path)
	case strings.ContainsAny(path, "?# "):
		e.fault(key, "%q is no path: ?, # and spaces have no place in it", path)
	case strings.Contains(path, "*"):
		e.fault(key, "%q has a *, which stands for itself: paths have no wildcards, but path \"\" is any path", path)
	case strings.Contains(path, "%"):
		// The path of a request is decoded before it is compared.
		plain, err := url.PathUnescape(path)
		if err != nil || strings.ContainsAny(plain, "?# ") {
			e.fault(key, "%q is no path: %%, ?, # and spaces have no place in it", path)
			return
		}
		e.fault(key, "%q is percent-encoded, and would match nothing; write %q", path, plain)
	}
}

// checkLimits checks the values that were given; the defaults are valid.
func (e *endpointReader) checkLimits(ep *Endpoint) {
	if e.given("max_message_size") && (ep.MaxMessageSize < 1 || ep.MaxMessageSize > maxMessage) {
		e.fault("max_message_size", "must be from 1 byte to 1GiB, not %s", ep.MaxMessageSize)
	}
	if e.given("outbound_limit") && ep.OutboundLimit < 1 {
		e.fault("outbound_limit", "must be more than 0")
	}
	policies := []string{"disconnect", "drop_oldest", "drop_newest", "conflate"}
	if !slices.Contains(policies, ep.SlowConsumer) {
		e.fault("slow_consumer", "must be %s, not %q%s", strings.Join(policies, ", "), ep.SlowConsumer, suggest(ep.SlowConsumer, policies))
	}
	notNegative := func(key string, d time.Duration) {
		if d < 0 {
			e.fault(key, "must not be negative")
		}
	}
	notNegative("ping_interval", ep.PingInterval)
	notNegative("pong_timeout", ep.PongTimeout)
	notNegative("idle_timeout", ep.IdleTimeout)
	if ep.CallTimeout <= 0 {
		e.fault("call_timeout", "must be more than 0")
	}
	if ep.MaxCalls < 1 {
		e.fault("max_calls", "must be at least 1")
	}
	for i, entry := range ep.Origins {
		origin, err := parseOrigin(entry)
		if err != nil {
			e.fault(join("origins", strconv.Itoa(i)), "%q %s", entry, err)
			continue
		}
		ep.Origins[i] = origin
	}
	e.checkClients(ep.Limits)
	choices := []string{"off", "optional", "required"}
	if !slices.Contains(choices, ep.ProxyProtocol) {
		e.fault("proxy_protocol", "must be %s, not %q%s", strings.Join(choices, ", "), ep.ProxyProtocol, suggest(ep.ProxyProtocol, choices))
	}
	e.checkPrefix(ep.TopicPrefix)
}

func (e *endpointReader) checkPrefix(prefix string) {
	switch {
	case core.Reserved([]byte(prefix)):
		e.fault("topic_prefix", "%q belongs to the broker", prefix)
	case core.HasWildcard(prefix):
		e.fault("topic_prefix", "%q must not have wildcards", prefix)
	}
}

func (r *report) checkServices(services []Service, entries map[string]any) {
	matches := make(map[string]int, len(services))
	for i, s := range services {
		path := "services." + strconv.Itoa(i)
		fields, _ := entries[strconv.Itoa(i)].(map[string]any)
		if fields["match"] == nil {
			// "" is the service without a name.
			r.add(join(path, "match"), "is missing")
		} else if first, ok := matches[s.Match]; ok {
			r.add(join(path, "match"), "%q is answered by services[%d] already", s.Match, first)
		} else {
			matches[s.Match] = i
			if core.MatchesNothing(s.Match) {
				r.add(join(path, "match"), "%q matches nothing: # is for the last level", s.Match)
			}
		}
		r.checkAnswerer(path, s)
	}
}

func (r *report) checkCalls(c Calls) {
	if c.MaxPerService < 1 || c.MaxPerService > maxServiceCalls {
		r.add("calls.max_per_service", "must be from 1 to %d", maxServiceCalls)
	}
	if c.Budget < minCallBudget {
		r.add("calls.budget", "must be at least 1MiB")
	}
}

func (r *report) checkRedact(rules Redact) {
	for key, names := range map[string][]string{"keys": rules.Keys, "headers": rules.Headers} {
		for i, name := range names {
			if name == "" {
				r.add("admin.redact."+key+"."+strconv.Itoa(i), "must not be empty")
			}
		}
	}
	for i, topic := range rules.Topics {
		if topic == "" || core.MatchesNothing(topic) {
			r.add("admin.redact.topics."+strconv.Itoa(i), "%q matches no topic", topic)
		}
	}
}

func (r *report) checkLog(l Log) {
	formats := []string{"text", "json"}
	if !slices.Contains(formats, l.Format) {
		r.add("log.format", "must be text or json, not %q%s", l.Format, suggest(l.Format, formats))
	}
	modes := []string{"off", "refusals", "all"}
	if !slices.Contains(modes, l.Access) {
		r.add("log.access", "must be off, refusals or all, not %q%s", l.Access, suggest(l.Access, modes))
	}
}

func (r *report) checkNetwork(n Network, endpoints []Endpoint) {
	between := func(key string, value, low, high int) {
		if value != 0 && (value < low || value > high) {
			r.add(join("network", key), "must be from %d to %d, or 0 for the default", low, high)
		}
	}
	between("loops", n.Loops, 1, 1024)
	between("max_connections", n.MaxConnections, 1, 1<<30)
	between("max_handshakes", n.MaxHandshakes, 1, 1<<20)
	between("max_handshakes_per_address", n.MaxHandshakesPerAddress, 1, 1<<20)
	between("max_http_per_address", n.MaxHTTPPerAddress, 1, 1<<20)
	between("handshake_burst", n.HandshakeBurst, 1, 1<<20)
	if n.HandshakeBurst > 0 && n.HandshakeRate.N == 0 {
		r.add("network.handshake_burst", "is no use without handshake_rate, such as 500/s")
	}
	between("max_header", int(n.MaxHeader), 512, 1<<20)
	between("max_header_fields", n.MaxHeaderFields, 16, 1<<16)
	between("send_buffer", int(n.SendBuffer), 2048, 1<<30)
	for _, ep := range endpoints {
		if n.OutboundBudget != 0 && n.OutboundBudget < ep.OutboundLimit {
			r.add("network.outbound_budget", "must be at least the outbound_limit of every endpoint; that of %s is %s", ep.Name, ep.OutboundLimit)
			break
		}
	}
	for _, ep := range endpoints {
		if n.InboundBudget != 0 && n.InboundBudget < 2*ep.MaxMessageSize {
			r.add("network.inbound_budget", "must be at least twice the max_message_size of every endpoint; that of %s is %s", ep.Name, ep.MaxMessageSize)
			break
		}
	}
	if n.HandshakeTimeout < 0 {
		r.add("network.handshake_timeout", "must not be negative")
	}
	if n.HTTPIdleTimeout < 0 {
		r.add("network.http_idle_timeout", "must not be negative")
	}
}

func (r *report) checkDrain(d Drain) {
	if d.Timeout <= 0 {
		r.add("drain.timeout", "must be more than 0")
	}
	if d.Delay < 0 {
		r.add("drain.delay", "must not be negative")
	}
}

// checkAnswerer checks the answerer of a service: exactly one of builtin and url.
func (r *report) checkAnswerer(path string, s Service) {
	switch {
	case s.Builtin == "" && s.URL == "":
		r.add(path, "needs builtin or url, to say who answers")
	case s.Builtin != "" && s.URL != "":
		r.add(join(path, "url"), "is no use with builtin; leave one of them out")
	case s.Builtin != "" && s.Builtin != "echo":
		r.add(join(path, "builtin"), "unknown builtin %q; there is echo", s.Builtin)
	case s.URL != "":
		if problem := badURL(s.URL); problem != "" {
			r.add(join(path, "url"), "%s", problem)
		}
	}
	if s.Timeout < 0 {
		r.add(join(path, "timeout"), "must not be negative")
	}
	if s.IdleTimeout < 0 {
		r.add(join(path, "idle_timeout"), "must not be negative")
	}
	switch {
	case s.MaxCalls < 0 || s.MaxCalls > maxServiceCalls:
		r.add(join(path, "max_calls"), "must be from 1 to %d, or 0 for the default", maxServiceCalls)
	case s.MaxCalls > 0 && s.Builtin != "":
		r.add(join(path, "max_calls"), "is no use with builtin, which does not keep a call waiting")
	}
}
