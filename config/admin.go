package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Admin is a server for operators, which shows metrics and health and serves /v1, or with the key api one for
// backends, which only publishes and calls.
type Admin struct {
	// Listen is its own address, in the form of an endpoint's; "" turns the server off.
	Listen string `koanf:"listen"`
	// Hosts are the host names, besides those of the loopback interface, under which the server
	// answers; "*" is any.
	Hosts []string `koanf:"hosts"`
	// TLS is the TLS of the listener, if it has any.
	TLS TLS `koanf:"tls"`
	// Auth are the ways in which those who ask show who they are, in the order in which they are tried.
	Auth []Auth `koanf:"auth"`
	// Tokens are further credentials, of which the configuration has no more than the hashes.
	Tokens []AdminToken `koanf:"tokens"`
	// Allow says who has which role.
	Allow Allow `koanf:"allow"`
	// ReloadToken is a token of somebody who may operate: the short form of an entry of Tokens, which leaves the
	// metrics to everybody and taps to programs on the same machine. Only admin has it.
	ReloadToken string `koanf:"reload_token"`
	// Redact is what taps leave out. Only admin has it.
	Redact Redact `koanf:"redact"`
	// Health says what the named checks of /livez and /readyz make of what they find. Only admin has it.
	Health Health `koanf:"health"`
}

// named reports whether the configuration says who may do what.
func (a *Admin) named() bool { return len(a.Auth) > 0 || len(a.Tokens) > 0 }

// AdminToken is a token and who shows it.
type AdminToken struct {
	// Hash is that of the token.
	Hash Digest `koanf:"hash"`
	// Subject names who shows it.
	Subject string `koanf:"subject"`
	// Role is read, publish or operate; "" leaves it to Allow.
	Role string `koanf:"role"`
}

// Digest is the SHA-256 of a token, written "sha256:" and 64 hexadecimal digits.
type Digest [sha256.Size]byte

// DigestOf returns the digest of a token.
func DigestOf(token string) Digest { return sha256.Sum256([]byte(token)) }

// String returns the digest as the configuration has it.
func (d Digest) String() string { return digestPrefix + hex.EncodeToString(d[:]) }

const digestPrefix = "sha256:"

// UnmarshalText parses a digest. The error does not show the text, which may be the token itself.
func (d *Digest) UnmarshalText(text []byte) error {
	digits, ok := strings.CutPrefix(string(text), digestPrefix)
	sum, err := hex.DecodeString(digits)
	if !ok || err != nil || len(sum) != len(d) {
		return fmt.Errorf("must be %s and %d hexadecimal digits, as `broker admin token` prints it, not the token itself", digestPrefix, 2*len(d))
	}
	*d = Digest(sum)
	return nil
}

// Allow says who has which role. Who operates may do what the others may.
type Allow struct {
	Read    []Grant `koanf:"read"`
	Publish []Grant `koanf:"publish"`
	Operate []Grant `koanf:"operate"`
}

// Grant is for those who have all of these claims, each with one of the values; "*" is any value. The claim
// "subject" is the user, as in access lists.
type Grant map[string]Texts

// adminRoles are the roles.
var adminRoles = []string{"read", "publish", "operate"}

// of returns the grants of a role.
func (a *Allow) of(role string) []Grant {
	return map[string][]Grant{"read": a.Read, "publish": a.Publish, "operate": a.Operate}[role]
}

// readAdmin sets the defaults of a server for operators or backends and checks it. tree is the whole configuration.
func (r *report) readAdmin(key string, a *Admin, tree map[string]any) {
	fields, _ := tree[key].(map[string]any)
	if a.Listen == "" {
		if fields != nil && fields["listen"] == nil {
			r.add(join(key, "listen"), "is missing")
		}
		return
	}
	if key != "admin" && fields["reload_token"] != nil {
		r.add(join(key, "reload_token"), "unknown key; list tokens")
	}
	if key != "admin" && fields["redact"] != nil {
		r.add(join(key, "redact"), "unknown key; only admin has taps")
	}
	if key != "admin" && fields["health"] != nil {
		r.add(join(key, "health"), "unknown key; only admin answers for health")
	}
	if problem := badAddress(a.Listen); problem != "" {
		r.add(join(key, "listen"), "%s", problem)
	} else if !a.named() && a.ReloadToken == "" && !nearby(a.Listen) && fields["auth"] == nil && fields["tokens"] == nil {
		r.add(join(key, "listen"), "%q can be reached from other machines, and nobody has to say who he is: list tokens (`broker admin token` makes one) or auth, or listen on 127.0.0.1", a.Listen)
	}
	a.Listen = cleanAddress(a.Listen)
	for i, host := range a.Hosts {
		if problem := badAdminHost(host); problem != "" {
			r.add(join(key, "hosts."+strconv.Itoa(i)), "%q %s", host, problem)
		}
	}
	e := &endpointReader{report: r, path: key, fields: fields}
	e.tls(&a.TLS)
	e.auth(&Endpoint{Auth: a.Auth, TLS: a.TLS})
	e.adminAuth(a)
	e.adminTokens(a)
	e.adminAllow(a)
}

// nearby reports whether only programs on this machine reach an address.
func nearby(listen string) bool {
	if strings.HasPrefix(listen, unixPrefix) {
		return true
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// adminAuth checks what is only wrong at a server that is not for clients.
func (e *endpointReader) adminAuth(a *Admin) {
	for i, one := range a.Auth {
		at := join("auth", strconv.Itoa(i))
		if one.Type == "none" {
			e.fault(join(at, "type"), "none has no place here: who asks must say who he is, unless auth and tokens are left out")
		}
		for j, p := range one.From {
			if p.In != "header" {
				e.fault(join(at, join("from", strconv.Itoa(j))), "must be header or header:NAME: queries end up in logs, and browsers send cookies for the pages of any site")
			}
		}
	}
}

func (e *endpointReader) adminTokens(a *Admin) {
	e.checkWritten("tokens", "to have none, leave it out")
	first := make(map[Digest]int)
	for i, t := range a.Tokens {
		at := join("tokens", strconv.Itoa(i))
		if t.Hash == (Digest{}) {
			e.fault(join(at, "hash"), "is missing; `broker admin token` makes a token and its hash")
		} else if other, ok := first[t.Hash]; ok {
			e.fault(join(at, "hash"), "is that of tokens[%d] already", other)
		} else {
			first[t.Hash] = i
		}
		if t.Subject == "" {
			e.fault(join(at, "subject"), "is missing; the log names who has done something")
		}
		switch {
		case t.Role == "" && !a.Allow.mentions(t.Subject):
			e.fault(join(at, "role"), "is missing: %s, unless allow gives the subject one", strings.Join(adminRoles, ", "))
		case t.Role != "" && !slices.Contains(adminRoles, t.Role):
			e.fault(join(at, "role"), "must be %s, not %q%s", strings.Join(adminRoles, ", "), t.Role, suggest(t.Role, adminRoles))
		}
	}
}

// mentions reports whether a subject may have a role.
func (a *Allow) mentions(subject string) bool {
	for _, role := range adminRoles {
		for _, g := range a.of(role) {
			for _, value := range g["subject"].List {
				if value == subject || value == "*" {
					return true
				}
			}
		}
	}
	return false
}

func (e *endpointReader) adminAllow(a *Admin) {
	none := true
	for _, role := range adminRoles {
		for i, g := range a.Allow.of(role) {
			none = false
			at := join("allow", join(role, strconv.Itoa(i)))
			if len(g) == 0 {
				e.fault(at, "names nobody; write a claim and its values, such as {subject: ann} or {groups: [staff]}")
			}
			for _, claim := range sortedKeys(g) {
				if len(g[claim].List) == 0 {
					e.fault(join(at, claim), "has no values; \"*\" is any")
				}
				for _, value := range g[claim].List {
					if value == "" {
						e.fault(join(at, claim), "has an empty value, which nobody has")
					}
				}
			}
		}
	}
	switch {
	case !none && !a.named():
		e.fault("allow", "is no use without auth or tokens, which say who asks")
	case none && len(a.Auth) > 0:
		e.fault("allow", "is missing: it says which of those whom auth knows have the role %s", strings.Join(adminRoles, ", "))
	}
}
