package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// unixPrefix is the prefix of Unix socket addresses.
const unixPrefix = "unix:"

// maxSocketPath is the longest path of a Unix socket: what fits into a sockaddr_un.
const maxSocketPath = 107

// badAddress returns what is wrong with an address to listen on, "host:port" or "unix:/path"; "" if
// it is valid.
func badAddress(address string) string {
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		return badSocket(path)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return strconv.Quote(address) + ` is no address such as ":8080", "127.0.0.1:8080" or "unix:/run/broker.sock"` + likely(address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || port != strconv.FormatUint(n, 10) {
		return strconv.Quote(address) + " has no port from 0 to 65535"
	}
	return badHost(address, host, port)
}

// likely guesses what an address without a port was meant to be.
func likely(address string) string {
	if n, err := strconv.ParseUint(address, 10, 16); err == nil {
		return fmt.Sprintf("; did you mean \":%d\"?", n)
	}
	if _, rest, ok := strings.Cut(address, "://"); ok {
		if rest = strings.TrimRight(rest, "/"); badAddress(rest) == "" {
			return fmt.Sprintf("; did you mean %q?", rest)
		}
	}
	if a, err := netip.ParseAddrPort(address); err == nil {
		return fmt.Sprintf("; did you mean %q?", a)
	}
	if i := strings.LastIndexByte(address, ':'); i > 0 && strings.Count(address, ":") > 1 {
		if a, err := netip.ParseAddr(address[:i]); err == nil {
			return fmt.Sprintf("; did you mean \"[%s]:%s\"?", a, address[i+1:])
		}
	}
	return ""
}

// badHost returns what is wrong with the host of an address.
func badHost(address, host, port string) string {
	switch _, err := netip.ParseAddr(host); {
	case host == "" || err == nil:
		return ""
	case host == "*":
		return fmt.Sprintf("%q has no host that can be listened on; for every address write %q", address, ":"+port)
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	_, notANumber := strconv.ParseUint(last, 10, 64)
	if notANumber == nil || strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" || strings.Contains(host, "..") {
		return fmt.Sprintf("%q has %q for a host, which is neither an address nor a name", address, host)
	}
	return ""
}

// cleanAddress normalizes an address, so that two addresses of one socket are the same text.
func cleanAddress(address string) string {
	if path, ok := strings.CutPrefix(address, unixPrefix); ok && filepath.IsAbs(path) {
		return unixPrefix + filepath.Clean(path)
	}
	return address
}

// badAdminHost returns what is wrong with a host name of the admin server.
func badAdminHost(host string) string {
	switch _, err := netip.ParseAddr(host); {
	case err == nil || host == "*":
		return ""
	case host == "":
		return "is empty"
	case strings.Contains(host, "://"), strings.ContainsAny(host, "/:* "):
		return `must be a name alone, such as "broker.internal", without scheme and port, or "*" for all`
	}
	return ""
}

// badSocket returns what is wrong with the path of a Unix socket.
func badSocket(path string) string {
	switch {
	case path == "":
		return `names no file; write the path of the socket, as in "unix:/run/broker.sock"`
	case !filepath.IsAbs(path) && path[0] != '@':
		return fmt.Sprintf("%q must be an absolute path, as in \"unix:/run/broker.sock\"", unixPrefix+path)
	case len(path) > maxSocketPath:
		return fmt.Sprintf("the path of a socket has at most %d bytes, not %d", maxSocketPath, len(path))
	case strings.HasSuffix(path, "/"):
		return fmt.Sprintf("%q is a directory, not a socket", unixPrefix+path)
	case strings.ContainsRune(path, 0):
		return "the path has a zero byte"
	}
	return ""
}
