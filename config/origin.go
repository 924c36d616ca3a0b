package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// hostNames maps host names as browsers do before they write them into an Origin.
var hostNames = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false))

// parseOrigin normalizes an entry of origins to what browsers send (RFC 6454): lower case and
// ASCII, without a default port and a trailing slash. An entry that can never match is an error,
// worded to follow the entry.
func parseOrigin(entry string) (string, error) {
	text := strings.TrimSpace(entry)
	if text == "*" || strings.EqualFold(text, "null") {
		return strings.ToLower(text), nil
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return "", fmt.Errorf(`is no origin such as "https://example.com", nor "*"%s`, guess(text))
	}
	scheme = strings.ToLower(scheme)
	if !validScheme(scheme) {
		return "", fmt.Errorf(`begins with %q, which is no scheme; write one such as https, or "*" alone for all origins`, scheme)
	}
	if strings.ContainsAny(rest, " ,") && strings.Contains(rest, "://") {
		return "", errors.New("is more than one origin; write one for each entry")
	}
	rest = strings.TrimRight(rest, "/")
	if rest == "" {
		if scheme == "file" {
			return "file://", nil
		}
		return "", errors.New("names no host")
	}
	if i := strings.IndexAny(rest, "/?#\\"); i >= 0 {
		return "", fmt.Errorf("has a path; an origin ends with its host and port, so write %q", scheme+"://"+rest[:i])
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		return "", fmt.Errorf("has a user; an origin has none, so write %q", scheme+"://"+rest[i+1:])
	}
	host, port, err := splitPort(rest)
	if err != nil {
		return "", err
	}
	rest, wild := strings.CutPrefix(host, "*.")
	if wild && port == "*" {
		return "", errStars
	}
	if host, err = originHost(rest, scheme); err != nil {
		return "", err
	}
	if wild {
		if strings.HasPrefix(host, "[") || isIPv4(host) {
			return "", errors.New("has a * before an address, which has no names below it")
		}
		host = "*." + host
	}
	if port == "" || port == defaultPorts[scheme] {
		return scheme + "://" + host, nil
	}
	return scheme + "://" + host + ":" + port, nil
}

// defaultPorts are the ports that an origin leaves out.
var defaultPorts = map[string]string{"http": "80", "https": "443"}

// guess guesses what an entry without a scheme was meant to be.
func guess(text string) string {
	if strings.ContainsAny(text, " ,") {
		return "; write one origin for each entry"
	}
	text = strings.TrimPrefix(text, "//")
	if text == "" || strings.HasPrefix(text, "/") {
		return ""
	}
	if o, err := parseOrigin("https://" + text); err == nil {
		return fmt.Sprintf("; did you mean %q?", o)
	}
	return ""
}

func validScheme(s string) bool {
	for i, c := range s {
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return s != "" && s != "ws" && s != "wss"
}

// splitPort splits the port off a host. It is "*", or a number without leading zeros.
func splitPort(s string) (host, port string, err error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") {
		return s, "", nil
	}
	host, port = s[:i], s[i+1:]
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return "", "", fmt.Errorf("has a colon too many; write an IPv6 address in brackets, as in \"https://[::1]:8443\"")
	}
	if port == "" || port == "*" {
		return host, port, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", "", fmt.Errorf("has %q where a port from 0 to 65535 is due", port)
	}
	return host, strconv.FormatUint(n, 10), nil
}

// errStars: elsewhere a * would match hosts that nobody meant: example.com.evil.org.
var errStars = errors.New(`may have one *, for the labels before a domain ("https://*.example.com") or for a port ("http://localhost:*")`)

// originHost returns a host as browsers write it.
func originHost(host, scheme string) (string, error) {
	switch {
	case strings.Contains(host, "*"):
		return "", errStars
	case host == "":
		return "", errors.New("names no host")
	case host[0] == '[':
		a, err := netip.ParseAddr(strings.TrimSuffix(host[1:], "]"))
		if err != nil || !a.Is6() || a.Zone() != "" || !strings.HasSuffix(host, "]") {
			return "", fmt.Errorf("has %q, which is no IPv6 address", host)
		}
		return "[" + bareIPv6(a) + "]", nil
	case scheme != "http" && scheme != "https":
		// Extensions and apps choose their host freely.
		if strings.ContainsAny(host, " \t,\"'<>") {
			return "", fmt.Errorf("has %q, which is no host", host)
		}
		return strings.ToLower(host), nil
	}
	name, err := hostNames.ToASCII(host)
	// An "xn--" with nothing behind it becomes an empty label.
	if err != nil || name == "" || name[0] == '.' || strings.Contains(name, "..") || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-._~") != "" {
		return "", fmt.Errorf("has %q, which is no name of a host", host)
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	if _, err := strconv.ParseUint(last, 10, 64); err == nil && !isIPv4(name) {
		return "", fmt.Errorf("has %q, which is neither an IPv4 address nor a name", host)
	}
	return name, nil
}

// bareIPv6 formats an address as browsers do: IPv4 within IPv6 in hexadecimal digits.
func bareIPv6(a netip.Addr) string {
	if !a.Is4In6() {
		return a.String()
	}
	b := a.As16()
	return fmt.Sprintf("::ffff:%x:%x", uint16(b[12])<<8|uint16(b[13]), uint16(b[14])<<8|uint16(b[15]))
}

func isIPv4(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is4()
}
