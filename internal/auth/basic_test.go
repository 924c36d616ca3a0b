package auth

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

func basic(pair string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
}

func TestBasic(t *testing.T) {
	file := writeFile(t, "users", "# comment\n\nbob  s3cret\n")
	m, err := NewBasic([]User{
		{Name: "ann", Password: "pass:word é", Claims: map[string]any{"level": json.Number("7")}}, {Name: "dan", Password: "x"},
	}, file, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, shows string
		want        Outcome
		who         string
	}{
		{"as it should be", basic("ann:pass:word é"), Good, "ann"},
		{"of the file", basic("bob:s3cret"), Good, "bob"},
		{"the scheme in capitals", strings.Replace(basic("bob:s3cret"), "Basic", "BASIC", 1), Good, "bob"},
		{"twice the same", basic("bob:s3cret") + "\n" + basic("bob:s3cret"), Good, "bob"},
		{"beside a bearer token", "Authorization: Bearer x\n" + basic("bob:s3cret"), Good, "bob"},
		{"another password", basic("bob:S3cret"), Foreign, ""},
		{"somebody else's", basic("bob:x"), Foreign, ""},
		{"no password", basic("bob:"), Foreign, ""},
		{"nobody", basic("eve:s3cret"), Foreign, ""},
		{"the colon elsewhere", basic("b:ob:s3cret"), Foreign, ""},
		{"two", basic("bob:s3cret") + "\n" + basic("dan:x"), Bad, ""},
		{"no colon", basic("bob"), Bad, ""},
		{"no base64", "Authorization: Basic ?", Bad, ""},
		{"nothing", "Authorization: Basic ", Bad, ""},
		{"endless", basic("bob:" + strings.Repeat("x", maxToken)), Bad, ""},
		{"a bearer token", "Authorization: Bearer x", Absent, ""},
		{"none", "", Absent, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := wantOutcome(t, m, shows(t, c.shows), c.want)
			if f.Outcome == Good && (f.Identity.Subject != c.who || f.Identity.Method != "basic") {
				t.Errorf("it is %+v", f.Identity)
			}
			if f.Err != nil && strings.Contains(f.Err.Error(), "s3cret") {
				t.Errorf("the reason shows the password: %v", f.Err)
			}
		})
	}
	replaceFile(t, file, "bob new\n")
	wantOutcome(t, m, shows(t, basic("bob:s3cret")), Foreign)
	wantOutcome(t, m, shows(t, basic("bob:new")), Good)
	for _, wrong := range []string{"bob", "bob a b", "b:ob a"} {
		if _, err := NewBasic(nil, writeFile(t, "users", wrong), quiet); err == nil || strings.Contains(err.Error(), "ob") {
			t.Errorf("a file with %q: %v", wrong, err)
		}
	}
}

// A token among the subprotocols, in all forms. A refusal reveals nothing of it.
func TestTokenAsSubprotocol(t *testing.T) {
	jwt := sign(t, "HS256", []byte(secret), "", good(nil))
	coded := base64.RawURLEncoding.EncodeToString
	places := []Place{{In: InSubprotocol}, {In: InSubprotocol, Name: "app"}}
	tokens, err := NewTokens(places, []Token{{Token: "t0ken", Subject: "bot"}, {Token: "tok en/é", Subject: "odd"}}, "", quiet)
	if err != nil {
		t.Fatal(err)
	}
	j := newJWT(t, JWTOptions{Secret: secret, Places: places})
	for _, c := range []struct {
		name, offers string
		tokens, jwt  Outcome
		who          string
	}{
		{"a token", "bearer, t0ken", Good, Foreign, "bot"},
		{"behind another name", "chat, bearer,t0ken , talk", Good, Foreign, "bot"},
		{"in capitals", "Bearer, t0ken", Good, Foreign, "bot"},
		{"by another name", "app, t0ken", Good, Foreign, "bot"},
		{"in two fields", "bearer\nSec-WebSocket-Protocol: t0ken", Good, Foreign, "bot"},
		{"in base64url", "bearer, " + coded([]byte("tok en/é")), Good, Foreign, "odd"},
		{"in base64url, with its name", "base64url.bearer." + coded([]byte("tok en/é")) + ", chat", Good, Foreign, "odd"},
		{"as Kubernetes does", "base64url.bearer.authorization.k8s.io." + coded([]byte("t0ken")) + ", base64.binary.k8s.io", Good, Foreign, "bot"},
		{"twice the same", "bearer, t0ken, app, t0ken", Good, Foreign, "bot"},
		{"a JWT", "bearer, " + jwt, Foreign, Good, "ann"},
		{"a JWT in base64url", "bearer, " + coded([]byte(jwt)), Foreign, Good, "ann"},
		{"a JWT in base64url, with its name", "base64url.app." + coded([]byte(jwt)), Foreign, Good, "ann"},
		{"two", "bearer, t0ken, app, other", Bad, Bad, ""},
		{"unknown", "bearer, secret", Foreign, Foreign, ""},
		{"the name alone", "bearer", Absent, Absent, ""},
		{"no token", "chat, talk", Absent, Absent, ""},
		{"by a name that is not ours", "other, t0ken", Absent, Absent, ""},
		{"nothing", "", Absent, Absent, ""},
		{"endless", "bearer, " + strings.Repeat("x", maxToken+1), Bad, Bad, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := shows(t, "Sec-WebSocket-Protocol: "+c.offers)
			for m, want := range map[Method]Outcome{tokens: c.tokens, j: c.jwt} {
				f := wantOutcome(t, m, h, want)
				if f.Outcome == Good && f.Identity.Subject != c.who {
					t.Errorf("it is %+v, want %s", f.Identity, c.who)
				}
				if f.Err != nil && (strings.Contains(f.Err.Error(), "secret") || strings.Contains(f.Err.Error(), "t0ken")) {
					t.Errorf("the reason shows the token: %v", f.Err)
				}
			}
		})
	}
	// Nor does the chain's error.
	_, verdict, why := NewChain(false, tokens, j).Authenticate(t.Context(), shows(t, "Sec-WebSocket-Protocol: bearer, s3cr3t"))
	if verdict != core.Deny || why == nil || strings.Contains(why.Error(), "s3cr3t") {
		t.Errorf("%v, %v", verdict, why)
	}
}
