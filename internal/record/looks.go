package record

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	uuids      = regexp.MustCompile(`(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	timestamps = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?`)
	// secretText finds what is secret in text: the first group that matched.
	secretText = regexp.MustCompile(`(eyJ[\w-]{5,}\.[\w-]+\.[\w-]*)` +
		`|(?i:\b(?:bearer|basic)\s+([\w.~+/=-]{6,}))` +
		`|(?i:\b[\w-]*(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|session[_-]?key|credential|jwt)["']?\s*[=:]\s*["']?([^\s"'&,;{}\[\]]+))`)
)

// The expressions are slow, and most texts hold nothing that they find.

// hasSecret reports whether a text holds what secretText finds.
func hasSecret(s string) bool { return mayHoldSecret(s) && secretText.MatchString(s) }

func mayHoldSecret(s string) bool {
	return strings.ContainsAny(s, "=:") || strings.Contains(s, "eyJ") || strings.Contains(s, "earer ") || strings.Contains(s, "asic ") ||
		strings.Contains(s, "EARER ") || strings.Contains(s, "ASIC ")
}

// FindUUIDs returns where UUIDs are in a text, as [regexp.Regexp.FindAllStringIndex] does.
func FindUUIDs(s string) [][]int {
	if len(s) < 36 || strings.Count(s, "-") < 4 {
		return nil
	}
	return uuids.FindAllStringIndex(s, -1)
}

// FindTimes returns where times are in a text, such as those of RFC 3339.
func FindTimes(s string) [][]int {
	if len(s) < 19 || strings.Count(s, ":") < 2 || strings.Count(s, "-") < 2 {
		return nil
	}
	return timestamps.FindAllStringIndex(s, -1)
}

var separators = strings.NewReplacer("_", "", "-", "", ".", "")

// credential reports whether a member, parameter or header of this name holds what lets one in.
func credential(name string) bool {
	name = separators.Replace(strings.ToLower(name))
	switch name {
	case "auth", "pwd", "pass", "pw", "pin", "otp", "sig", "signature", "xauth":
		return true
	}
	for _, part := range []string{
		"password", "passwd", "passphrase", "secret", "token", "apikey", "authorization", "credential", "jwt", "sessionkey", "sessionid",
		"privatekey", "accesskey", "authkey", "cookie",
	} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// parameterCredential is credential for a query, where names are shorter.
func parameterCredential(name string) bool {
	if credential(name) {
		return true
	}
	name = strings.ToLower(name)
	switch name {
	case "code", "sid", "ticket":
		return true
	}
	return strings.Contains(name, "key") || strings.Contains(name, "auth") || strings.Contains(name, "session")
}

// opaque reports whether a text looks like chance: long, without spaces, of letters and digits.
func opaque(s string) bool {
	return len(s) >= 16 && !strings.ContainsAny(s, " \t") && strings.ContainsAny(s, "0123456789") &&
		strings.ContainsFunc(s, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' })
}

var plainProtocol = regexp.MustCompile(`^[A-Za-z][A-Za-z_-]{0,20}([./v-]?[0-9]{1,3}){0,3}(\.[a-z]{1,12}){0,3}$`)

// announces reports whether what follows a subprotocol may be a token.
func announces(p string) bool {
	p = strings.ToLower(p)
	return credential(p) || strings.Contains(p, "bearer") || strings.Contains(p, "auth")
}

// IsTime reports whether a number is a time of these days, in seconds, ms, µs or ns.
func IsTime(number []byte, now time.Time) bool {
	whole, _, _ := strings.Cut(string(number), ".")
	if len(whole) < 10 || len(whole) > 19 {
		return false
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return false
	}
	var t time.Time
	switch len(whole) {
	case 10:
		t = time.Unix(n, 0)
	case 13:
		t = time.UnixMilli(n)
	case 16:
		t = time.UnixMicro(n)
	case 19:
		t = time.Unix(0, n)
	default:
		return false
	}
	return t.Sub(now).Abs() < 48*time.Hour
}
