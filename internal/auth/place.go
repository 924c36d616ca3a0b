package auth

import (
	"cmp"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

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
	// InSubprotocol is among the subprotocols that the client offers, where pages in
	// browsers can show a token: after the name, or together with it in base64url (see
	// [core.ProtocolToken]).
	InSubprotocol = "subprotocol"
)

// Place is where a client shows a token.
type Place struct {
	// In is InHeader, InQuery, InCookie or InSubprotocol.
	In string
	// Name is the name of header, parameter, cookie or subprotocol; "" is the header
	// Authorization, or the subprotocol bearer.
	Name string
}

// defaultProtocol is the name under which tokens are shown as subprotocols if none is
// configured.
const defaultProtocol = "bearer"

// maxToken bounds a token, in bytes.
const maxToken = 16 << 10

var (
	errTwoTokens = errors.New("two different tokens")
	errLongToken = errors.New("the token is too long")
)

// shown is the token that a client shows; the zero value is none.
type shown struct {
	text string
	// decoded is text decoded from base64url, where it may be meant so: a subprotocol allows
	// few characters, so browsers encode tokens that have others. Otherwise it is empty.
	decoded string
}

// readings returns the tokens that may be meant.
func (s shown) readings() []string {
	if s.decoded == "" {
		return []string{s.text}
	}
	return []string{s.text, s.decoded}
}

// find returns the token that the client shows in the places; the zero value if it shows
// none. Two different tokens are refused: other programs on the way may have judged by the
// other one.
func find(places []Place, h core.Handshake) (token shown, err error) {
	for _, p := range places {
		for _, text := range p.values(h) {
			switch {
			case text == "" || text == token.text:
			case token.text != "":
				return shown{}, errTwoTokens
			case len(text) > maxToken:
				return shown{}, errLongToken
			default:
				token.text = text
				if p.In == InSubprotocol {
					token.decoded = decoded(text)
				}
			}
		}
	}
	return token, nil
}

// decoded returns text decoded from base64url; "" if it is not base64url of UTF-8.
func decoded(text string) string {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil || !utf8.Valid(b) {
		return ""
	}
	return string(b)
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
	case p.In == InSubprotocol:
		return protocolTokens(h.Header, cmp.Or(p.Name, defaultProtocol))
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

// protocolTokens returns the tokens that a client shows under a name among the subprotocols
// that it offers.
func protocolTokens(h http.Header, name string) []string {
	var offered, tokens []string
	for _, field := range h["Sec-Websocket-Protocol"] {
		for p := range strings.SplitSeq(field, ",") {
			if p = strings.Trim(p, " \t"); p != "" {
				offered = append(offered, p)
			}
		}
	}
	for i := range offered {
		if token, ok := core.ProtocolToken(offered[i:min(i+2, len(offered))], name); ok {
			tokens = append(tokens, token)
		}
	}
	return tokens
}
