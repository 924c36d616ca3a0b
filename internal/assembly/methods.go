package assembly

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/auth"
)

// starter runs something in the background, until Close.
type starter interface{ Start() }

// closer releases something that runs in the background or is open.
type closer interface{ Close() }

// methods are the ways to authenticate a client.
type methods struct {
	list      []auth.Method
	anonymous bool
}

// newMethods makes the methods of a configuration. They run from start to close; after an error
// nothing is open.
func newMethods(c *config.Endpoint, stats *core.Stats, log *slog.Logger) (*methods, error) {
	all := &methods{anonymous: c.Auth == nil}
	for i := range c.Auth {
		if c.Auth[i].Type == "none" {
			all.anonymous = true
			continue
		}
		m, err := newMethod(c, &c.Auth[i], stats, log)
		if err != nil {
			all.close()
			return nil, fmt.Errorf("auth[%d]: %w", i, err)
		}
		all.list = append(all.list, m)
	}
	return all, nil
}

// start starts the background work of the methods.
func (m *methods) start() {
	for _, one := range m.list {
		if s, ok := one.(starter); ok {
			s.Start()
		}
	}
}

// close ends the background work, and closes what is open. m may be nil.
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

// newMethod makes one method of the chain.
func newMethod(c *config.Endpoint, a *config.Auth, stats *core.Stats, log *slog.Logger) (auth.Method, error) {
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
		return auth.NewTokens(places, tokens, a.TokenFile, log)
	case "basic":
		users, err := staticUsers(a.Users)
		if err != nil {
			return nil, err
		}
		return auth.NewBasic(users, a.UserFile, log)
	case "jwt":
		return auth.NewJWT(jwtOptions(a, places, log))
	case "webhook":
		return auth.NewWebhookMethod(auth.HookOptions{
			URL: a.URL, Timeout: a.Timeout, Idle: a.IdleTimeout, Endpoint: c.Name, Protocol: c.Protocol,
			Cache: auth.CacheOptions(a.Cache), Stats: &stats.IdentityHook, Logger: log,
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
