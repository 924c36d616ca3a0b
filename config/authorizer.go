package config

import (
	"slices"
	"strings"
	"time"
)

// Authorizer is an HTTP server that is asked about connections and commands.
type Authorizer struct {
	URL string `koanf:"url"`
	// Timeout is for one request.
	Timeout time.Duration `koanf:"timeout"`
	// IdleTimeout is how long an unused connection to it is kept; 0 is 4s.
	IdleTimeout time.Duration `koanf:"idle_timeout"`
	Cache       Cache         `koanf:"cache"`
	// OnError is the policy while it does not answer: deny, allow or last_known.
	OnError string `koanf:"on_error"`
}

// Cache is how long the answers of a webhook are cached that do not say so themselves.
type Cache struct {
	// Allow is for answers that allow, Deny for those that deny.
	Allow time.Duration `koanf:"allow"`
	Deny  time.Duration `koanf:"deny"`
	// Jitter is the fraction of its time by which an answer may expire early, at random.
	Jitter float64 `koanf:"jitter"`
	// Size limits the number of answers of each kind; 0 is 10000.
	Size int `koanf:"size"`
}

// authorizer sets the defaults of an endpoint's authorizer and checks it.
func (e *endpointReader) authorizer(ep *Endpoint) {
	e.checkWritten("authorizer", "to ask nobody, leave it out")
	a := ep.Authorizer
	if a == nil {
		return
	}
	fields, _ := e.fields["authorizer"].(map[string]any)
	if fields["timeout"] == nil {
		a.Timeout = defaultHookTimeout
	}
	if a.Timeout <= 0 {
		e.fault("authorizer.timeout", "must be more than 0")
	}
	if a.IdleTimeout < 0 {
		e.fault("authorizer.idle_timeout", "must not be negative")
	}
	if problem := badURL(a.URL); problem != "" {
		e.fault("authorizer.url", "%s", problem)
	}
	e.cache("authorizer.cache", fields["cache"], &a.Cache)
	e.onError("authorizer.on_error", &a.OnError, "deny", "allow", "last_known")
}

// defaultJitter spreads the expiry of answers that were cached at the same time.
const defaultJitter = 0.1

// cache sets the defaults of the cache at path, below the endpoint, and checks it; given is its raw
// value.
func (e *endpointReader) cache(path string, given any, c *Cache) {
	if fields, _ := given.(map[string]any); fields["jitter"] == nil {
		c.Jitter = defaultJitter
	}
	if c.Allow < 0 {
		e.fault(join(path, "allow"), "must not be negative")
	}
	if c.Deny < 0 {
		e.fault(join(path, "deny"), "must not be negative")
	}
	if c.Jitter < 0 || c.Jitter > 1 {
		e.fault(join(path, "jitter"), "must be from 0 to 1")
	}
	if c.Size < 0 {
		e.fault(join(path, "size"), "must not be negative")
	}
}

// onError sets the default of a policy, the first of policies, and checks it.
func (e *endpointReader) onError(path string, policy *string, policies ...string) {
	if *policy == "" {
		*policy = policies[0]
	}
	if !slices.Contains(policies, *policy) {
		e.fault(path, "must be %s, not %q%s", strings.Join(policies, ", "), *policy, suggest(*policy, policies))
	}
}
