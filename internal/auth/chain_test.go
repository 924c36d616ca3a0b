package auth

import (
	"context"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// A bad credential never becomes another's, nor nobody's. One that is not the method's own may
// be the next method's.
func TestChain(t *testing.T) {
	us := newJWT(t, JWTOptions{Secret: secret, Issuers: []string{"us"}})
	them := newJWT(t, JWTOptions{Secret: "the other secret, which is also long enough", Issuers: []string{"them"}})
	tokens, err := NewTokens(inHeader, []Token{{Token: "t0ken", Subject: "bot"}}, "", quiet)
	if err != nil {
		t.Fatal(err)
	}
	down := newJWT(t, JWTOptions{JWKS: newKeyHost(t, status(500)).url, Issuers: []string{"down"}})
	token := func(claims map[string]any) string {
		return "Authorization: Bearer " + sign(t, "HS256", []byte(secret), "", good(claims))
	}
	full := []Method{us, them, down, tokens}
	for _, c := range []struct {
		name, show string
		methods    []Method
		anonymous  bool
		user       string
		want       core.Verdict
	}{
		{"ours", token(nil), full, false, "ann", core.Allow},
		{"the last one's", "Authorization: Bearer t0ken", full, true, "bot", core.Allow},
		{"nothing", "", full, true, "", core.Allow},
		{"nothing, and nobody may", "", full, false, "", core.Deny},
		{"no methods", "", nil, true, "", core.Allow},
		{"no methods, and nobody may", "", nil, false, "", core.Deny},
		{"expired is not anonymous", token(map[string]any{"exp": 1}), full, true, "", core.Deny},
		{"nor somebody else's", token(map[string]any{"iss": "them"}), full, true, "", core.Deny},
		{"nor is an unknown token", "Authorization: Bearer other", full, true, "", core.Deny},
		{"nor an unknown issuer", token(map[string]any{"iss": "x"}), full, true, "", core.Deny},
		{"not known now", "Authorization: Bearer " + sign(t, "RS256", testKeys()["rsa"], "k", good(map[string]any{"iss": "down"})), full, true, "", core.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, got, _ := NewChain(c.anonymous, c.methods...).Authenticate(t.Context(), shows(t, c.show))
			if got != c.want || id.User() != c.user {
				t.Errorf("%d %q, want %d %q", got, id.User(), c.want, c.user)
			}
		})
	}
}

func TestChainIsReplaced(t *testing.T) {
	chain := NewChain(true)
	if _, v, _ := chain.Authenticate(t.Context(), core.Handshake{}); v != core.Allow {
		t.Errorf("anonymous: %d", v)
	}
	chain.Replace(false)
	if _, v, _ := chain.Authenticate(t.Context(), core.Handshake{}); v != core.Deny {
		t.Errorf("after Replace: %d", v)
	}
}

// late is a method that knows everybody, too late.
type late struct{}

func (late) Identify(context.Context, core.Handshake) Finding {
	return Finding{Outcome: Good, Identity: &core.Identity{Subject: "x", Expires: time.Now()}}
}

func TestChainRefusesWhatHasExpired(t *testing.T) {
	if id, v, _ := NewChain(true, late{}).Authenticate(t.Context(), core.Handshake{}); v != core.Deny || id != nil {
		t.Errorf("%v %d", id, v)
	}
}

func TestTokens(t *testing.T) {
	path := writeFile(t, "tokens", "# bots\n\nbot-1\tone\r\nbot-2   two\n")
	m, err := NewTokens([]Place{{In: InHeader, Name: "X-Key"}}, []Token{
		{Token: "fixed", Subject: "ann", Claims: map[string]any{"role": "admin"}},
		{Token: "nameless"},
	}, path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	key := func(token string) core.Handshake { return core.Handshake{Header: http.Header{"X-Key": {token}}} }
	user := func(token string) string {
		t.Helper()
		f := wantOutcome(t, m, key(token), Good)
		if f.Identity.Method != "token" {
			t.Errorf("method %q", f.Identity.Method)
		}
		return f.Identity.User()
	}
	if user("fixed") != "ann" || user("one") != "bot-1" || user("two") != "bot-2" || user("nameless") != "" {
		t.Error("a token stands for another")
	}
	if f := wantOutcome(t, m, key("fixed"), Good); !reflect.DeepEqual(f.Identity.Claims, map[string]any{"role": "admin"}) {
		t.Errorf("claims %v", f.Identity.Claims)
	}
	for _, other := range []string{"Fixed", "fixe", "fixed ", "bot-1", "bot-1\tone", "#", "on"} {
		wantOutcome(t, m, key(other), Foreign)
	}
	wantOutcome(t, m, key(""), Absent)
	wantOutcome(t, m, core.Handshake{Header: http.Header{"X-Key": {"one", "two"}}}, Bad)

	replaceFile(t, path, "bot-3 one\n")
	if user("one") != "bot-3" {
		t.Error("the file was not read again")
	}
	wantOutcome(t, m, key("two"), Foreign)
	replaceFile(t, path, "a line of four words\n")
	if user("one") != "bot-3" {
		t.Error("a broken file counts")
	}
	if _, err := NewTokens(nil, nil, path, quiet); err == nil {
		t.Error("a broken file can be opened")
	}
}

// Windows editors mark the beginning of a file, and end lines their own way.
func TestFilesOfWindows(t *testing.T) {
	const mark = "\ufeff"
	m, err := NewTokens(inHeader, nil, writeFile(t, "tokens", mark+"ann one\r\nbob two\r\n"), quiet)
	if err != nil {
		t.Fatal(err)
	}
	if f := wantOutcome(t, m, bearer("one"), Good); f.Identity.User() != "ann" {
		t.Errorf("the user is %q", f.Identity.User())
	}
	if _, err := NewTokens(inHeader, nil, writeFile(t, "tokens", mark+"# bots\r\nann one\r\n"), quiet); err != nil {
		t.Error(err)
	}
	public := testKeys()["rsa"].Public()
	pem, err := os.ReadFile(pemFile(t, public))
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]JWTOptions{
		"PEM":     {Places: inHeader, PublicKeys: []string{writeFile(t, "key.pem", mark+strings.ReplaceAll(string(pem), "\n", "\r\n"))}},
		"key set": {Places: inHeader, JWKS: writeFile(t, "set.json", mark+set(t, map[string]any{"one": public}))},
	} {
		j, err := NewJWT(o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		wantOutcome(t, j, bearer(sign(t, "RS256", testKeys()["rsa"], "", good(nil))), Good)
	}
	s, err := NewJWT(JWTOptions{Places: inHeader, SecretFile: writeFile(t, "secret", mark+secret+"\r\n")})
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, s, bearer(sign(t, "HS256", []byte(secret), "", good(nil))), Good)
}
