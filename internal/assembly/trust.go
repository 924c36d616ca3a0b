package assembly

import (
	"errors"
	"log/slog"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/auth"
)

// trust is the authentication and authorization of an endpoint. Its methods are not safe for
// concurrent use; its parts are.
type trust struct {
	// Static after construction.
	stats      *core.Stats
	log        *slog.Logger
	chain      *auth.Chain
	rules      *auth.Rules
	authorizer core.Authorizer // nil without
	hook       closer          // the authorizer; nil without

	methods *methods // of chain; replaced by use
}

// newTrust makes what the configuration of an endpoint asks for. close ends what it started; after
// an error nothing runs.
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

// start starts the background work.
func (t *trust) start() { t.methods.start() }

// prepare makes the methods of another configuration, which use puts in force.
func (t *trust) prepare(c *config.Endpoint) (*methods, error) { return newMethods(c, t.stats, t.log) }

// use makes m authenticate the next clients.
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
