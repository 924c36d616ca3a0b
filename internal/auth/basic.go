package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/polywire/polywire/core"
)

// User is a user and its password.
type User struct {
	// Name has no colon.
	Name, Password string
	Claims         map[string]any
}

// Basic is the method of names and passwords (RFC 7617). A pair that it does not know is
// left to another method.
type Basic struct {
	// Static after construction.
	known credentials
}

var _ Method = (*Basic)(nil)

// NewBasic returns a method for the users of list and, unless file is empty, of a file,
// which is read again when it changes. The file has a line for each user: the name, white
// space, the password; empty lines and those that begin with # are comments.
func NewBasic(list []User, file string, log *slog.Logger) (*Basic, error) {
	b := new(Basic)
	for _, u := range list {
		b.known.fixed = append(b.known.fixed, u.known())
	}
	if file != "" {
		var err error
		if b.known.file, err = openFile(file, parseUsers, log); err != nil {
			return nil, fmt.Errorf("opening user file: %w", err)
		}
	}
	return b, nil
}

// known returns the pair as a token.
func (u User) known() knownToken {
	k := known(Token{Token: u.Name + ":" + u.Password, Subject: u.Name, Claims: u.Claims})
	k.identity.Method = "basic"
	return k
}

func parseUsers(data []byte) ([]knownToken, error) {
	return parsePairs(data, "a name and a password", func(name, password string) (knownToken, error) {
		if strings.Contains(name, ":") {
			return knownToken{}, errColon
		}
		return User{Name: name, Password: password}.known(), nil
	})
}

var (
	errColon       = errors.New("a name has no colon")
	errNoPair      = errors.New("the header Authorization is no name and password")
	errUnknownPair = errors.New("unknown name, or wrong password")
)

// Identify looks up the client's name and password. The time that it takes reveals nothing
// about either.
func (b *Basic) Identify(_ context.Context, h core.Handshake) Finding {
	coded := ""
	for _, v := range h.Header["Authorization"] {
		scheme, text, _ := strings.Cut(v, " ")
		switch text = strings.TrimSpace(text); {
		case !strings.EqualFold(scheme, "Basic"):
		case text == "":
			return Finding{Outcome: Bad, Err: errNoPair}
		case text == coded:
		case coded != "":
			return Finding{Outcome: Bad, Err: errTwoTokens}
		case len(text) > maxToken:
			return Finding{Outcome: Bad, Err: errLongToken}
		default:
			coded = text
		}
	}
	if coded == "" {
		return Finding{}
	}
	pair, err := base64.StdEncoding.DecodeString(coded)
	if err != nil || bytes.IndexByte(pair, ':') < 0 {
		return Finding{Outcome: Bad, Err: errNoPair}
	}
	if found := b.known.find(string(pair)); found != nil {
		return Finding{Outcome: Good, Identity: found}
	}
	return Finding{Outcome: Foreign, Err: errUnknownPair}
}
