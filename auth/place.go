package auth

import (
	"errors"
	"net/http"
	"strings"

	"github.com/polywire/polywire/core"
)

// The places where a client can show a token.
const (
	// InHeader is a header: "Authorization: Bearer TOKEN", or the whole value of the
	// header that is named.
	InHeader = "header"
	// InQuery is a parameter of the query.
	InQuery = "query"
	// InCookie is a cookie.
	InCookie = "cookie"
)

// Place is where a client shows a token.
type Place struct {
	// In is InHeader, InQuery or InCookie.
	In string
	// Name is the name of header, parameter or cookie; "" is Authorization.
	Name string
}

// maxToken bounds a token, in bytes.
const maxToken = 16 << 10

var (
	errTwoTokens = errors.New("two different tokens")
	errLongToken = errors.New("the token is too long")
)

// find returns the token that the client shows in the places; "" if it shows none. Two
// that differ are refused: other programs on the way may have judged by the other one.
func find(places []Place, h core.Handshake) (token string, err error) {
	for _, p := range places {
		for _, shown := range p.values(h) {
			switch {
			case shown == "" || shown == token:
			case token != "":
				return "", errTwoTokens
			case len(shown) > maxToken:
				return "", errLongToken
			default:
				token = shown
			}
		}
	}
	return token, nil
}

// values returns all that the client shows at p.
func (p Place) values(h core.Handshake) []string {
	switch {
	case p.In == InQuery:
		return h.Query[p.Name]
	case p.In == InCookie:
		var values []string
		for _, c := range (&http.Request{Header: h.Header}).CookiesNamed(p.Name) {
			values = append(values, c.Value)
		}
		return values
	case p.Name != "":
		return h.Header.Values(p.Name)
	}
	var values []string
	for _, v := range h.Header["Authorization"] {
		if scheme, token, _ := strings.Cut(v, " "); strings.EqualFold(scheme, "Bearer") {
			values = append(values, strings.TrimSpace(token))
		}
	}
	return values
}
