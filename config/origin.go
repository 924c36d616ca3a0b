package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"github.com/polywire/polywire/core"
)

// normalOrigin returns an origin as browsers send it. The error says why no browser would
// ever send one that matches.
func normalOrigin(origin string) (string, error) {
	if origin == "*" || strings.EqualFold(origin, "null") {
		return strings.ToLower(origin), nil
	}
	scheme, host, ok := strings.Cut(core.NormalOrigin(strings.TrimSpace(origin)), "://")
	switch {
	case !ok || scheme == "":
		return "", fmt.Errorf(`is no origin such as "https://example.com", nor "*"`)
	case strings.ContainsAny(host, "/?#"):
		return "", fmt.Errorf("has a path, which no origin has; write %q", scheme+"://"+host[:strings.IndexAny(host, "/?#")])
	case strings.Contains(host, "@"):
		return "", fmt.Errorf("has a user, which no origin has")
	}
	// Anywhere else a * would match hosts that nobody meant: example.com.evil.org.
	name, wild := strings.CutPrefix(host, "*.")
	port := ""
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, ']') {
		name, port = name[:i], name[i:]
	}
	if strings.Contains(name, "*") || wild && port == ":*" {
		return "", fmt.Errorf(`may have one *, for the labels before a domain ("https://*.example.com") or for a port ("http://localhost:*")`)
	}
	if n, err := strconv.ParseUint(strings.TrimPrefix(port, ":"), 10, 16); port != "" && port != ":*" && (err != nil || port != ":"+strconv.FormatUint(n, 10)) {
		return "", fmt.Errorf("has no port from 0 to 65535")
	}
	if scheme == "http" || scheme == "https" {
		var err error
		if name, err = normalHost(name); err != nil {
			return "", err
		}
	}
	if wild {
		name = "*." + name
	}
	return scheme + "://" + name + port, nil
}

// hosts turns names that are not ASCII into what browsers send of them.
var hosts = idna.New(idna.MapForLookup(), idna.StrictDomainName(false))

// normalHost returns the host of a web page as browsers send it.
func normalHost(name string) (string, error) {
	if inner, ok := strings.CutPrefix(name, "["); ok {
		a, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !a.Is6() || a.Zone() != "" {
			return "", fmt.Errorf("has no IPv6 address between its brackets")
		}
		return "[" + a.String() + "]", nil
	}
	ascii, err := hosts.ToASCII(name)
	switch {
	case err != nil:
		return "", fmt.Errorf("has a host that browsers do not know: %w", err)
	case ascii == "" || strings.Contains(ascii, "..") || ascii[0] == '.' || !plainHost(ascii):
		return "", fmt.Errorf("has no host such as example.com")
	}
	// Browsers take a name that ends in a number for an IPv4 address, and write it out.
	if last := ascii[strings.LastIndexByte(ascii, '.')+1:]; last != "" && strings.Trim(last, "0123456789") == "" {
		if a, err := netip.ParseAddr(ascii); err != nil || !a.Is4() {
			return "", fmt.Errorf("has no IPv4 address of four numbers")
		}
	}
	return ascii, nil
}

// plainHost reports whether name has only letters, digits and what else a host may have.
func plainHost(name string) bool {
	return strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-._") == ""
}
