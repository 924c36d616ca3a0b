package core

import "strings"

// NormalOrigin returns a web origin as browsers write it: in lower case, without the default
// port of its scheme (RFC 6454, section 6.2) and without a slash at the end. Text that is
// not an origin comes back in lower case.
func NormalOrigin(origin string) string {
	origin = strings.ToLower(origin)
	scheme, host, ok := strings.Cut(origin, "://")
	if !ok {
		return origin
	}
	return scheme + "://" + WithoutDefaultPort(scheme, strings.TrimSuffix(host, "/"))
}

// WithoutDefaultPort returns the host without its port, if that is the default of scheme.
func WithoutDefaultPort(scheme, host string) string {
	switch scheme {
	case "http", "ws":
		return strings.TrimSuffix(host, ":80")
	case "https", "wss":
		return strings.TrimSuffix(host, ":443")
	}
	return host
}
