package auth

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
)

// Outcome says what a method found out about a client.
type Outcome uint8

// The outcomes.
const (
	// Absent: the client shows no credential of the method's kind.
	Absent Outcome = iota
	// Foreign: it shows one that is not this method's; another may know it.
	Foreign
	// Good: the credential is good.
	Good
	// Bad: the credential is this method's, and it is not good.
	Bad
	// Unknown: whether it is good could not be found out.
	Unknown
)

// Finding is the result of a method.
type Finding struct {
	Outcome Outcome
	// Identity is who the client is, with Good.
	Identity *core.Identity
	// Err says why the credential is not good, for logs. It reveals nothing of it.
	Err error
}

// Method is one way to tell who a client is. It may block; any goroutine.
type Method interface {
	Identify(ctx context.Context, h core.Handshake) Finding
}

// Chain asks methods in turn until one knows the client. It goes on only if a method found
// no credential of its own: a bad credential is refused, whatever methods follow. Any
// goroutine.
type Chain struct {
	current atomic.Pointer[methods]
}

// methods is what Replace replaces.
type methods struct {
	list      []Method
	anonymous bool
}

var (
	_ core.Authenticator = (*Chain)(nil)
	_ core.Challenger    = (*Chain)(nil)
)

// NewChain returns a chain. anonymous admits the clients that show no credential at all, as
// nobody.
func NewChain(anonymous bool, list ...Method) *Chain {
	c := new(Chain)
	c.Replace(anonymous, list...)
	return c
}

// Replace sets the methods for the clients to come. Those that are being asked about are
// decided by the old ones.
func (c *Chain) Replace(anonymous bool, list ...Method) {
	c.current.Store(&methods{list: list, anonymous: anonymous})
}

var errExpired = errors.New("the credential has expired")

// Authenticate asks the methods.
func (c *Chain) Authenticate(ctx context.Context, h core.Handshake) (*core.Identity, core.Verdict, error) {
	now := c.current.Load()
	refused := error(nil)
	for _, m := range now.list {
		switch f := m.Identify(ctx, h); {
		case f.Outcome == Good && f.Identity.Expired(time.Now()):
			return nil, core.Deny, errExpired
		case f.Outcome == Good:
			return f.Identity, core.Allow, nil
		case f.Outcome == Bad:
			return nil, core.Deny, f.Err
		case f.Outcome == Unknown:
			return nil, core.Unavailable, f.Err
		case f.Outcome == Foreign:
			refused = f.Err
		}
	}
	if refused != nil {
		return nil, core.Deny, refused
	}
	if now.anonymous {
		return nil, core.Allow, nil
	}
	return nil, core.Deny, core.ErrNoCredential
}

// Challenges returns Basic for that method, and Bearer for all others.
func (c *Chain) Challenges() []string {
	var bearer, basic []string
	for _, m := range c.current.Load().list {
		if _, ok := m.(*Basic); ok {
			basic = []string{`Basic realm="polywire", charset="UTF-8"`}
		} else {
			bearer = []string{"Bearer"}
		}
	}
	return append(bearer, basic...)
}
