package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"

	"github.com/polywire/polywire/core"
)

// Token is a static token and whom it stands for.
type Token struct {
	Token, Subject string
	Claims         map[string]any
}

// Tokens is the method of static tokens. A token that it does not know is left to another
// method.
type Tokens struct {
	// Static after construction.
	places []Place
	known  credentials
}

var _ Method = (*Tokens)(nil)

// credentials are the listed ones, and those of a file.
type credentials struct {
	// Static after construction.
	fixed []knownToken
	file  *file[[]knownToken] // nil without
}

// knownToken is a token in the form in which it is compared: all digests have one length.
type knownToken struct {
	digest   [sha256.Size]byte
	identity *core.Identity
}

// NewTokens returns a method for the tokens of list and, unless file is empty, of a
// file, which is read again when it changes. The file has a line for each token: the
// subject, white space, the token; empty lines and those that begin with # are comments.
func NewTokens(places []Place, list []Token, file string, log *slog.Logger) (*Tokens, error) {
	t := &Tokens{places: places}
	for _, one := range list {
		t.known.fixed = append(t.known.fixed, known(one))
	}
	if file != "" {
		var err error
		if t.known.file, err = openFile(file, parseTokens, log); err != nil {
			return nil, fmt.Errorf("opening token file: %w", err)
		}
	}
	return t, nil
}

func known(t Token) knownToken {
	return knownToken{
		digest:   sha256.Sum256([]byte(t.Token)),
		identity: &core.Identity{Subject: t.Subject, Method: "token", Claims: t.Claims},
	}
}

func parseTokens(data []byte) ([]knownToken, error) {
	return parsePairs(data, "a subject and a token", func(subject, token string) (knownToken, error) {
		return known(Token{Subject: subject, Token: token}), nil
	})
}

// parsePairs reads a file with two words in each line; what says what they are, and one
// makes a credential of them. Empty lines and those that begin with # are comments.
func parsePairs(data []byte, what string, one func(first, second string) (knownToken, error)) ([]knownToken, error) {
	var list []knownToken
	n := 0
	for line := range bytes.Lines(data) {
		n++
		words := bytes.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if len(words) != 2 {
			return nil, fmt.Errorf("line %d: must be %s", n, what)
		}
		k, err := one(string(words[0]), string(words[1]))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		list = append(list, k)
	}
	return list, nil
}

var errUnknownToken = errors.New("unknown token")

// Identify looks up the client's token. The time that it takes reveals nothing about the
// tokens.
func (t *Tokens) Identify(_ context.Context, h core.Handshake) Finding {
	token, err := find(t.places, h)
	if err != nil {
		return Finding{Outcome: Bad, Err: err}
	}
	if token == (shown{}) {
		return Finding{}
	}
	for _, text := range token.readings() {
		if found := t.known.find(text); found != nil {
			return Finding{Outcome: Good, Identity: found}
		}
	}
	return Finding{Outcome: Foreign, Err: errUnknownToken}
}

// find returns the identity that a token stands for; nil if there is none.
func (c *credentials) find(token string) *core.Identity {
	digest := sha256.Sum256([]byte(token))
	found := pick(c.fixed, &digest)
	if c.file != nil {
		if other := pick(c.file.get(), &digest); other != nil {
			found = other
		}
	}
	return found
}

// pick returns the identity whose token has the digest. It always looks at all of them.
func pick(list []knownToken, digest *[sha256.Size]byte) (found *core.Identity) {
	for i := range list {
		if subtle.ConstantTimeCompare(list[i].digest[:], digest[:]) == 1 {
			found = list[i].identity
		}
	}
	return found
}
