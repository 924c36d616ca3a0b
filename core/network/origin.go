package network

import (
	"net/url"
	"slices"
	"strings"

	"github.com/polywire/polywire/core"
)

// originAllowed reports whether a page of an origin may connect. hosts are the hosts that the
// client asked for, if known.
func (ep *endpoint) originAllowed(origin string, hosts []string) bool {
	if origin == "" {
		return true
	}
	normal := core.NormalOrigin(origin)
	allowed := ep.settings.Load().Origins
	if allowed == nil {
		return !ep.profile.SameOrigin || sameOrigin(normal, hosts)
	}
	return slices.ContainsFunc(allowed, func(one string) bool {
		return originMatches(one, normal) || originMatches(one, origin)
	})
}

// sameOrigin reports whether a page of origin, which is normalized, belongs to one of the hosts
// that the client asked for. The default port of the page's scheme may be written or left out
// (RFC 6454, section 4).
func sameOrigin(origin string, hosts []string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	return slices.ContainsFunc(hosts, func(host string) bool {
		host = core.WithoutDefaultPort(u.Scheme, host)
		// Clients can send thousands of hosts that a proxy passes on.
		return len(host) == len(u.Host) && strings.ToLower(host) == u.Host
	})
}

// allowedOrigins says which pages may connect, for the log.
func (ep *endpoint) allowedOrigins() string {
	if allowed := ep.settings.Load().Origins; allowed != nil {
		return strings.Join(allowed, " ")
	}
	return "the same host"
}

// originMatches reports whether origin matches allowed. In allowed, one * stands for the
// labels before a domain (https://*.example.com) or for a port (http://localhost:*); alone
// it stands for all origins.
func originMatches(allowed, origin string) bool {
	before, after, wild := strings.Cut(strings.ToLower(allowed), "*")
	if !wild || allowed == "*" {
		return wild || strings.EqualFold(allowed, origin)
	}
	rest, ok := strings.CutPrefix(strings.ToLower(origin), before)
	if !ok || len(rest) <= len(after) || !strings.HasSuffix(rest, after) {
		return false
	}
	return strings.Trim(rest[:len(rest)-len(after)], "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}
