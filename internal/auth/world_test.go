package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/polywire/polywire/core"
)

var quiet = slog.New(slog.DiscardHandler)

// bearer is a client that shows a token where most do.
func bearer(token string) core.Handshake {
	return core.Handshake{Header: http.Header{"Authorization": {"Bearer " + token}}, Query: url.Values{}, Remote: "192.0.2.1:5"}
}

// inHeader is the usual place.
var inHeader = []Place{{In: InHeader}}

// Keys are made once: RSA takes its time.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	keys := map[string]crypto.Signer{}
	for _, name := range []string{"rsa", "rsa2"} {
		keys[name], _ = rsa.GenerateKey(rand.Reader, 2048)
	}
	keys["p256"], _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	keys["p384"], _ = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	keys["p521"], _ = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	_, keys["ed"], _ = ed25519.GenerateKey(rand.Reader)
	return keys
})

// sign returns a JWT of the claims. A key id of "" is left out.
func sign(t testing.TB, alg string, key any, kid string, claims map[string]any) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// forge returns a token of any header, payload and signature.
func forge(header, payload string, signature []byte) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(header)) + "." + part([]byte(payload)) + "." + part(signature)
}

// good are claims of a token that is good for an hour, with others over them.
func good(others map[string]any) map[string]any {
	claims := map[string]any{
		"sub": "ann", "iss": "us", "aud": []string{"chat", "x"}, "role": []string{"player", "admin"}, "level": 7,
		"iat": time.Now().Add(-time.Minute).Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(claims, others)
	for name, value := range claims {
		if value == nil {
			delete(claims, name)
		}
	}
	return claims
}

// pemFile writes a public key to a file.
func pemFile(t testing.TB, public any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
}

func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	replaceFile(t, path, text)
	return path
}

// replaceFile replaces a file by renaming, as careful programs do.
func replaceFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// set returns a key set of public keys by id.
func set(t testing.TB, public map[string]any) string {
	t.Helper()
	keys := []jose.JSONWebKey{}
	for id, k := range public {
		keys = append(keys, jose.JSONWebKey{Key: k, KeyID: id})
	}
	data, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// newJWT returns a method that is closed with the test.
func newJWT(t testing.TB, o JWTOptions) *JWT {
	t.Helper()
	if o.Places == nil {
		o.Places = inHeader
	}
	if o.Subject == "" {
		o.Subject = "sub"
	}
	if o.Logger == nil {
		o.Logger = quiet
	}
	if o.Timeout == 0 {
		o.Timeout = patient
	}
	if o.Refresh == 0 {
		o.Refresh = time.Hour
	}
	j, err := NewJWT(o)
	if err != nil {
		t.Fatal(err)
	}
	j.Start()
	t.Cleanup(j.Close)
	return j
}

// wantOutcome checks what a method makes of a client.
func wantOutcome(t *testing.T, m Method, h core.Handshake, want Outcome) Finding {
	t.Helper()
	f := m.Identify(t.Context(), h)
	if f.Outcome != want {
		t.Errorf("outcome %d (%v), want %d", f.Outcome, f.Err, want)
	}
	if (f.Identity != nil) != (f.Outcome == Good) || (f.Err == nil) != (f.Outcome == Good || f.Outcome == Absent) {
		t.Errorf("outcome %d with identity %v and error %v", f.Outcome, f.Identity, f.Err)
	}
	return f
}
