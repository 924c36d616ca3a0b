package core

import "strings"

// NormalOrigin returns a web origin as browsers write it: in small letters, without the
// port that its scheme has anyway (RFC 6454, section 6.2) and without a slash at the end.
// What is no origin comes back in small letters.
func NormalOrigin(origin string) string {
	origin = strings.ToLower(origin)
	scheme, host, ok := strings.Cut(origin, "://")
	if !ok {
		return origin
	}
	return scheme + "://" + WithoutDefaultPort(scheme, strings.TrimSuffix(host, "/"))
}

// WithoutDefaultPort returns the host without its port, if that is the one of scheme.
func WithoutDefaultPort(scheme, host string) string {
	switch scheme {
	case "http", "ws":
		return strings.TrimSuffix(host, ":80")
	case "https", "wss":
		return strings.TrimSuffix(host, ":443")
	}
	return host
}
