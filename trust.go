package polywire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/polywire/polywire/auth"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
)

// trust is how an endpoint knows its clients and what they may do. Not for several
// goroutines at once; its parts are for any.
type trust struct {
	// Static after construction.
	stats      *core.Stats
	log        *slog.Logger
	chain      *auth.Chain
	rules      *auth.Rules
	authorizer core.Authorizer // nil without

	hook    closer   // the authorizer; nil without
	methods *methods // of chain
}

// starter has something to run in the background, until Close.
type starter interface{ Start() }

// closer has something that runs in the background, or that is kept open.
type closer interface{ Close() }

// newTrust makes what the configuration of an endpoint asks for. What it started ends
// with close; after an error nothing runs.
func newTrust(c *config.Endpoint, stats *core.Stats, log *slog.Logger) (*trust, error) {
	t := &trust{stats: stats, log: log, chain: auth.NewChain(false), rules: auth.NewRules(nil)}
	own := authorizer(c.Needs(), log)
	switch {
	case own != nil && c.Authorizer != nil:
		return nil, errors.New("authorizer and options.authorizer_url are one too many; leave one of them out")
	case own != nil:
		t.authorizer, t.hook = own, own
	case c.Authorizer != nil:
		a := auth.NewAuthorizer(auth.HookOptions{
			URL: c.Authorizer.URL, Timeout: c.Authorizer.Timeout, Idle: c.Authorizer.IdleTimeout, Endpoint: c.Name, Protocol: c.Protocol,
			Cache: auth.CacheOptions(c.Authorizer.Cache), Stats: &stats.AuthorizerHook, Logger: log,
		}, map[string]auth.OnError{
			"deny": auth.DenyOnError, "allow": auth.AllowOnError, "last_known": auth.LastKnownOnError,
		}[c.Authorizer.OnError])
		t.authorizer, t.hook = a, a
	}
	m, err := t.prepare(c)
	if err != nil {
		return nil, err
	}
	t.use(m)
	t.rules.Replace(acl(c.ACL))
	return t, nil
}

// start begins what runs in the background.
func (t *trust) start() { t.methods.start() }

// methods are the ways to tell who a client is.
type methods struct {
	list      []auth.Method
	anonymous bool
}

// prepare makes the methods of a configuration; after an error nothing runs.
func (t *trust) prepare(c *config.Endpoint) (*methods, error) {
	all := &methods{anonymous: c.Auth == nil}
	for i := range c.Auth {
		if c.Auth[i].Type == "none" {
			all.anonymous = true
			continue
		}
		m, err := t.method(c, &c.Auth[i])
		if err != nil {
			all.close()
			return nil, fmt.Errorf("auth[%d]: %w", i, err)
		}
		all.list = append(all.list, m)
	}
	return all, nil
}

// start begins what methods run in the background.
func (m *methods) start() {
	for _, one := range m.list {
		if s, ok := one.(starter); ok {
			s.Start()
		}
	}
}

// close ends what runs, and closes what is open. A nil m has nothing.
func (m *methods) close() {
	if m == nil {
		return
	}
	for _, one := range m.list {
		if c, ok := one.(closer); ok {
			c.Close()
		}
	}
}

// use makes the next clients be asked by other methods.
func (t *trust) use(m *methods) {
	t.chain.Replace(m.anonymous, m.list...)
	t.methods.close()
	t.methods = m
}

// close ends what runs.
func (t *trust) close() {
	t.methods.close()
	if t.hook != nil {
		t.hook.Close()
	}
}

// method makes one method of the chain.
func (t *trust) method(c *config.Endpoint, a *config.Auth) (auth.Method, error) {
	var places []auth.Place
	for _, p := range a.From {
		places = append(places, auth.Place(p))
	}
	switch a.Type {
	case "token":
		tokens, err := staticTokens(a.Tokens)
		if err != nil {
			return nil, err
		}
		return auth.NewTokens(places, tokens, a.TokenFile, t.log)
	case "basic":
		users, err := staticUsers(a.Users)
		if err != nil {
			return nil, err
		}
		return auth.NewBasic(users, a.UserFile, t.log)
	case "jwt":
		return auth.NewJWT(jwtOptions(a, places, t.log))
	case "webhook":
		return auth.NewWebhookMethod(auth.HookOptions{
			URL: a.URL, Timeout: a.Timeout, Idle: a.IdleTimeout, Endpoint: c.Name, Protocol: c.Protocol,
			Cache: auth.CacheOptions(a.Cache), Stats: &t.stats.IdentityHook, Logger: t.log,
		}, a.OnError == "last_known"), nil
	case "certificate":
		return auth.Certificate{Subject: a.Subject}, nil
	}
	return nil, fmt.Errorf("unknown type %q", a.Type)
}

func jwtOptions(a *config.Auth, places []auth.Place, log *slog.Logger) auth.JWTOptions {
	o := auth.JWTOptions{
		Places: places, Secret: a.Secret, SecretFile: a.SecretFile, PublicKeys: a.PublicKeys,
		JWKS: a.JWKS, Refresh: a.Refresh, Timeout: a.Timeout, Algorithms: a.Algorithms,
		Issuers: a.Issuer.List, Audiences: a.Audience.List, Require: map[string][]string{},
		Subject: a.Subject, Leeway: a.Leeway, Logger: log,
	}
	for claim, values := range a.Require {
		o.Require[claim] = values.List
	}
	return o
}

// staticTokens returns the tokens with claims as core.Identity has them.
func staticTokens(list []config.Token) ([]auth.Token, error) {
	var tokens []auth.Token
	for _, t := range list {
		claims, err := claimsOf(t.Subject, t.Claims)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, auth.Token{Token: t.Token, Subject: t.Subject, Claims: claims})
	}
	return tokens, nil
}

// staticUsers returns the users with claims as core.Identity has them.
func staticUsers(list []config.User) ([]auth.User, error) {
	var users []auth.User
	for _, u := range list {
		claims, err := claimsOf(u.User, u.Claims)
		if err != nil {
			return nil, err
		}
		users = append(users, auth.User{Name: u.User, Password: u.Password, Claims: claims})
	}
	return users, nil
}

// claimsOf returns claims of the configuration as core.Identity has them.
func claimsOf(subject string, given map[string]any) (claims map[string]any, err error) {
	data, err := json.Marshal(given)
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		err = decoder.Decode(&claims)
	}
	if err != nil {
		return nil, fmt.Errorf("reading claims of %q: %w", subject, err)
	}
	return claims, nil
}

// authorizer returns the authorizer that a format needs; nil if it needs none.
func authorizer(n core.Needs, log *slog.Logger) *auth.Webhook {
	if n.AuthorizerURL == "" {
		return nil
	}
	return auth.NewWebhook(n.AuthorizerURL, n.AuthorizerTimeout, log)
}

// acl returns the access lists; nil if there are none.
func acl(c *config.ACL) *auth.ACL {
	if c == nil {
		return nil
	}
	return &auth.ACL{
		Publish:      auth.Lists(c.Publish),
		Subscribe:    auth.Lists(c.Subscribe),
		Call:         auth.Lists(c.Call),
		Serve:        auth.Lists(c.Serve),
		PublishOwned: auth.Lists(c.PublishOwned),
	}
}
