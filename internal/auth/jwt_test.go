package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/polywire/polywire/core"
)

const secret = "a secret of more than sixty-four bytes, so that it is fit for HS512 too"

// Every algorithm works with its own key, and with no other.
func TestAlgorithms(t *testing.T) {
	keys := testKeys()
	methods := map[string]*JWT{"secret": newJWT(t, JWTOptions{Secret: secret})}
	for name, k := range keys {
		methods[name] = newJWT(t, JWTOptions{PublicKeys: []string{pemFile(t, k.Public())}})
	}
	for alg, own := range map[string]string{
		"HS256": "secret", "HS384": "secret", "HS512": "secret", "EdDSA": "ed",
		"RS256": "rsa", "RS384": "rsa", "RS512": "rsa", "PS256": "rsa", "PS384": "rsa", "PS512": "rsa",
		"ES256": "p256", "ES384": "p384", "ES512": "p521",
	} {
		t.Run(alg, func(t *testing.T) {
			var signing any = []byte(secret)
			if own != "secret" {
				signing = keys[own]
			}
			token := sign(t, alg, signing, "", good(nil))
			for name, m := range methods {
				want := Bad
				if name == own {
					want = Good
				}
				t.Run(name, func(t *testing.T) { wantOutcome(t, m, bearer(token), want) })
			}
		})
	}
}

func TestJWTIdentity(t *testing.T) {
	exp := time.Now().Add(time.Hour).Truncate(time.Second)
	m := newJWT(t, JWTOptions{Secret: secret, Leeway: time.Minute})
	f := wantOutcome(t, m, bearer(sign(t, "HS256", []byte(secret), "", map[string]any{
		"sub": "ann", "exp": exp.Unix(), "n": 9007199254740993, "tags": []string{"a"},
	})), Good)
	want := &core.Identity{
		Subject: "ann", Method: "jwt", Expires: exp.Add(time.Minute),
		Claims: map[string]any{
			"sub": "ann", "exp": f.Identity.Claims["exp"], "n": json.Number("9007199254740993"), "tags": []any{"a"},
		},
	}
	if !f.Identity.Expires.Equal(want.Expires) {
		t.Errorf("expires %s, want %s", f.Identity.Expires, want.Expires)
	}
	want.Expires = f.Identity.Expires
	if !reflect.DeepEqual(f.Identity, want) {
		t.Errorf("got %+v, want %+v", f.Identity, want)
	}

	m = newJWT(t, JWTOptions{Secret: secret, Subject: "uid"})
	f = wantOutcome(t, m, bearer(sign(t, "HS256", []byte(secret), "", map[string]any{"sub": "ann", "uid": 17})), Good)
	if f.Identity.Subject != "17" || !f.Identity.Expires.IsZero() {
		t.Errorf("got %+v", f.Identity)
	}
}

// What the claims must be.
func TestClaims(t *testing.T) {
	m := newJWT(t, JWTOptions{
		Secret: secret, Issuers: []string{"us", "them"}, Audiences: []string{"chat"}, Leeway: 10 * time.Second,
		Require: map[string][]string{"role": {"admin"}, "exp": {"*"}, "level": {"7", "8"}},
	})
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for _, c := range []struct {
		name   string
		claims map[string]any
		want   Outcome
	}{
		{"as they should be", nil, Good},
		{"another good issuer", map[string]any{"iss": "them"}, Good},
		{"wrong issuer", map[string]any{"iss": "else"}, Foreign},
		{"no issuer", map[string]any{"iss": nil}, Foreign},
		{"a list of issuers", map[string]any{"iss": []string{"us"}}, Foreign},
		{"wrong audience", map[string]any{"aud": "other"}, Bad},
		{"no audience", map[string]any{"aud": nil}, Bad},
		{"expired", map[string]any{"exp": at(-time.Minute)}, Bad},
		{"expired within the leeway", map[string]any{"exp": at(-5 * time.Second)}, Good},
		{"not valid yet", map[string]any{"nbf": at(time.Minute)}, Bad},
		{"valid within the leeway", map[string]any{"nbf": at(5 * time.Second)}, Good},
		{"issued in the future", map[string]any{"iat": at(time.Hour)}, Bad},
		{"without end", map[string]any{"exp": nil}, Bad},
		{"no time", map[string]any{"exp": "soon"}, Bad},
		{"a time beyond time", map[string]any{"nbf": json.Number("1e300")}, Bad},
		{"expires as another word", map[string]any{"exp": nil, "EXP": at(time.Hour)}, Bad},
		{"the role is missing", map[string]any{"role": nil}, Bad},
		{"another role", map[string]any{"role": "player"}, Bad},
		{"one role", map[string]any{"role": "admin"}, Good},
		{"another level", map[string]any{"level": 70}, Bad},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantOutcome(t, m, bearer(sign(t, "HS256", []byte(secret), "", good(c.claims))), c.want)
		})
	}
}

// Issuers write names as numbers too.
func TestNumbersAsClaims(t *testing.T) {
	// go-jose writes a json.Number as text.
	number := func(s string) json.RawMessage { return json.RawMessage(s) }
	m := newJWT(t, JWTOptions{
		Secret: secret, Issuers: []string{"7"}, Audiences: []string{"9007199254740993"},
		Require: map[string][]string{"level": {"3"}},
	})
	claims := func(others map[string]any) map[string]any {
		c := good(map[string]any{"iss": 7, "sub": number("9007199254740995"), "aud": number("9007199254740993"), "level": []int{2, 3}, "jti": 5})
		maps.Copy(c, others)
		return c
	}
	for _, c := range []struct {
		name   string
		claims map[string]any
		want   Outcome
	}{
		{"all numbers", nil, Good},
		{"an audience among others", map[string]any{"aud": []any{1, number("9007199254740993"), "x"}}, Good},
		{"an audience as text", map[string]any{"aud": "9007199254740993"}, Good},
		{"another audience", map[string]any{"aud": number("9007199254740992")}, Bad},
		{"another issuer", map[string]any{"iss": 8}, Foreign},
		{"a time with a fraction", map[string]any{"exp": float64(time.Now().Add(time.Hour).UnixMilli()) / 1000}, Good},
		{"a time in words of science", map[string]any{"exp": number("9.9e9")}, Good},
		{"the end of all time", map[string]any{"exp": number("1e300")}, Good},
		{"before all time", map[string]any{"exp": number("-1e300")}, Bad},
		{"no time", map[string]any{"exp": "1"}, Bad},
		{"no time either", map[string]any{"exp": true}, Bad},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := wantOutcome(t, m, bearer(sign(t, "HS256", []byte(secret), "", claims(c.claims))), c.want)
			if f.Outcome == Good && f.Identity.Subject != "9007199254740995" {
				t.Errorf("the subject is %q", f.Identity.Subject)
			}
		})
	}
}

// The log says which key a token asks for.
func TestRefusalsNameTheKey(t *testing.T) {
	token := sign(t, "RS256", testKeys()["rsa2"], "key-17", good(nil))
	m := newJWT(t, JWTOptions{JWKS: writeFile(t, "set.json", set(t, map[string]any{"other": testKeys()["rsa"].Public()}))})
	if f := wantOutcome(t, m, bearer(token), Bad); !strings.Contains(f.Err.Error(), `"key-17"`) {
		t.Errorf("the reason is %v", f.Err)
	}
	m = newJWT(t, JWTOptions{JWKS: "http://127.0.0.1:1/"})
	if f := wantOutcome(t, m, bearer(token), Unknown); !strings.Contains(f.Err.Error(), `"key-17"`) {
		t.Errorf("the reason is %v", f.Err)
	}
}

// Tokens that somebody other than the issuer made or changed.
func TestForgedTokens(t *testing.T) {
	rsaKey, ec := testKeys()["rsa"], testKeys()["p256"]
	rsaPEM := pemFile(t, rsaKey.Public())
	m := newJWT(t, JWTOptions{Secret: secret, PublicKeys: []string{rsaPEM, pemFile(t, ec.Public())}})
	claims, err := json.Marshal(good(nil))
	if err != nil {
		t.Fatal(err)
	}
	payload := string(claims)
	hs := func(key []byte, header string) string {
		unsigned := strings.TrimSuffix(forge(header, payload, nil), ".")
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(unsigned))
		return unsigned + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	valid := hs([]byte(secret), `{"alg":"HS256"}`)
	wantOutcome(t, m, bearer(valid), Good) // so the others are refused for what is forged
	pemText, err := os.ReadFile(rsaPEM)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := json.Marshal(jose.JSONWebKey{Key: stranger.Public(), Algorithm: "RS256"})
	if err != nil {
		t.Fatal(err)
	}
	options := (&jose.SignerOptions{}).WithHeader("jwk", json.RawMessage(embedded)).WithHeader("jku", "http://127.0.0.1:1/")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: stranger}, options)
	if err != nil {
		t.Fatal(err)
	}
	own, err := signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	ownKey, err := own.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(valid, ".")
	last := []byte(valid)
	last[len(last)-2] ^= 1
	for _, c := range []struct {
		name, token string
		want        Outcome
	}{
		{"no algorithm", forge(`{"alg":"none"}`, payload, nil), Bad},
		{"no algorithm, in capitals", forge(`{"alg":"NONE"}`, payload, nil), Bad},
		{"no algorithm, with a signature", forge(`{"alg":"none"}`, payload, []byte("x")), Bad},
		{"no header alg", forge(`{}`, payload, nil), Bad},
		{"unknown algorithm", forge(`{"alg":"HS1"}`, payload, []byte("x")), Bad},
		{"two algorithms", hs([]byte(secret), `{"alg":"none","alg":"HS256"}`), Bad},
		{"HMAC with the public key in PEM", hs(pemText, `{"alg":"HS256"}`), Bad},
		{"HMAC with the trimmed PEM", hs([]byte(strings.TrimSpace(string(pemText))), `{"alg":"HS256"}`), Bad},
		{"HMAC with the public key in DER", hs(der, `{"alg":"HS256"}`), Bad},
		{"HMAC with nothing", hs(nil, `{"alg":"HS256"}`), Bad},
		{"RSA by another's key", sign(t, "RS256", stranger, "", good(nil)), Bad},
		{"a key in the header", ownKey, Bad},
		{"ECDSA of zeros", forge(`{"alg":"ES256"}`, payload, make([]byte, 64)), Bad},
		{"empty signature", parts[0] + "." + parts[1] + ".", Bad},
		{"a bit of the signature", string(last), Bad},
		{"another payload", forge(`{"alg":"HS256"}`, `{"sub":"root"}`, []byte("x")), Bad},
		{"critical header", hs([]byte(secret), `{"alg":"HS256","crit":["x"],"x":1}`), Bad},
		{"no JSON", hs([]byte(secret), `{"alg":"HS256"`), Bad},
		{"no token at all", "opaque", Foreign},
		{"five parts", "a.b.c.d.e", Foreign},
		{"dots", "..", Foreign},
		{"many dots", strings.Repeat(".", 10000), Foreign},
		{"oversized", valid + strings.Repeat("A", maxToken), Bad},
		{"key id as path", hs([]byte(secret), `{"alg":"HS256","kid":"../../dev/null"}`), Good},
		{"key id as SQL", hs([]byte(""), `{"alg":"HS256","kid":"x' UNION SELECT ''--"}`), Bad},
	} {
		t.Run(c.name, func(t *testing.T) { wantOutcome(t, m, bearer(c.token), c.want) })
	}
}

// Only listed algorithms count, even if the key fits others.
func TestAlgorithmsAllowed(t *testing.T) {
	key := testKeys()["rsa"]
	m := newJWT(t, JWTOptions{PublicKeys: []string{pemFile(t, key.Public())}, Algorithms: []string{"PS256"}})
	wantOutcome(t, m, bearer(sign(t, "PS256", key, "", good(nil))), Good)
	wantOutcome(t, m, bearer(sign(t, "RS256", key, "", good(nil))), Bad)
}

// A token may be shown in several places, but only one token.
func TestPlaces(t *testing.T) {
	m := newJWT(t, JWTOptions{Secret: secret, Places: []Place{
		{In: InHeader}, {In: InHeader, Name: "X-Token"}, {In: InQuery, Name: "token"}, {In: InCookie, Name: "session"},
	}})
	ann := sign(t, "HS256", []byte(secret), "", good(nil))
	bob := sign(t, "HS256", []byte(secret), "", good(map[string]any{"sub": "bob"}))
	for _, c := range []struct {
		name, show string // header: value, or ?query, each in a line
		want       Outcome
	}{
		{"nothing", "", Absent},
		{"header", "Authorization: Bearer " + ann, Good},
		{"scheme in lower case", "Authorization: bearer " + ann, Good},
		{"basic authentication", "Authorization: Basic YTpi", Absent},
		{"empty bearer", "Authorization: Bearer ", Absent},
		{"no scheme", "Authorization: " + ann, Absent},
		{"two headers", "Authorization: Bearer " + ann + "\nAuthorization: Bearer " + bob, Bad},
		{"named header", "X-Token: " + ann, Good},
		{"query", "?token=" + ann, Good},
		{"another parameter", "?Token=" + ann, Absent},
		{"two parameters", "?token=" + ann + "&token=" + bob, Bad},
		{"empty parameter", "?token=", Absent},
		{"cookie", "Cookie: a=b; session=" + ann, Good},
		{"two cookies", "Cookie: session=" + ann + "; session=" + bob, Bad},
		{"two cookies in two headers", "Cookie: session=" + ann + "\nCookie: session=" + bob, Bad},
		{"the same cookie twice", "Cookie: session=" + ann + "; session=" + ann, Good},
		{"header and query", "Authorization: Bearer " + ann + "\n?token=" + bob, Bad},
		{"the same in header and query", "Authorization: Bearer " + ann + "\n?token=" + ann, Good},
		{"good header and bad cookie", "Authorization: Bearer " + ann + "\nCookie: session=x", Bad},
	} {
		t.Run(c.name, func(t *testing.T) { wantOutcome(t, m, shows(t, c.show), c.want) })
	}
}

func TestKeyFiles(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(testKeys()["p256"])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		o    JWTOptions
		want string
	}{
		{"no file", JWTOptions{PublicKeys: []string{"does/not/exist"}}, "does/not/exist"},
		{"no key", JWTOptions{PublicKeys: []string{writeFile(t, "k", "text")}}, "no public key in PEM"},
		{"short key", JWTOptions{PublicKeys: []string{pemFile(t, short.Public())}}, "1024 bits is too short"},
		{
			"private key",
			JWTOptions{PublicKeys: []string{writeFile(t, "k", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))}},
			"a private key is no public key",
		},
		{"short secret", JWTOptions{SecretFile: writeFile(t, "s", "short\n")}, "at least 32 bytes"},
		{"no set", JWTOptions{JWKS: writeFile(t, "j", "{}")}, "no member keys"},
		{"long file", JWTOptions{JWKS: writeFile(t, "j", strings.Repeat(" ", maxFile+1))}, "over 1 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.Logger = quiet
			if _, err := NewJWT(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// Files are read again when they change; what makes no sense changes nothing.
func TestFilesChange(t *testing.T) {
	keys := testKeys()
	token := func(name string) core.Handshake {
		alg := map[string]string{"rsa": "RS256", "p256": "ES256"}[name]
		return bearer(sign(t, alg, keys[name], name, good(nil)))
	}
	path := writeFile(t, "set.json", set(t, map[string]any{"rsa": keys["rsa"].Public()}))
	m := newJWT(t, JWTOptions{JWKS: path})
	wantOutcome(t, m, token("rsa"), Good)
	wantOutcome(t, m, token("p256"), Bad)
	replaceFile(t, path, set(t, map[string]any{"p256": keys["p256"].Public()}))
	wantOutcome(t, m, token("p256"), Good)
	wantOutcome(t, m, token("rsa"), Bad)
	replaceFile(t, path, "{")
	wantOutcome(t, m, token("p256"), Good)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, m, token("p256"), Good)
	replaceFile(t, path, set(t, map[string]any{"rsa": keys["rsa"].Public()}))
	wantOutcome(t, m, token("rsa"), Good)

	path = writeFile(t, "secret", secret+"\n")
	m = newJWT(t, JWTOptions{SecretFile: path})
	wantOutcome(t, m, bearer(sign(t, "HS512", []byte(secret), "", good(nil))), Good)
	replaceFile(t, path, strings.ToUpper(secret))
	wantOutcome(t, m, bearer(sign(t, "HS512", []byte(secret), "", good(nil))), Bad)
}
