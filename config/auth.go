package config

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Auth is one authentication method. Type decides which keys count; the others are zero.
type Auth struct {
	// Type is one of those in authKeys.
	Type string `koanf:"type"`

	// From is where clients show a token or JWT; nil is the header Authorization.
	From []Place `koanf:"from"`

	// Tokens are static tokens, TokenFile the path of a file of them; "" for none.
	Tokens    []Token `koanf:"tokens"`
	TokenFile string  `koanf:"token_file"`

	// Users are names and passwords, UserFile the path of a file of them; "" for none.
	Users    []User `koanf:"users"`
	UserFile string `koanf:"user_file"`

	// Secret, SecretFile, PublicKeys and JWKS are where the keys of JWTs are.
	Secret     string   `koanf:"secret"`
	SecretFile string   `koanf:"secret_file"`
	PublicKeys []string `koanf:"public_keys"`
	JWKS       string   `koanf:"jwks"`
	// Refresh is the time between two fetches of a JWKS URL.
	Refresh time.Duration `koanf:"refresh"`
	// Algorithms are the allowed ones; nil allows all that fit the keys.
	Algorithms []string `koanf:"algorithms"`
	// Issuer and Audience list values of which the token must have one; nil is any.
	Issuer   Texts `koanf:"issuer"`
	Audience Texts `koanf:"audience"`
	// Require are claims that a JWT must have, with one of these values; "*" is any.
	Require map[string]Texts `koanf:"require"`
	// Leeway is the tolerated difference to the clock of the issuer.
	Leeway time.Duration `koanf:"leeway"`

	// Subject is the claim of a JWT, or the part of a certificate (cn, dn, serial, dns,
	// email, uri), that names the user.
	Subject string `koanf:"subject"`

	// URL is the address of a webhook.
	URL string `koanf:"url"`
	// Timeout is for one request to a webhook or a JWKS URL.
	Timeout time.Duration `koanf:"timeout"`
	// IdleTimeout is how long an unused connection to a webhook is kept; 0 is 4s.
	IdleTimeout time.Duration `koanf:"idle_timeout"`
	Cache       Cache         `koanf:"cache"`
	// OnError is the policy while a webhook does not answer: deny or last_known.
	OnError string `koanf:"on_error"`
}

// Token is a static token and the user that it stands for.
type Token struct {
	Token   string         `koanf:"token"`
	Subject string         `koanf:"subject"`
	Claims  map[string]any `koanf:"claims"`
}

// User is a name and a password.
type User struct {
	User     string         `koanf:"user"`
	Password string         `koanf:"password"`
	Claims   map[string]any `koanf:"claims"`
}

// Texts is a list of texts; a single one may be written without brackets.
type Texts struct {
	List []string `koanf:"list"`
}

func (Texts) short() string { return "list" }

// Place is where a client shows a token: header, header:NAME, query:NAME, cookie:NAME,
// subprotocol or subprotocol:NAME.
type Place struct {
	// In is header, query, cookie or subprotocol.
	In string
	// Name is the name of the header, parameter, cookie or subprotocol; "" is the header
	// Authorization, or the subprotocol bearer.
	Name string
}

// UnmarshalText parses a place.
func (p *Place) UnmarshalText(text []byte) error {
	in, name, named := strings.Cut(string(text), ":")
	alone := in == "header" || in == "subprotocol"
	if !alone && in != "query" && in != "cookie" || named && name == "" || !named && !alone {
		return fmt.Errorf("must be header, header:NAME, query:NAME, cookie:NAME, subprotocol or subprotocol:NAME, not %q", text)
	}
	if in == "subprotocol" && strings.ContainsFunc(name, notInToken) {
		return fmt.Errorf("must name a subprotocol, which has no such characters as %q does", name)
	}
	*p = Place{In: in, Name: name}
	return nil
}

// notInToken reports whether a character cannot be in an HTTP token (RFC 9110, section 5.6.2); the
// name of a subprotocol is such a token.
func notInToken(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// The defaults of a method.
const (
	defaultRefresh     = 15 * time.Minute
	defaultHookTimeout = 5 * time.Second
	defaultLeeway      = 10 * time.Second
)

// authKeys are the keys of each type.
var authKeys = map[string][]string{
	"none":  {},
	"token": {"from", "tokens", "token_file"},
	"jwt": {
		"from", "secret", "secret_file", "public_keys", "jwks", "refresh", "timeout", "algorithms",
		"issuer", "audience", "require", "leeway", "subject",
	},
	"webhook":     {"url", "timeout", "idle_timeout", "cache", "on_error"},
	"certificate": {"subject"},
	"basic":       {"users", "user_file"},
}

// jwtAlgorithms are the values that a list of algorithms may have.
var jwtAlgorithms = []string{
	"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// secretSizes are the shortest secrets in bytes (RFC 7518, section 3.2).
var secretSizes = map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}

// auth sets the defaults of an endpoint's chain and checks it.
func (e *endpointReader) auth(ep *Endpoint) {
	e.checkWritten("auth", "to ask nobody who he is, leave it out")
	entries, _ := e.fields["auth"].([]any)
	if entries != nil && len(entries) == 0 {
		e.fault("auth", "is empty; to ask nobody who he is, leave it out")
	}
	webhooks := 0
	for i := range min(len(ep.Auth), len(entries)) {
		fields, ok := entries[i].(map[string]any)
		if !ok {
			continue // already reported
		}
		m := &methodReader{endpointReader: e, at: join("auth", strconv.Itoa(i)), fields: fields}
		m.read(&ep.Auth[i])
		switch ep.Auth[i].Type {
		case "none":
			if i < len(ep.Auth)-1 {
				m.fault("type", "none takes everybody; it has no place but the end")
			}
		case "webhook":
			if webhooks++; webhooks > 1 {
				m.fault("type", "there is a webhook already")
			}
		case "certificate":
			if ep.TLS.ClientCA == "" {
				m.fault("type", "client certificates need tls.client_ca, to be verified")
			}
		}
	}
}

// methodReader sets the defaults of one entry of auth and checks it.
type methodReader struct {
	*endpointReader
	at     string // below the endpoint
	fields map[string]any
}

func (m *methodReader) given(key string) bool { return m.fields[key] != nil }

func (m *methodReader) fault(key, format string, args ...any) {
	m.endpointReader.fault(join(m.at, key), format, args...)
}

func (m *methodReader) read(a *Auth) {
	keys, ok := authKeys[a.Type]
	if !ok {
		types := sortedKeys(authKeys)
		hint := suggest(a.Type, types)
		if hint == "" {
			hint = "; there is " + strings.Join(types, ", ")
		}
		m.fault("type", "must say how clients show who they are, not %q%s", a.Type, hint)
		return
	}
	for _, key := range sortedKeys(m.fields) {
		if key != "type" && !slices.Contains(keys, key) && slices.ContainsFunc(sortedKeys(authKeys), func(t string) bool {
			return slices.Contains(authKeys[t], key)
		}) {
			m.fault(key, "is no use with type %s", a.Type)
		}
	}
	if a.From == nil {
		a.From = []Place{{In: "header"}}
	}
	if !m.given("timeout") {
		a.Timeout = defaultHookTimeout
	}
	if a.Timeout <= 0 {
		m.fault("timeout", "must be more than 0")
	}
	if a.IdleTimeout < 0 {
		m.fault("idle_timeout", "must not be negative")
	}
	switch a.Type {
	case "token":
		m.checkTokens(a)
	case "basic":
		m.checkUsers(a)
	case "jwt":
		m.readJWT(a)
	case "webhook":
		m.checkURL("url", a.URL)
		m.endpointReader.cache(join(m.at, "cache"), m.fields["cache"], &a.Cache)
		m.endpointReader.onError(join(m.at, "on_error"), &a.OnError, "deny", "last_known")
	case "certificate":
		parts := []string{"cn", "dn", "serial", "dns", "email", "uri"}
		if !m.given("subject") {
			a.Subject = "cn"
		}
		if !slices.Contains(parts, a.Subject) {
			m.fault("subject", "must be %s, not %q%s", strings.Join(parts, ", "), a.Subject, suggest(a.Subject, parts))
		}
	}
}

func (m *methodReader) checkTokens(a *Auth) {
	if len(a.Tokens) == 0 && a.TokenFile == "" {
		m.fault("tokens", "is missing; there is no token without tokens or token_file")
	}
	for i, t := range a.Tokens {
		if t.Token == "" {
			m.fault(join("tokens", join(strconv.Itoa(i), "token")), "is empty")
		}
	}
}

func (m *methodReader) checkUsers(a *Auth) {
	if len(a.Users) == 0 && a.UserFile == "" {
		m.fault("users", "is missing; there is nobody without users or user_file")
	}
	for i, u := range a.Users {
		key := join("users", strconv.Itoa(i))
		switch {
		case u.User == "":
			m.fault(join(key, "user"), "is empty")
		case strings.Contains(u.User, ":"):
			m.fault(join(key, "user"), "must have no colon, which stands between user and password")
		}
		if u.Password == "" {
			m.fault(join(key, "password"), "is empty")
		}
	}
}

// readJWT sets the defaults of a method of type jwt and checks it.
func (m *methodReader) readJWT(a *Auth) {
	if !m.given("refresh") {
		a.Refresh = defaultRefresh
	}
	if !m.given("leeway") {
		a.Leeway = defaultLeeway
	}
	if !m.given("subject") {
		a.Subject = "sub"
	}
	if a.Refresh < time.Second {
		m.fault("refresh", "must be at least 1s")
	}
	if a.Leeway < 0 {
		m.fault("leeway", "must not be negative")
	}
	secret, public := m.given("secret") || a.SecretFile != "", len(a.PublicKeys) > 0 || a.JWKS != ""
	if !secret && !public {
		m.fault("type", "jwt needs secret, secret_file, public_keys or jwks, to have keys")
	}
	if m.given("secret") && len(a.Secret) < secretSizes["HS256"] {
		m.fault("secret", "has %d bytes; a shorter secret than %d can be guessed", len(a.Secret), secretSizes["HS256"])
	}
	if strings.Contains(a.JWKS, "://") {
		m.checkURL("jwks", a.JWKS)
	}
	m.checkAlgorithms(a, secret, public)
}

// checkAlgorithms checks that each algorithm has a key.
func (m *methodReader) checkAlgorithms(a *Auth, secret, public bool) {
	if a.Algorithms != nil && len(a.Algorithms) == 0 {
		m.fault("algorithms", "is empty; to allow all that fit the keys, leave it out")
	}
	for i, name := range a.Algorithms {
		key := join("algorithms", strconv.Itoa(i))
		switch {
		case !slices.Contains(jwtAlgorithms, name):
			m.fault(key, "unknown algorithm %q%s", name, suggest(name, jwtAlgorithms))
		case strings.HasPrefix(name, "HS") && !secret:
			m.fault(key, "%s needs secret or secret_file", name)
		case m.given("secret") && len(a.Secret) < secretSizes[name]:
			m.fault(key, "%s needs a secret of %d bytes; this one has %d", name, secretSizes[name], len(a.Secret))
		case !strings.HasPrefix(name, "HS") && !public:
			m.fault(key, "%s needs public_keys or jwks", name)
		}
	}
}

func (m *methodReader) checkURL(key, text string) {
	if problem := badURL(text); problem != "" {
		m.fault(key, "%s", problem)
	}
}

// badURL returns what is wrong with the address of an HTTP server; "" if it is valid.
func badURL(text string) string {
	if text == "" {
		return "is missing"
	}
	if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "must be an absolute http or https address"
	}
	return ""
}

// checkCookies reports cookies as credentials if the pages of any site can connect to the endpoint:
// a browser sends the cookies along.
func (e *endpointReader) checkCookies(ep *Endpoint) {
	if ep.Origins != nil || ep.Format.Profile().SameOrigin {
		return
	}
	for i, a := range ep.Auth {
		for j, p := range a.From {
			if p.In == "cookie" {
				e.fault(fmt.Sprintf("auth.%d.from.%d", i, j), "cookies are sent by the pages of any site; set origins")
			}
		}
	}
}
