package admin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/polywire/polywire/core"
)

// Access says who may ask a server, and what they may do. It does not change, and any goroutine may use it. The zero
// value is for programs on this machine, which may do everything.
type Access struct {
	// Tokens are who shows a token in Authorization: Bearer.
	Tokens []Token
	// Authenticator knows the others; nil if there are none. Roles returns what those may do whom it knows.
	Authenticator core.Authenticator
	Roles         func(*core.Identity) Role
	// ReloadToken is a token of somebody who may operate; "" is none. Alone it leaves the metrics to everybody, and
	// taps to programs on this machine.
	ReloadToken string
}

// Token is a token and who shows it.
type Token struct {
	// Digest is the SHA-256 of the token.
	Digest [sha256.Size]byte
	// Subject names who shows it, for logs.
	Subject string
	Role    Role
}

// named reports whether the configuration says who has which role.
func (a *Access) named() bool { return len(a.Tokens) > 0 || a.Authenticator != nil }

// open reports whether nobody has to show who he is.
func (a *Access) open() bool { return !a.named() && a.ReloadToken == "" }

// caller is who asks.
type caller struct {
	who     string // "" is nobody who is known
	role    Role
	expires time.Time // the credential; zero is never
}

// name returns who asks, for logs.
func (c caller) name() string { return cmp.Or(c.who, "nobody") }

// authTimeout bounds how long it may take to find out who asks: a webhook has time to answer.
const authTimeout = 10 * time.Second

// identify finds out who asks. It takes the same time for each token that it does not know.
func (a *Access) identify(r *http.Request) (caller, *refusal) {
	if text := bearer(r); text != "" {
		if c, ok := a.token(text); ok {
			return c, nil
		}
	}
	id, verdict, err := a.authenticate(r)
	switch {
	case verdict == core.Unavailable:
		return caller{}, &refusal{status: http.StatusServiceUnavailable, reason: refusedUnavailable, why: "who asks cannot be found out now; try again later", cause: err}
	case verdict == core.Allow && id != nil:
		return caller{who: cmp.Or(id.Subject, id.Method), role: a.Roles(id), expires: id.Expires}, nil
	case err != nil && !errors.Is(err, core.ErrNoCredential):
		return caller{}, a.unknown(refusedWrong, err)
	case r.Header.Get("Authorization") != "":
		return caller{}, a.unknown(refusedWrong, errWrongToken) // which is no kind that the authenticator looks for
	}
	return caller{}, a.unknown(refusedMissing, core.ErrNoCredential)
}

// authenticate asks the authenticator, if there is one.
func (a *Access) authenticate(r *http.Request) (*core.Identity, core.Verdict, error) {
	if a.Authenticator == nil {
		return nil, core.Deny, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), authTimeout)
	defer cancel()
	// The query is left out: what is in it stands in the logs of proxies.
	return a.Authenticator.Authenticate(ctx, core.Handshake{Path: r.URL.Path, Header: r.Header, Remote: r.RemoteAddr, TLS: r.TLS})
}

var errWrongToken = errors.New("unknown token")

// unknown refuses a request whose sender is not known.
func (a *Access) unknown(reason refusedFor, cause error) *refusal {
	challenges := []string{"Bearer"}
	if c, ok := a.Authenticator.(core.Challenger); ok {
		for _, one := range c.Challenges() {
			if one != "Bearer" {
				challenges = append(challenges, one)
			}
		}
	}
	return &refusal{status: http.StatusUnauthorized, reason: reason, cause: cause, challenges: challenges}
}

// token returns who shows a token. The time that it takes reveals nothing about the tokens.
func (a *Access) token(text string) (found caller, ok bool) {
	digest := sha256.Sum256([]byte(text))
	for i := range a.Tokens {
		if subtle.ConstantTimeCompare(a.Tokens[i].Digest[:], digest[:]) == 1 {
			found, ok = caller{who: a.Tokens[i].Subject, role: a.Tokens[i].Role}, true
		}
	}
	if a.ReloadToken != "" {
		own := sha256.Sum256([]byte(a.ReloadToken))
		if subtle.ConstantTimeCompare(own[:], digest[:]) == 1 {
			found, ok = caller{who: "reload_token", role: Operate}, true
		}
	}
	return found, ok
}

// bearer returns the token that a request shows; "" if it shows none, or two.
func bearer(r *http.Request) string {
	fields := r.Header["Authorization"]
	if len(fields) != 1 {
		return ""
	}
	scheme, shown, _ := strings.Cut(fields[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(shown)
}
