package network

import (
	"net/url"
	"slices"
	"strings"
)

// originAllowed reports whether the page that wants to connect may.
func (ep *endpoint) originAllowed(h *head) bool {
	origin := h.get("Origin")
	if origin == "" {
		return true
	}
	allowed := ep.settings.Load().Origins
	if allowed == nil {
		if !ep.profile.SameOrigin {
			return true
		}
		u, err := url.Parse(origin)
		return err == nil && strings.EqualFold(u.Host, h.get("Host"))
	}
	return slices.ContainsFunc(allowed, func(one string) bool { return originMatches(one, origin) })
}

// allowedOrigins says which pages may connect, for the log.
func (ep *endpoint) allowedOrigins() string {
	if allowed := ep.settings.Load().Origins; allowed != nil {
		return strings.Join(allowed, " ")
	}
	return "the same host"
}

// originMatches reports whether an origin is the one that is allowed. In it, one *
// stands for the labels before a domain (https://*.example.com) or for a port
// (http://localhost:*); alone it stands for all.
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
